"""Tools: from signature to schema, calling, answering a call, errors, injection, events, generator tools."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from enum import Enum
from functools import partial
from typing import Annotated, Any, Literal

import pydantic
import pytest
from colours import Colour, colour
from pydantic import BaseModel, Field

from millstream import (
    AsyncOnlyMethod,
    BaseTool,
    GraphInterrupt,
    InjectedToolArg,
    InjectedToolCallId,
    InvalidArgument,
    InvalidType,
    RunnableConfig,
    RunnableLambda,
    StructuredTool,
    Tool,
    ToolException,
    ToolMessage,
    UntypedParameterWarning,
    ValidationError,
    convert_to_openai_tool,
    tool,
)
from millstream.chat.marks import ToolOutput
from millstream.chat.tools import injected_args
from millstream.spine.events import CUSTOM, END, ERROR, START, STREAM, Event, Tap

__all__ = ["colour"]  # a fixture


class Size(Enum):
    BIG = "big"
    SMALL = "small"


FRESH_LIST: Any = Field(default_factory=lambda: [1])


class Place(BaseModel):
    city: str


@tool
def search(query: str, limit: int = 5, kind: Literal["a", "b"] = "a", config: RunnableConfig | None = None) -> str:
    """Look things up."""
    return f"{query}/{limit}/{kind}/{config['tags'] if config else None}"


@tool
async def slow(x: Annotated[int, "an int"], user: Annotated[str, InjectedToolArg]) -> int:
    """Async one."""
    await asyncio.sleep(0)
    return x + len(user)


def call(name: str, id: str | None = "c1", **args: Any) -> dict[str, Any]:
    return {"type": "tool_call", "name": name, "args": args, "id": id}


def watch(*kinds: int) -> tuple[dict[str, Any], list[Event]]:
    events: list[Event] = []
    return {"callbacks": [Tap(lambda run: sum(kinds), events.append)]}, events


# -- making ------------------------------------------------------------------------------------------------------


def test_what_is_read_from_the_function() -> None:
    assert (search.name, search.description) == ("search", "Look things up.")
    assert search.args == {
        "query": {"title": "Query", "type": "string"},
        "limit": {"default": 5, "title": "Limit", "type": "integer"},
        "kind": {"default": "a", "enum": ["a", "b"], "title": "Kind", "type": "string"},
    }
    assert search.tool_call_schema is search.args_schema is search.get_input_schema()
    assert search.args_schema.__name__ == "search"
    assert search.args_schema.__doc__ == "Look things up."


def test_descriptions_of_arguments() -> None:
    @tool("renamed", return_direct=True, parse_docstring=True)
    def documented(
        x: int, names: list[str], y: Annotated[int, "from the annotation"] = 1, z: int = Field(2, ge=0)
    ) -> str:
        """Do a thing.

        Longer text.

        Args:
            x: the number,
                over two lines
            names (list): who
            z: from the docstring

        Returns:
            x: not an argument
        """
        return f"{x}{names}{y}{z}"

    assert (documented.name, documented.description) == ("renamed", "Do a thing. Longer text.")
    assert documented.return_direct
    assert {name: field.get("description") for name, field in documented.args.items()} == {
        "x": "the number, over two lines",
        "names": "who",
        "y": "from the annotation",
        "z": "from the docstring",
    }
    assert documented.invoke({"x": 1, "names": []}) == "1[]12"
    with pytest.raises(pydantic.ValidationError):
        documented.invoke({"x": 1, "names": [], "z": -1})


def test_all_that_stands_before_the_arguments_is_the_description_but_what_comes_back() -> None:
    @tool(parse_docstring=True)
    def f(x: int) -> int:
        """Count.

        Note:
            Slow.

        Returns:
            The count.

        Args:
            x: the x
        """
        return x

    assert f.description == "Count. Note:\n    Slow."
    assert f.args["x"]["description"] == "the x"


def test_a_docstring_that_documents_what_is_not_there() -> None:
    with pytest.raises(InvalidArgument, match=r"tool 'f' documents the argument 'y'"):

        @tool(parse_docstring=True)
        def f(x: int) -> int:
            """F.

            Args:
                y: what?
            """
            return x


def test_the_ways_to_make_one() -> None:
    def f(x: int) -> int:
        """F."""
        return x + 1

    async def af(x: int) -> int:
        """AF."""
        return x + 2

    class Callable:
        """Not a description of a tool."""

        def __call__(self, x: int) -> int:
            return x + 3

    made: list[BaseTool] = [
        tool(f),
        tool("g")(f),
        tool(description="D")(f),
        StructuredTool.from_function(f, name="h"),
        StructuredTool.from_function(f, af, description="both"),
        tool(partial(f, x=1), description="P"),
        tool(Callable(), description="C"),
    ]
    assert [each.name for each in made] == ["f", "g", "f", "h", "f", "f", "Callable"]
    assert [each.description for each in made] == ["F.", "F.", "D", "F.", "both", "P", "C"]
    assert [each.invoke({"x": 1}) for each in made] == [2, 2, 2, 2, 2, 2, 4]
    assert asyncio.run(made[4].ainvoke({"x": 1})) == 3


def test_a_tool_of_one_string_from_a_function() -> None:
    made = Tool.from_function(str.upper, "shout", "Shout it", return_direct=True)
    assert (type(made), made.name, made.description, made.return_direct) == (Tool, "shout", "Shout it", True)
    assert made.invoke("a") == Tool.from_function(func=str.upper, name="n", description="D").invoke("a") == "A"


def test_no_description_is_an_error() -> None:
    def f(x: int) -> int:
        return x

    with pytest.raises(InvalidArgument, match="tool 'f' has no description"):
        tool(f)
    with pytest.raises(InvalidArgument, match="needs a function"):
        StructuredTool.from_function()
    with pytest.raises(InvalidType, match="not 5"):
        tool(5)  # type: ignore[call-overload]

    class Documented(BaseModel):
        """From the schema."""

        x: int

    assert tool(args_schema=Documented)(f).description == "From the schema."
    assert tool(args_schema={"description": "D", "properties": {"x": {}}})(f).description == "D"


def test_a_parameter_without_a_type() -> None:
    with pytest.warns(UntypedParameterWarning, match=r"parameter 'q' of tool 'shout' has no type.*`q: str`") as caught:
        shout = StructuredTool.from_function(lambda q: f"{q}!", name="shout", description="Shout it")
    assert caught[0].filename == __file__
    assert shout.args == {"q": {"title": "Q"}}
    assert [shout.invoke({"q": value}) for value in ("a", 1, [{"b": None}])] == ["a!", "1!", "[{'b': None}]!"]

    def f(a, b: int = 1):  # type: ignore[no-untyped-def]
        """F."""

    with pytest.warns(UntypedParameterWarning, match="'a' of tool 'f'") as caught:
        tool(f)
    assert caught[0].filename == __file__
    with pytest.warns(UntypedParameterWarning, match="'a' of tool 'g'") as caught:
        tool("g")(f)
    assert caught[0].filename == __file__


def test_an_annotation_that_names_nothing() -> None:
    @tool
    def f(x: Nowhere) -> int:  # type: ignore[name-defined]  # noqa: F821
        """F."""
        return 1

    with pytest.raises(InvalidArgument, match=r"'Nowhere' of parameter 'x' of tool 'f'"):
        f.invoke({"x": 1})


def test_local_names_in_annotations() -> None:
    class Local(BaseModel):
        n: int

    @tool
    def f(x: Local) -> int:
        """F."""
        return Local.model_validate(x).n

    assert f.invoke({"x": {"n": 3}}) == 3


# -- calling -----------------------------------------------------------------------------------------------------


def test_arguments_are_validated_and_converted() -> None:
    @tool
    def f(n: int, size: Size, place: Place, tags: list[int] = FRESH_LIST) -> Any:
        """F."""
        return n, size, place, tags

    given = {"n": "7", "size": "big", "place": {"city": "Ulm"}, "unknown": 1}
    assert f.invoke(given) == (7, Size.BIG, Place(city="Ulm"), [1])
    assert convert_to_openai_tool(f)["function"]["parameters"]["properties"]["size"]["enum"] == ["big", "small"]
    with pytest.raises(pydantic.ValidationError) as caught:
        f.invoke({"n": "x", "size": "big", "place": {"city": "Ulm"}})
    assert caught.value.__notes__ == ["(the arguments of tool 'f')"]


def test_names_that_pydantic_models_use_themselves() -> None:
    @tool
    def f(json: str, schema: str, model_name: str, copy: int = 1) -> str:
        """F."""
        return f"{json}{schema}{model_name}{copy}"

    assert f.invoke({"json": "a", "schema": "b", "model_name": "c"}) == "abc1"


def test_a_given_schema() -> None:
    class In(BaseModel):
        a: int = Field(ge=0)
        b: str | None = None
        unused: int = 5

    @tool(args_schema=In)
    def f(a, b="function's"):  # type: ignore[no-untyped-def]
        """F."""
        return [a, b]

    assert f.invoke({"a": 1}) == [1, None]
    assert f.args_schema is In
    with pytest.raises(pydantic.ValidationError):
        f.invoke({"a": -1})


def test_what_the_model_is_told_of_a_given_schema_is_named_after_the_tool() -> None:
    class Form(BaseModel):
        """A form."""

        a: int

    f = StructuredTool.from_function(lambda a: a, name="f", description="F", args_schema=Form)
    told = f.tool_call_schema
    assert isinstance(told, type) and told.__name__ == "f"
    assert told.model_json_schema() == {**Form.model_json_schema(), "title": "f", "description": "F"}
    assert f.get_input_schema() is Form


def test_lines_below_the_first_keep_their_indentation() -> None:
    def f(x: int) -> int:
        return x

    f.__doc__ = "One.\n\n    Two.\n      Three.\n    "
    assert tool(f).description == "One.\n\n    Two.\n      Three."
    assert tool(f).tool_call_schema.model_json_schema()["properties"] == {"x": {"title": "X", "type": "integer"}}  # type: ignore[union-attr]
    f.__doc__ = "\n    One.\n\n    Two.\n    "
    assert tool(f).description == "One.\n\nTwo."


def test_paragraphs_of_a_parsed_docstring_are_joined() -> None:
    def f(x: int) -> int:
        return x

    f.__doc__ = "One\n    line.\n\n    Two.\n\n    Args:\n        x: the x\n    "
    assert tool(f, parse_docstring=True).description == "One\nline. Two."


def test_a_json_schema_is_not_checked() -> None:
    schema = {"title": "x", "type": "object", "properties": {"a": {"type": "integer"}}}
    f = StructuredTool.from_function(lambda **kw: kw, name="f", description="F", args_schema=schema)
    assert f.invoke({"a": "text", "more": 1}) == {"a": "text", "more": 1}
    assert f.args == {"a": {"type": "integer"}}
    assert f.tool_call_schema == {**schema, "description": "F"}
    with pytest.raises(InvalidArgument, match="not the string 'x'"):
        f.invoke("x")


def test_a_string_is_the_first_argument_as_it_is() -> None:
    @tool
    def f(n: int) -> Any:
        """F."""
        return n

    assert f.invoke("5") == "5"
    with pytest.raises(pydantic.ValidationError):
        f.invoke("x")
    with pytest.raises(ValidationError, match="'f' takes a dict of arguments"):
        f.invoke(5)  # type: ignore[arg-type]


def test_a_tool_of_one_string() -> None:
    upper = Tool("up", str.upper, "Upper")
    assert [upper.invoke("a"), upper.invoke({"tool_input": "b"}), upper.invoke({"__arg1": "c"})] == ["A", "B", "C"]
    assert upper.args == {"tool_input": {"type": "string"}}
    with pytest.raises(ToolException, match="takes one argument, got 2"):
        upper.invoke({"a": "x", "b": "y"})


def test_any_keyword_where_the_function_takes_any() -> None:
    @tool
    def f(a: int, **rest: Any) -> Any:
        """F."""
        return a, rest

    assert f.invoke({"a": 1, "b": 2}) == (1, {"b": 2})


def test_no_arguments() -> None:
    @tool
    def f() -> str:
        """F."""
        return "done"

    assert [f.invoke({}), f.invoke(""), f.invoke(call("f")).content] == ["done", "done", "done"]


def test_the_config_is_given_to_who_asks() -> None:
    assert search.invoke({"query": "q"}, {"tags": ["t"]}) == "q/5/a/['t']"
    assert "config" not in search.args


@pytest.mark.parametrize(
    ("result", "content"),
    [
        ("plain", "plain"),
        ({"a": ["é"]}, '{"a": ["é"]}'),
        (5, "5"),
        (None, "null"),
        ([1, 2], "[1, 2]"),
        ([{"type": "text", "text": "b"}], [{"type": "text", "text": "b"}]),
        (["a", {"type": "image_url", "image_url": "u"}], ["a", {"type": "image_url", "image_url": "u"}]),
        (["a", {"type": "strange"}], '["a", {"type": "strange"}]'),
        ({1, 2}, "{1, 2}"),
    ],
)
def test_a_call_is_answered_with_a_message(result: Any, content: Any) -> None:
    @tool
    def f() -> Any:
        """F."""
        return result

    assert f.invoke(call("f")) == ToolMessage(content, tool_call_id="c1", name="f")
    assert f.invoke({}) == result
    assert f.invoke(call("f", id=None)) == result


def test_results_that_are_passed_on_as_they_are() -> None:
    class Steering(ToolOutput):
        pass

    message = ToolMessage("x", tool_call_id="other")
    for result in (message, Steering(), [message, Steering()]):
        made = StructuredTool.from_function(lambda result=result: result, name="f", description="F", args_schema=Empty)
        assert made.invoke(call("f")) is result


class Empty(BaseModel):
    pass


def test_artifacts() -> None:
    @tool(response_format="content_and_artifact")
    def pair(n: int) -> Any:
        """Pair."""
        return ("text", {"n": n}) if n else "oops"

    assert pair.invoke({"n": 1}) == "text"
    assert pair.invoke(call("pair", n=2)) == ToolMessage("text", tool_call_id="c1", name="pair", artifact={"n": 2})
    with pytest.raises(InvalidArgument, match=r"must return a pair"):
        pair.invoke({"n": 0})


# -- colours -----------------------------------------------------------------------------------------------------


def test_async_only_under_sync_names_the_tool_and_the_mend() -> None:
    with pytest.raises(AsyncOnlyMethod, match=r"tool 'slow' has only an async form.*`ainvoke`") as caught:
        slow.invoke({"x": 1, "user": "u"})
    assert isinstance(caught.value, NotImplementedError)
    assert asyncio.run(slow.ainvoke({"x": 1, "user": "bob"})) == 4


def test_a_sync_tool_does_not_block_the_loop() -> None:
    @tool
    def where() -> int:
        """Where."""
        return threading.get_ident()

    assert asyncio.run(where.ainvoke({})) != threading.get_ident()
    assert where.invoke({}) == threading.get_ident()


def test_subclasses() -> None:
    class Mine(BaseTool):
        name: str = "mine"
        description: str = "Mine."
        factor: int = 2

        def _run(self, n: int, run_manager: Any = None) -> Any:
            return n * self.factor, run_manager.get_child() is not None

    class Both(Mine):
        async def _arun(self, n: int) -> Any:
            return "async"

    assert Mine(factor=3).invoke({"n": "2"}) == (6, True)
    assert Mine().args == {"n": {"title": "N", "type": "integer"}}
    assert (Both().invoke({"n": 1}), asyncio.run(Both().ainvoke({"n": 1}))) == ((2, True), "async")
    assert asyncio.run(Mine().ainvoke({"n": 1})) == (2, True)


def test_each_form_gets_the_manager_of_its_colour() -> None:
    class Both(BaseTool):
        name: str = "both"

        def _run(self, config: RunnableConfig, run_manager: Any = None) -> str:
            return type(run_manager).__name__

        async def _arun(self, run_manager: Any = None, callbacks: Any = None) -> str:
            return type(run_manager).__name__

    @tool
    async def only(run_manager: Any = None) -> str:
        """Only async."""
        return type(run_manager).__name__

    assert Both().invoke({}) == "CallbackManagerForToolRun"
    assert asyncio.run(Both().ainvoke({})) == asyncio.run(only.ainvoke({})) == "AsyncCallbackManagerForToolRun"


def test_a_tool_whose_schema_takes_anything() -> None:
    class Untyped(BaseTool):
        name: str = "untyped"

        def _run(self, *args: Any, **kwargs: Any) -> Any:
            return args, kwargs

    assert Untyped().invoke({"a": 1}) == ((), {"a": 1})
    assert Untyped().invoke("a") == (("a",), {})


def test_batch_and_stream() -> None:
    assert search.batch([{"query": "a"}, {"query": "b"}]) == ["a/5/a/[]", "b/5/a/[]"]
    assert list(search.stream({"query": "a"})) == ["a/5/a/[]"]
    assert (RunnableLambda(lambda q: {"query": q}) | search).invoke("x") == "x/5/a/[]"


# -- errors ------------------------------------------------------------------------------------------------------


def failing(error: BaseException, **settings: Any) -> StructuredTool:
    def f(x: int) -> str:
        """F."""
        raise error

    return StructuredTool.from_function(f, **settings)


@pytest.mark.parametrize(
    ("handler", "content"),
    [(True, "te"), ("told you", "told you"), (lambda error: f"got {error}", "got te")],
)
def test_a_tools_own_failure_can_be_told_to_the_model(handler: Any, content: str) -> None:
    f = failing(ToolException("te"), handle_tool_error=handler)
    assert f.invoke({"x": 1}) == content
    assert f.invoke(call("f", x=1)) == ToolMessage(content, tool_call_id="c1", name="f", status="error")
    assert asyncio.run(f.ainvoke({"x": 1})) == content


def test_other_failures_are_raised() -> None:
    with pytest.raises(ToolException, match="te"):
        failing(ToolException("te")).invoke({"x": 1})
    with pytest.raises(OSError, match="v"):
        failing(OSError("v"), handle_tool_error=True).invoke({"x": 1})
    assert failing(ToolException(), handle_tool_error=True).invoke({"x": 1}) == "Tool execution error"


@pytest.mark.parametrize(
    ("handler", "content"),
    [(True, "Tool input validation error"), ("bad", "bad"), (lambda error: str(error.error_count()), "1")],
)
def test_bad_arguments_can_be_told_to_the_model(handler: Any, content: str) -> None:
    f = failing(OSError("never"), handle_validation_error=handler)
    assert f.invoke({"x": "abc"}) == content
    assert f.invoke(call("f", x="abc")).status == "error"


def test_the_setting_may_be_assigned_later() -> None:
    f = failing(ToolException("te"))
    f.handle_tool_error = True
    assert f.invoke({"x": 1}) == "te"


def test_a_validation_error_inside_the_tool_is_not_one_of_its_arguments() -> None:
    @tool
    def f(x: int) -> Any:
        """F."""
        return Place.model_validate({})

    f.handle_validation_error = True
    with pytest.raises(pydantic.ValidationError):
        f.invoke({"x": 1})


def test_control_flow_passes() -> None:
    with pytest.raises(GraphInterrupt):
        failing(GraphInterrupt(), handle_tool_error=True).invoke({"x": 1})


# -- injection ---------------------------------------------------------------------------------------------------


class Injected(InjectedToolArg):
    def __init__(self, field: str = "") -> None:
        self.field = field


@tool
def told(
    x: int,
    state: Annotated[dict[str, Any], Injected("f")],
    whole: Annotated[Any, Injected],
    direct: Injected,
    maybe: Injected | None = None,
    runtime=None,  # type: ignore[no-untyped-def]
) -> Any:
    """Told."""
    return x, state, whole, direct, maybe, runtime


def test_injected_arguments_are_hidden_from_the_model_and_passed_as_they_are() -> None:
    marks = injected_args(told)
    assert list(marks) == ["state", "whole", "direct", "maybe", "runtime"]
    assert marks["state"].field == "f"
    assert marks["whole"] is marks["direct"] is marks["maybe"] is Injected
    schema = told.tool_call_schema
    assert not isinstance(schema, dict)
    assert list(schema.model_json_schema()["properties"]) == ["x"]
    state = {"big": object()}
    one = Injected()
    given = {"x": "1", "state": state, "whole": 2, "direct": one}
    assert told.invoke(given) == (1, state, 2, one, None, None)
    assert told.invoke(given)[1] is state


def test_a_parameter_called_runtime_with_a_type_of_its_own_is_the_models() -> None:
    @tool
    def play(runtime: int) -> int:
        """Play a film of this many minutes."""
        return runtime

    assert injected_args(play) == {}
    assert play.invoke({"runtime": 5}) == 5


def test_an_injected_argument_that_is_absent() -> None:
    with pytest.raises(ValidationError, match="needs the argument 'user', which its caller fills in"):
        asyncio.run(slow.ainvoke({"x": 1}))


def test_injected_fields_of_a_given_schema() -> None:
    class In(BaseModel):
        x: int
        who: Annotated[str, InjectedToolArg]

    @tool(args_schema=In)
    def f(x: int, who: str) -> str:
        """F."""
        return f"{x}{who}"

    assert list(injected_args(f)) == ["who"]
    assert list(f.args) == ["x"]
    assert f.invoke({"x": 1, "who": "me"}) == "1me"


def test_the_id_of_the_call() -> None:
    @tool
    def f(x: int, id: Annotated[str, InjectedToolCallId]) -> str:
        """F."""
        return f"{x}:{id}"

    assert f.invoke(call("f", x=3)).content == "3:c1"
    assert f.invoke(call("f", x=3, id2="evil")).content == "3:c1"
    forged = {**call("f", x=3), "args": {"x": 3, "id": "evil"}}
    assert f.invoke(forged).content == "3:c1"
    for given in ({"x": 3}, {"x": 3, "id": "mine"}, call("f", id=None, x=3)):
        with pytest.raises(InvalidArgument, match="needs the id of its call"):
            f.invoke(given)


# -- what is told of a run -----------------------------------------------------------------------------------------


def test_the_events_of_a_tool(colour: Colour) -> None:
    config, events = watch(START, STREAM, END, ERROR)

    async def body(colour: Colour) -> Any:
        return await colour.invoke(search, call("search", query="q", limit="7"), config)

    message = colour.run(body)
    assert [(event.kind, event.data) for event in events] == [
        (START, {"query": "q", "limit": "7"}),
        (END, message),
    ]
    assert {(event.run.name, event.run.type) for event in events} == {("search", "tool")}
    assert events[0].run.extra["tool_call_id"] == "c1"


def test_a_handled_failure_is_an_end_another_an_error() -> None:
    config, events = watch(END, ERROR)
    failing(ToolException("te"), handle_tool_error=True).invoke({"x": 1}, config)
    with pytest.raises(OSError):
        failing(OSError("v")).invoke({"x": 1}, config)
    with pytest.raises(pydantic.ValidationError):
        failing(OSError("v")).invoke({"x": "abc"}, config)
    assert [event.kind for event in events] == [END, ERROR, ERROR]


def test_injected_arguments_are_not_shown() -> None:
    config, events = watch(START)
    asyncio.run(slow.ainvoke({"x": 1, "user": "secret"}, config))
    assert events[0].data == {"x": 1}


def test_what_a_tool_calls_is_below_it() -> None:
    config, events = watch(START)
    inner = RunnableLambda(lambda x: x)

    @tool
    def outer(x: int, config: RunnableConfig) -> int:
        """Outer."""
        return inner.invoke(x) + inner.invoke(x, config)

    assert outer.invoke({"x": 1}, {**config, "tags": ["t"]}) == 2
    run = events[0].run
    assert [event.run.parent for event in events] == [None, run, run]
    assert [event.run.tags for event in events] == [("t",)] * 3


# -- generator tools ---------------------------------------------------------------------------------------------


@tool
def progress(n: int) -> Iterator[int]:
    """Progress."""
    yield from range(n)
    return "done"  # type: ignore[return-value]


@tool
def last(n: int) -> Iterator[int]:
    """Last."""
    yield from range(n)


@tool
async def aprogress(n: int) -> AsyncIterator[int]:
    """Progress."""
    for i in range(n):
        await asyncio.sleep(0)
        yield i


@pytest.mark.parametrize(("made", "result"), [(progress, "done"), (last, 2)])
def test_a_generator_tool(colour: Colour, made: BaseTool, result: Any) -> None:
    config, events = watch(CUSTOM, END)

    async def body(colour: Colour) -> Any:
        assert await colour.invoke(made, {"n": 3}) == result
        return await colour.invoke(made, call(made.name, n=3), config)

    message = colour.run(body)
    assert message.content == str(result)
    assert [event.data for event in events] == [*[("tool_progress", n) for n in range(3)], message]


def test_an_async_generator_tool() -> None:
    config, events = watch(CUSTOM)
    assert asyncio.run(aprogress.ainvoke({"n": 2}, config)) == 1
    assert [event.data for event in events] == [("tool_progress", 0), ("tool_progress", 1)]
    with pytest.raises(AsyncOnlyMethod):
        aprogress.invoke({"n": 1})


def test_a_generator_tool_that_fails_is_closed() -> None:
    log: list[str] = []

    @tool
    def f() -> Iterator[int]:
        """F."""
        try:
            yield 1
            raise ToolException("te")
        finally:
            log.append("closed")

    f.handle_tool_error = True
    assert f.invoke({}) == "te"
    assert log == ["closed"]


# -- changed afterwards ------------------------------------------------------------------------------------------


def test_a_copy_or_an_assignment_with_another_function() -> None:
    def one(x: int) -> str:
        """One."""
        return "one"

    def other(y: str) -> str:
        """Other."""
        return f"other {y}"

    first = tool(one)
    assert first.invoke({"x": 1}) == "one"
    copied = first.model_copy(update={"func": other, "name": "copied"})
    assert (copied.name, copied.invoke({"x": 1, "y": "a"})) == ("copied", "other a")
    assert first.invoke({"x": 1}) == "one"
    first.func = other
    first.args_schema = None
    assert first.invoke({"y": "b"}) == "other b"


def test_a_copy_of_a_subclass_runs_by_itself() -> None:
    class Mine(BaseTool):
        name: str = "mine"
        factor: int = 2

        def _run(self, n: int) -> int:
            return n * self.factor

    first = Mine()
    assert first.invoke({"n": 1}) == 2
    assert first.model_copy(update={"factor": 5}).invoke({"n": 1}) == 5


def test_run_takes_the_config_as_keywords_and_answers_a_call(colour: Colour) -> None:
    @tool
    def double(n: int, config: RunnableConfig) -> str:
        """Double."""
        return f"{n * 2} {config['tags']} {config['metadata']} {config.get('run_name')}"

    async def body(colour: Colour) -> None:
        async def run(*args: Any, **kwargs: Any) -> Any:
            return double.run(*args, **kwargs) if colour.sync else await double.arun(*args, **kwargs)

        named = {"tags": ["a"], "config": {"tags": ["b"], "metadata": {"k": 1}}}
        assert await run({"n": 2}, **named) == "4 ['a', 'b'] {'k': 1} None"
        answer = await run({"n": 3}, tool_call_id="c", metadata=None)
        assert (answer.tool_call_id, answer.content[:1]) == ("c", "6")

    colour.run(body)


def test_a_docstring_that_is_to_be_parsed_documents_an_argument() -> None:
    def plain(n: int) -> int:
        """Double."""
        return n * 2

    def nothing() -> int:
        """Nothing to document."""
        return 0

    with pytest.raises(InvalidArgument, match="documents no argument; write an `Args:` section"):
        tool(parse_docstring=True)(plain)
    lenient = tool(parse_docstring=True, error_on_invalid_docstring=False)(plain)
    assert lenient.description == "Double."
    assert StructuredTool.from_function(plain, parse_docstring=True).description == "Double."
    assert tool(parse_docstring=True)(nothing).description == "Nothing to document."


class Marked(BaseModel):
    x: int
    secret: Annotated[str, InjectedToolArg]
    call: Annotated[str, InjectedToolCallId]


def test_the_marks_of_a_schema_count_too() -> None:
    @tool(args_schema=Marked)
    def marked(x, secret, call):  # type: ignore[no-untyped-def]
        """Marked."""
        return f"{x} {secret} {call}"

    assert [*marked.args] == ["x"]
    request = {"type": "tool_call", "name": "marked", "args": {"x": "1", "secret": "s"}, "id": "c7"}
    assert marked.invoke(request).content == "1 s c7"
    with pytest.raises(InvalidArgument, match="needs the id of its call"):
        marked.invoke({"x": 1, "secret": "s"})
