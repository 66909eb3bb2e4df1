"""Callback handlers: which methods are called, with what, when, and what it costs when they fail or are slow."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import uuid
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

import pytest
from colours import Colour, colour  # noqa: F401 - a fixture

from millstream import (
    AIMessage,
    AIMessageChunk,
    AsyncCallbackHandler,
    BaseCallbackHandler,
    BaseRetriever,
    BlockingCallWarning,
    ChatGenerationChunk,
    ChatPromptTemplate,
    Document,
    FakeListLLM,
    LLMResult,
    RunnableGenerator,
    RunnableLambda,
    RunnableParallel,
    StdOutCallbackHandler,
    StreamingStdOutCallbackHandler,
    StrOutputParser,
    SystemMessage,
    adispatch_custom_event,
    create_react_agent,
    dispatch_custom_event,
    tool,
)
from millstream.errors import InvalidType
from millstream.flow import attend
from millstream.flow.mailbox import HIGH_WATER
from millstream.flow.workers import Workers
from millstream.spine.events import CUSTOM, END, ERROR, START, STREAM
from millstream.spine.listening import HandlerListener
from millstream.spine.run import Run
from millstream.spine.scope import Scope
from millstream.testing import ScriptedChatModel

METHODS = [name for name in vars(BaseCallbackHandler) if name.startswith("on_")]


class Notes(BaseCallbackHandler):
    """Notes every call: the method, what it got, the keywords, the thread."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.threads: set[threading.Thread] = set()

    def note(self, name: str, /, *args: Any, **kwargs: Any) -> None:
        self.calls.append((name, args, kwargs))
        self.threads.add(threading.current_thread())

    def names(self) -> list[str]:
        return [name.removeprefix("on_") for name, _, _ in self.calls]

    def of(self, method: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The positional arguments and the keywords of the only call of `method`."""
        ((args, kwargs),) = [(args, kwargs) for name, args, kwargs in self.calls if name == method]
        return args, kwargs


class AsyncNotes(Notes, AsyncCallbackHandler):
    """`Notes` with coroutine functions that suspend."""


def _noting(name: str) -> Any:
    def form(self: Notes, *args: Any, **kwargs: Any) -> None:
        self.note(name, *args, **kwargs)

    return form


def _anoting(name: str) -> Any:
    async def form(self: Notes, *args: Any, **kwargs: Any) -> None:
        await asyncio.sleep(0)
        self.note(name, *args, **kwargs)

    return form


for _name in METHODS:
    setattr(Notes, _name, _noting(_name))
    setattr(AsyncNotes, _name, _anoting(_name))


class Words(BaseRetriever):
    def _get_relevant_documents(self, query: str) -> list[Document]:  # type: ignore[override]
        if query == "bad":
            raise ValueError("no index")
        return [Document(query)]


@tool
def double(x: int) -> int:
    """Twice as much."""
    return 2 * x


def fail(_: Any) -> Any:
    raise ValueError("no")


def made(kind: type[Notes]) -> Any:
    return pytest.param(kind, id=kind.__name__)


BOTH = pytest.mark.parametrize("kind", [made(Notes), made(AsyncNotes)])


# -- what is called ----------------------------------------------------------------------------------------------------


@BOTH
def test_a_chain(colour: Colour, kind: type[Notes]) -> None:  # noqa: F811
    notes = kind()
    given = uuid.uuid4()

    async def body(c: Colour) -> None:
        chain = RunnableLambda(lambda x: x + 1, name="inc") | RunnableLambda(lambda x: x * 2, name="dbl")
        config = {"callbacks": [notes], "tags": ["t"], "metadata": {"m": 1}, "run_id": given, "run_name": "top"}
        assert await c.invoke(chain, 1, config) == 4

    colour.run(body)
    assert notes.names() == ["chain_start", "chain_start", "chain_end", "chain_start", "chain_end", "chain_end"]
    _, (serialized, inputs), top = notes.calls[0]
    assert (serialized, inputs) == (None, 1)
    assert top == {
        "run_id": given,
        "parent_run_id": None,
        "tags": ["t"],
        "metadata": {"m": 1},
        "name": "top",
        "run_type": None,
    }
    _, _, inc = notes.calls[1]
    assert inc["parent_run_id"] == given and inc["name"] == "inc" and inc["tags"] == ["seq:step:1", "t"]
    _, outputs, ended = notes.calls[2]
    assert outputs == (2,) and ended["run_id"] == inc["run_id"] and isinstance(ended["run_id"], uuid.UUID)
    assert notes.calls[-1][2]["run_id"] == given


@BOTH
def test_what_a_call_says(colour: Colour, kind: type[Notes]) -> None:  # noqa: F811
    notes = kind()

    async def body(c: Colour) -> None:
        await c.invoke(ScriptedChatModel(["a"]).bind(stop=["s"], k=1), "x", {"callbacks": [notes]})

    colour.run(body)
    _, start = notes.of("on_chat_model_start")
    assert start["options"] == {"stop": ["s"]}
    assert {key: start["invocation_params"][key] for key in ("stop", "k")} == {"stop": ["s"], "k": 1}


@BOTH
def test_a_stream(colour: Colour, kind: type[Notes]) -> None:  # noqa: F811
    notes = kind()
    chain = ChatPromptTemplate.from_messages([("human", "{q}")]) | ScriptedChatModel(["a b"]) | StrOutputParser()

    async def body(c: Colour) -> None:
        assert await c.collect(chain, {"q": "hey"}, {"callbacks": [notes]}) == ["a", " b", ""]

    colour.run(body)
    assert notes.names() == [
        *["chain_start", "chain_start", "chain_end", "chat_model_start"],
        *["llm_new_token", "chain_start", "llm_new_token", "llm_new_token"],
        *["llm_end", "chain_end", "chain_end"],
    ]
    (serialized, (messages,)), start = notes.of("on_chat_model_start")
    assert serialized["name"] == "ScriptedChatModel" and [message.text for message in messages] == ["hey"]
    assert start["batch_size"] == 1 and start["options"] == {"stop": None}
    assert start["invocation_params"]["_type"] == "scripted" and start["name"] is None  # `serialized` says it
    tokens = [(args[0], kwargs["chunk"].text) for name, args, kwargs in notes.calls if name == "on_llm_new_token"]
    assert tokens == [("a", "a"), (" b", " b"), ("", "")]
    token = next(kwargs for name, _, kwargs in notes.calls if name == "on_llm_new_token")
    assert token["run_id"] == start["run_id"] and token["parent_run_id"] == start["parent_run_id"]
    (response,), _ = notes.of("on_llm_end")
    assert isinstance(response, LLMResult) and response.generations[0][0].text == "a b"
    # The parser was streamed into: its input is not known at its start.
    parser = [(args, kwargs) for name, args, kwargs in notes.calls if kwargs.get("run_type") == "parser"]
    assert [args for args, _ in parser] == [(None, {"input": ""})]
    # At its end it is, which is told; the prompt was invoked and said it at its start.
    ends = [kwargs.get("inputs") for name, _, kwargs in notes.calls if name == "on_chain_end"]
    assert ends[0] is None and ends[1].text == "a b" and ends[2] == {"q": "hey"}


@BOTH
def test_a_tool(colour: Colour, kind: type[Notes]) -> None:  # noqa: F811
    notes = kind()
    call = {"type": "tool_call", "name": "double", "args": {"x": 2}, "id": "c1"}

    async def body(c: Colour) -> None:
        await c.invoke(double, call, {"callbacks": [notes]})

    colour.run(body)
    assert notes.names() == ["tool_start", "tool_end"]
    (serialized, input_str), keywords = notes.of("on_tool_start")
    assert serialized == {"name": "double", "description": "Twice as much."} and input_str == "{'x': 2}"
    assert keywords["inputs"] == {"x": 2} and keywords["tool_call_id"] == "c1" and keywords["name"] is None
    (output,), keywords = notes.of("on_tool_end")
    assert output.content == "4" and keywords["name"] == "double"


@BOTH
def test_errors(colour: Colour, kind: type[Notes]) -> None:  # noqa: F811
    model = ScriptedChatModel([["ab", RuntimeError("cut")]])

    async def told(c: Colour, runnable: Any, value: Any, stream: bool = False) -> Notes:
        notes = kind()
        with pytest.raises((ValueError, RuntimeError)):
            await (c.collect if stream else c.invoke)(runnable, value, {"callbacks": [notes]})
        return notes

    async def body(c: Colour) -> None:
        chain = await told(c, RunnableLambda(fail), 1)
        (error,), keywords = chain.of("on_chain_error")
        assert isinstance(error, ValueError) and keywords["run_id"] == chain.calls[0][2]["run_id"]
        called = {"type": "tool_call", "name": "double", "args": {"x": "z"}, "id": "c1"}
        _, keywords = (await told(c, double, called)).of("on_tool_error")
        assert keywords["tool_call_id"] == "c1"
        assert (await told(c, Words(), "bad")).names() == ["retriever_start", "retriever_error"]
        streamed = await told(c, model, "x", stream=True)
        assert streamed.names() == ["chat_model_start", "llm_new_token", "llm_error"]
        _, keywords = streamed.of("on_llm_error")
        assert keywords["response"].generations[0][0].text == "ab"
        _, keywords = (await told(c, ScriptedChatModel([[RuntimeError("cut")]]), "x", stream=True)).of("on_llm_error")
        assert keywords["response"].generations == [[]]  # of the one conversation nothing

    colour.run(body)


def test_what_is_told_beside_the_pieces_of_an_answer_is_there_at_its_end(colour: Colour) -> None:  # noqa: F811
    pieces = [
        ChatGenerationChunk(message=AIMessageChunk("a"), generation_info={"logprobs": [1]}),
        ChatGenerationChunk(message=AIMessageChunk("b"), generation_info={"logprobs": [2], "finish_reason": "stop"}),
    ]

    class Model(ScriptedChatModel):
        def _stream(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Any:
            yield from pieces

        async def _astream(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Any:
            for piece in pieces:
                yield piece

    async def body(c: Colour) -> None:
        notes = Notes()
        await c.collect(Model(), "x", {"callbacks": [notes]})
        (result,), _ = notes.of("on_llm_end")
        assert result.generations[0][0].generation_info == {"logprobs": [1, 2], "finish_reason": "stop"}

    colour.run(body)


def test_a_name_is_told_of_models_and_tools_only_where_it_is_not_that_of_the_object(colour: Colour) -> None:  # noqa: F811
    async def body(c: Colour) -> None:
        notes = Notes()
        model = ScriptedChatModel(["a"], name="miller")
        for config in ({}, {"run_name": "grinding"}):
            await c.invoke(model, "x", {"callbacks": [notes], **config})
            await c.invoke(double, {"x": 1}, {"callbacks": [notes], **config})
        told = [(args[0]["name"], kwargs["name"]) for name, args, kwargs in notes.calls if name.endswith("_start")]
        assert told == [("miller", None), ("double", None), ("miller", "grinding"), ("double", "grinding")]

    colour.run(body)


@BOTH
def test_a_retriever_and_custom_events(colour: Colour, kind: type[Notes]) -> None:  # noqa: F811
    notes = kind()

    async def body(c: Colour) -> None:
        def speak(x: int) -> int:
            dispatch_custom_event("note", {"x": x})
            return x

        async def aspeak(x: int) -> int:
            await adispatch_custom_event("note", {"x": x})
            return x

        await c.invoke(Words(), "fish", {"callbacks": [notes]})
        speaking = RunnableLambda(speak if c.sync else aspeak).with_config(tags=["own"])
        await c.invoke(speaking, 1, {"callbacks": [notes], "metadata": {"m": 2}})

    colour.run(body)
    assert notes.names() == ["retriever_start", "retriever_end", "chain_start", "custom_event", "chain_end"]
    (_, query), keywords = notes.of("on_retriever_start")
    assert query == "fish" and keywords["name"] == "Words"
    (documents,), _ = notes.of("on_retriever_end")
    assert documents == [Document("fish")]
    args, keywords = notes.of("on_custom_event")
    assert args == ("note", {"x": 1}) and keywords["tags"] == ["own"] and keywords["metadata"] == {"m": 2}
    assert keywords["run_id"] == notes.calls[2][2]["run_id"]


def test_a_handler_without_chat_models_gets_them_as_text(colour: Colour) -> None:  # noqa: F811
    class Texts(BaseCallbackHandler):
        def __init__(self) -> None:
            self.prompts: list[Any] = []

        def on_llm_start(self, serialized: Any, prompts: list[str], **kwargs: Any) -> None:
            self.prompts.append((serialized["name"], prompts))

    class Refuses(Texts):
        def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
            raise NotImplementedError

    handlers = [Texts(), Refuses()]

    async def body(c: Colour) -> None:
        await c.invoke(ScriptedChatModel(["a"]), [SystemMessage("be"), ("human", "hey")], {"callbacks": handlers})

    colour.run(body)
    expected = [("ScriptedChatModel", ["System: be\nHuman: hey"])]
    assert handlers[0].prompts == handlers[1].prompts == expected


def test_a_handler_that_wants_tokens_does_not_make_an_invoke_stream(colour: Colour) -> None:  # noqa: F811
    class Tokens(BaseCallbackHandler):
        def __init__(self) -> None:
            self.tokens: list[str] = []

        def on_llm_new_token(self, token: str, **kwargs: Any) -> None:
            self.tokens.append(token)

    async def body(c: Colour) -> None:
        model, tokens = ScriptedChatModel(["a b"]), Tokens()
        await c.invoke(model, "x", {"callbacks": [tokens]})
        assert tokens.tokens == [] and [call["how"] for call in model.calls] == ["generate"]
        await c.collect(model, "x", {"callbacks": [tokens]})
        assert tokens.tokens == ["a", " b", ""]

    colour.run(body)


def test_ignoring_leaves_out_a_group_but_not_the_places_in_the_tree(colour: Colour) -> None:  # noqa: F811
    class NoChains(Notes):
        @property
        def ignore_chain(self) -> bool:
            return True

    class NoModels(Notes):
        ignore_llm = True  # type: ignore[assignment]
        ignore_agent = True  # type: ignore[assignment]
        ignore_retriever = True  # type: ignore[assignment]
        ignore_custom_event = True  # type: ignore[assignment]

    class NoStarts(Notes):
        ignore_chat_model = True  # type: ignore[assignment]

    async def body(c: Colour) -> None:
        chains, models, starts = NoChains(), NoModels(), NoStarts()
        await c.invoke(RunnableLambda(lambda q: q, name="x") | Words(), "q", {"callbacks": [chains]})
        assert chains.names() == ["retriever_start", "retriever_end"]
        assert isinstance(chains.calls[0][2]["parent_run_id"], uuid.UUID)
        await c.invoke(ScriptedChatModel(["a"]), "q", {"callbacks": [models, starts]})
        assert models.names() == ["chat_model_start"] and starts.names() == ["llm_end"]
        await c.invoke(Words(), "q", {"callbacks": [models]})
        await c.invoke(double, {"x": 1}, {"callbacks": [models]})
        assert models.names() == ["chat_model_start"]

    colour.run(body)


def test_interest_is_what_the_handler_has_methods_for() -> None:
    class Two(BaseCallbackHandler):
        def on_tool_error(self, error: BaseException, **kwargs: Any) -> None: ...

        def on_custom_event(self, name: str, data: Any, **kwargs: Any) -> None: ...

    def run(type: str) -> Run:
        return Run("x", type, None, (), {}, None, None)

    assert HandlerListener(Two()).interest(run("tool")) == ERROR | CUSTOM
    assert HandlerListener(Two()).interest(run("chain")) == CUSTOM
    assert HandlerListener(Notes()).interest(run("chat_model")) == START | STREAM | END | ERROR | CUSTOM
    assert HandlerListener(BaseCallbackHandler()).interest(run("chain")) == 0
    assert HandlerListener(AsyncCallbackHandler()).interest(run("llm")) == 0
    one = BaseCallbackHandler()
    one.on_llm_end = lambda response, **kwargs: None  # type: ignore[method-assign,misc]
    assert HandlerListener(one).interest(run("llm")) == END


def test_the_base_methods_may_be_called(run_async: Any) -> None:
    class Calls(BaseCallbackHandler):
        def on_chain_end(self, outputs: Any, **kwargs: Any) -> Any:
            return super().on_chain_end(outputs, **kwargs)

    class ACalls(AsyncCallbackHandler):
        async def on_chain_end(self, outputs: Any, **kwargs: Any) -> Any:
            return await super().on_chain_end(outputs, **kwargs)

    RunnableLambda(lambda x: x).invoke(1, {"callbacks": [Calls()]})
    run_async(RunnableLambda(lambda x: x).ainvoke(1, {"callbacks": [ACalls()]}))
    with pytest.raises(NotImplementedError, match="`on_llm_start` is called instead"):
        BaseCallbackHandler().on_chat_model_start({}, [], run_id=uuid.uuid4())


def test_what_is_no_handler() -> None:
    with pytest.raises(InvalidType, match="is no callback handler; give instances of BaseCallbackHandler"):
        RunnableLambda(lambda x: x).invoke(1, {"callbacks": [Notes]})


# -- where handlers are given ------------------------------------------------------------------------------------------


@BOTH
def test_constructor_callbacks_hear_their_own_runs_only(colour: Colour, kind: type[Notes]) -> None:  # noqa: F811
    async def body(c: Colour) -> None:
        inner, outer, asked = kind(), kind(), kind()

        @tool
        def work(x: int) -> str:
            """Work."""
            return str(RunnableLambda(lambda y: y, name="inner").invoke(x))

        work.callbacks = [inner]
        assert await c.invoke(work, {"x": 1}) == "1"
        assert inner.names() == ["tool_start", "tool_end"]
        model = ScriptedChatModel(["a"], callbacks=[outer])
        chain = RunnableLambda(lambda q: q) | model
        await c.invoke(chain, "q", {"callbacks": [asked]})
        assert outer.names() == ["chat_model_start", "llm_end"]
        assert asked.names().count("chat_model_start") == 1
        assert (await c.collect(model, "q"))[0].text == "a"
        assert outer.names()[2:] == ["chat_model_start", "llm_new_token", "llm_new_token", "llm_end"]
        await c.invoke(Words(callbacks=[inner]), "q")
        assert inner.names()[2:] == ["retriever_start", "retriever_end"]

    colour.run(body)


def test_generate_tells_the_handlers_of_the_call_and_of_the_model() -> None:
    own, given = Notes(), AsyncNotes()
    model = ScriptedChatModel(["a", "b"], callbacks=[own])
    model.generate([["x"], ["y"]], callbacks=[given])
    asyncio.run(model.agenerate([["x"], ["y"]], callbacks=[given]))
    for notes in (own, given):
        assert sorted(notes.names()) == ["chat_model_start"] * 4 + ["llm_end"] * 4


def test_the_runs_of_one_generate_begin_together_under_one_name(colour: Colour) -> None:  # noqa: F811
    async def body(c: Colour) -> None:
        for model in (ScriptedChatModel(["a", [RuntimeError("cut")], "c"]), FakeListLLM(responses=["a", "b", "c"])):
            notes = Notes()
            given = {"callbacks": [notes], "run_name": "many", "run_id": uuid.uuid4()}
            inputs: Any = ["x", "y", "z"] if isinstance(model, FakeListLLM) else [["x"], ["y"], ["z"]]
            with suppress(RuntimeError):
                model.generate(inputs, **given) if c.sync else await model.agenerate(inputs, **given)
            starts = [kwargs for name, _, kwargs in notes.calls if name.endswith("_start")]
            assert notes.names()[:3] == [notes.names()[0]] * 3 and len(notes.names()) == 6  # each ends, or fails
            assert [(each["name"], each["batch_size"]) for each in starts] == [("many", 3)] * 3
            assert [each["run_id"] == given["run_id"] for each in starts] == [True, False, False]

    colour.run(body)


@BOTH
def test_bound_handlers_hear_the_step_and_below(colour: Colour, kind: type[Notes]) -> None:  # noqa: F811
    async def body(c: Colour) -> None:
        bound = kind()
        inner = RunnableLambda(lambda x: x, name="inner")
        step = (RunnableLambda(lambda x: x, name="step") | inner).with_config(callbacks=[bound], run_name="both")
        chain = RunnableLambda(lambda x: x, name="before") | step
        assert await c.invoke(chain, 1) == 1 and await c.collect(chain, 2) == [2]
        names = [kwargs["name"] for name, _, kwargs in bound.calls if name == "on_chain_start"]
        assert names[:3] == ["both", "step", "inner"] and sorted(names[3:]) == ["both", "inner", "step"]
        before = len(bound.calls)
        await c.invoke(chain, 1, {"callbacks": [bound]})  # given twice, heard once
        assert bound.names()[before:].count("chain_start") == 5

    colour.run(body)


def test_bound_handlers_come_before_those_of_the_call_and_after_those_handed_on() -> None:
    heard: list[str] = []

    class Named(BaseCallbackHandler):
        def __init__(self, label: str) -> None:
            self.label = label

        def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
            heard.append(f"{self.label} {kwargs['name']}")

    step = RunnableLambda(lambda x: x, name="step").with_config(callbacks=[Named("bound")])
    step.invoke(1, {"callbacks": [Named("call")]})
    assert heard == ["bound step", "call step"]
    (RunnableLambda(lambda x: x, name="before") | step).invoke(1, {"callbacks": [Named("call")]})
    assert heard[-2:] == ["call step", "bound step"]


@BOTH
@pytest.mark.parametrize("many", [False, True], ids=["one config", "a config each"])
def test_batches(kind: type[Notes], many: bool) -> None:
    handlers = [kind(), kind()]
    config: Any = [{"callbacks": [each]} for each in handlers] if many else {"callbacks": handlers}
    chain = RunnableLambda(lambda x: x + 1) | RunnableLambda(lambda x: x + 1)
    bound = chain.with_config(callbacks=[third := kind()])

    async def main() -> None:
        assert await chain.abatch([1, 2], config) == [3, 4]
        async for index, _ in chain.abatch_as_completed([1, 2], config):
            told = handlers[index if many else 0].names().count("chain_end")
            assert told >= 3 * (2 if many else 3)
        assert await bound.abatch([1, 2]) == [3, 4]

    assert chain.batch([1, 2], config) == [3, 4]
    asyncio.run(main())
    for handler in handlers:
        assert handler.names().count("chain_start") == handler.names().count("chain_end") == 3 * (3 if many else 6)
    assert third.names().count("chain_end") == 6


@BOTH
def test_handlers_of_an_outer_call_hear_the_inner_ones(colour: Colour, kind: type[Notes]) -> None:  # noqa: F811
    async def body(c: Colour) -> None:
        notes = kind()
        inner = RunnableLambda(lambda x: x, name="inner")
        both = RunnableLambda(lambda x: inner.invoke(x), afunc=lambda x: inner.ainvoke(x), name="outer")
        with_config = RunnableLambda(lambda x, config: inner.invoke(x, config), name="handing")
        await c.invoke(both | with_config, 1, {"callbacks": [notes]})
        names = {kwargs["run_id"]: kwargs["name"] for name, _, kwargs in notes.calls if name == "on_chain_start"}
        parents = [
            names.get(kwargs["parent_run_id"]) for name, _, kwargs in notes.calls if kwargs.get("name") == "inner"
        ]
        assert parents == ["outer", "handing"]

    colour.run(body)


@BOTH
def test_an_agent(colour: Colour, kind: type[Notes]) -> None:  # noqa: F811
    calls = AIMessage("", tool_calls=[{"name": "double", "args": {"x": 2}, "id": "c1"}])
    agent = create_react_agent(ScriptedChatModel([calls, "it is 4"]), [double])

    async def body(c: Colour) -> None:
        notes = kind()
        await c.invoke(agent, {"messages": [("user", "2 * 2")]}, {"callbacks": [notes]})
        await c.collect(agent, {"messages": [("user", "2 * 2")]}, {"callbacks": [notes]})
        names = notes.names()
        assert names.count("chat_model_start") == names.count("llm_end") == 4 and names.count("tool_end") == 2
        assert names.count("chain_start") == names.count("chain_end") and names[-1] == "chain_end"
        nodes = {kwargs["metadata"].get("langgraph_node") for name, _, kwargs in notes.calls if name == "on_tool_start"}
        assert nodes == {"tools"}

    colour.run(body)


def test_printing_what_comes(capsys: pytest.CaptureFixture[str]) -> None:
    list(ScriptedChatModel(["a b"]).stream("x", {"callbacks": [StreamingStdOutCallbackHandler()]}))
    assert capsys.readouterr().out == "a b"


# -- where and when they are called ------------------------------------------------------------------------------------


def test_sync_runs_call_in_the_thread_of_the_run() -> None:
    first, second = Notes(), Notes()
    RunnableLambda(lambda x: x).invoke(1, {"callbacks": [first, second]})
    assert first.threads == second.threads == {threading.current_thread()}


def test_async_runs_call_sync_methods_on_a_worker_and_coroutines_on_the_loop(run_async: Any) -> None:
    plain, coroutines, inline = Notes(), AsyncNotes(), Notes()
    inline.run_inline = True

    async def main() -> None:
        await RunnableLambda(lambda x: x).ainvoke(1, {"callbacks": [plain, coroutines, inline]})

    run_async(main())
    here = threading.current_thread()
    assert here not in plain.threads and coroutines.threads == {here} == inline.threads
    assert plain.names() == coroutines.names() == inline.names() == ["chain_start", "chain_end"]


def test_an_async_handler_in_a_sync_call_under_a_running_loop(run_async: Any) -> None:
    notes = AsyncNotes()

    async def main() -> None:
        with pytest.warns(BlockingCallWarning):
            RunnableLambda(lambda x: x).invoke(1, {"callbacks": [notes]})
        assert notes.names() == ["chain_start", "chain_end"]

    run_async(main())


def test_handlers_see_the_context_of_the_call(run_async: Any) -> None:
    user: ContextVar[str] = ContextVar("user", default="nobody")
    seen: list[str] = []

    class Sees(BaseCallbackHandler):
        def on_chain_start(self, *args: Any, **kwargs: Any) -> None:
            seen.append(user.get())
            user.set("changed")

    class ASees(AsyncCallbackHandler):
        async def on_chain_start(self, *args: Any, **kwargs: Any) -> None:
            seen.append(user.get())

    async def main() -> None:
        user.set("ann")
        await RunnableLambda(lambda x: x).ainvoke(1, {"callbacks": [Sees(), ASees()]})
        assert seen == ["ann", "ann"] and user.get() == "ann"

    run_async(main())


def test_a_burst_is_one_hop(monkeypatch: pytest.MonkeyPatch) -> None:
    class Counting(Workers):
        jobs = 0

        def try_submit(self, job: Any) -> bool:
            self.jobs += 1
            return super().try_submit(job)

    class Tokens(BaseCallbackHandler):
        count = 0

        def on_llm_new_token(self, token: str, **kwargs: Any) -> None:
            self.count += 1

    counting, tokens = Counting(), Tokens()
    monkeypatch.setattr(attend, "workers", counting)
    model = ScriptedChatModel([["x"] * 200])

    async def main() -> None:
        # Nothing in it suspends, so all calls are waiting when the loop comes to the handlers.
        async for _ in model.astream("x", {"callbacks": [tokens]}):
            pass

    asyncio.run(main())
    counting.end_idle()
    assert tokens.count == 201 and counting.jobs == 1


@BOTH
def test_all_are_called_before_the_call_returns(kind: type[Notes]) -> None:
    class Slow(kind):  # type: ignore[valid-type,misc]
        pass

    def sleeps(self: Any, outputs: Any, **kwargs: Any) -> None:
        time.sleep(0.02)
        self.note("on_chain_end", outputs)

    async def asleeps(self: Any, outputs: Any, **kwargs: Any) -> None:
        await asyncio.sleep(0.02)
        self.note("on_chain_end", outputs)

    Slow.on_chain_end = sleeps if kind is Notes else asleeps
    chain = RunnableLambda(lambda x: x) | RunnableLambda(lambda x: x)

    async def main() -> None:
        notes = Slow()
        await chain.ainvoke(1, {"callbacks": [notes]})
        assert notes.names().count("chain_end") == 3
        stream = chain.astream(1, {"callbacks": [notes]})
        assert [item async for item in stream] == [1]
        assert notes.names().count("chain_end") == 6
        failing = Slow()
        with pytest.raises(ValueError, match="no"):
            await (RunnableLambda(lambda x: x) | RunnableLambda(fail)).ainvoke(1, {"callbacks": [failing]})
        assert failing.names()[-3:] == ["chain_start", "chain_error", "chain_error"]

    asyncio.run(main())


@BOTH
def test_leaving_a_stream_early(colour: Colour, kind: type[Notes]) -> None:  # noqa: F811
    notes = kind()

    async def body(c: Colour) -> None:
        source = RunnableGenerator(c.generator(1, 2, 3))
        async with c.closing(source, None, {"callbacks": [notes]}) as stream:
            assert await anext(stream) == 1
        assert notes.names() == ["chain_start", "chain_end" if c.sync else "chain_error"]
        if not c.sync:
            assert isinstance(notes.calls[1][1][0], GeneratorExit)
        told = kind()
        async with c.closing(ScriptedChatModel([["a", "b", "c"]]), "x", {"callbacks": [told]}) as stream:
            await anext(stream)
        result = told.of("on_llm_end")[0][0] if c.sync else told.of("on_llm_error")[1]["response"]
        assert result.generations[0][0].text == "a"  # what had come

    colour.run(body)


@BOTH
def test_cancelling_still_tells_of_it(kind: type[Notes]) -> None:
    notes = kind()

    async def main() -> None:
        async def wait(_: Any) -> None:
            started.set()
            await asyncio.sleep(10)

        started = asyncio.Event()
        task = asyncio.create_task(RunnableLambda(wait, name="wait").ainvoke(1, {"callbacks": [notes]}))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert notes.names() == ["chain_start", "chain_error"]
        assert isinstance(notes.calls[1][1][0], asyncio.CancelledError)

    asyncio.run(main())


def test_a_cancellation_while_the_last_handlers_run_waits_for_them_and_a_second_does_not() -> None:
    class Gate(AsyncCallbackHandler):
        def __init__(self) -> None:
            self.entered, self.open = asyncio.Event(), asyncio.Event()
            self.log: list[str] = []

        async def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
            self.entered.set()
            try:
                await self.open.wait()
            except asyncio.CancelledError:
                self.log.append("cancelled")
                raise
            self.log.append("ended")

    async def main() -> None:
        for times, expected in ((1, ["ended"]), (2, ["cancelled"])):
            gate = Gate()
            task = asyncio.create_task(RunnableLambda(lambda x: x).ainvoke(1, {"callbacks": [gate]}))
            await gate.entered.wait()
            for _ in range(times):
                task.cancel()
                await asyncio.sleep(0)
            if times == 1:
                assert not task.done()
                gate.open.set()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert gate.log == expected

    asyncio.run(main())


@BOTH
@pytest.mark.parametrize("sync_leaves", [False, True])
def test_what_runs_begins_when_the_handlers_know_of_it(
    colour: Colour,  # noqa: F811
    kind: type[Notes],
    sync_leaves: bool,
) -> None:
    log: list[str] = []

    class Slow(kind):  # type: ignore[valid-type, misc]
        def note(self, name: str, /, *args: Any, **kwargs: Any) -> None:
            time.sleep(0.001)
            log.append(f"{name} {kwargs['name']}" if name.endswith("start") else name)

    def work(x: int) -> int:
        log.append("work")
        result = RunnableLambda(rest, name="rest").invoke(x) if sync_leaves else x
        log.append("worked")
        return result

    def rest(x: int) -> int:
        log.append("rest")
        return x

    def pieces(inputs: Any) -> Any:
        log.append("pieces")
        yield from inputs

    async def apieces(inputs: Any) -> Any:
        log.append("pieces")
        async for each in inputs:
            yield each

    inside = ["on_chain_start rest", "rest", "on_chain_end"] if sync_leaves else []

    async def body(c: Colour) -> None:
        step = RunnableLambda(work if sync_leaves else c.function(work), name="work")
        await c.invoke(step, 1, {"callbacks": [Slow()]})
        assert log == ["on_chain_start work", "work", *inside, "worked", "on_chain_end"]
        del log[:]
        chain = step | RunnableGenerator(pieces if c.sync else apieces, name="pieces")
        await c.collect(chain, 1, {"callbacks": [Slow()]})
        assert log.index("on_chain_start work") < log.index("work")
        assert log.index("on_chain_start pieces") < log.index("pieces")

    colour.run(body)


@BOTH
def test_a_call_inside_another_returns_when_the_handlers_know_of_its_end(kind: type[Notes]) -> None:
    log: list[str] = []

    class Ends(kind):  # type: ignore[valid-type, misc]
        def note(self, name: str, /, *args: Any, **kwargs: Any) -> None:
            time.sleep(0.001)
            if not name.endswith("start"):
                log.append(name)

    async def outer(x: int) -> None:
        inner = RunnableLambda(lambda x: x)
        await inner.ainvoke(x)
        log.append("after")
        assert [item async for item in inner.astream(x)] == [x]
        log.append("after")
        for call in (RunnableLambda(fail).ainvoke(x), anext(aiter(RunnableLambda(fail).astream(x)))):
            with pytest.raises(ValueError, match="no"):
                await call
            log.append("after")

    asyncio.run(RunnableLambda(outer).ainvoke(1, {"callbacks": [Ends()]}))
    ends = ["on_chain_end", "on_chain_end", "on_chain_error", "on_chain_error"]
    assert log == [entry for each in ends for entry in (each, "after")] + ["on_chain_end"]


def test_a_slow_handler_slows_the_leaf_and_not_the_loop() -> None:
    ahead = 0

    class Slow(BaseCallbackHandler):
        def __init__(self) -> None:
            self.go = threading.Event()
            self.count = 0

        def on_llm_new_token(self, token: str, **kwargs: Any) -> None:
            assert self.go.wait(10)
            self.count += 1

    model = ScriptedChatModel([["x"] * (3 * HIGH_WATER)])

    async def main() -> None:
        nonlocal ahead
        slow = Slow()
        turns = 0

        async def look() -> None:
            nonlocal turns, ahead
            while not slow.go.is_set():
                turns += 1
                await asyncio.sleep(0.001)
                if turns == 20:
                    ahead = seen
                    slow.go.set()

        looking = asyncio.create_task(look())
        seen = 0
        async for _ in model.astream("x", {"callbacks": [slow]}):
            seen += 1
        await looking
        assert slow.count == seen == 3 * HIGH_WATER + 1

    asyncio.run(main())
    assert HIGH_WATER <= ahead <= HIGH_WATER + 2


def test_what_outlives_the_call_is_told_as_far_as_it_can_be(caplog: pytest.LogCaptureFixture) -> None:
    plain, coroutines = Notes(), AsyncNotes()

    async def main() -> None:
        left: list[asyncio.Task[Any]] = []
        go = asyncio.Event()

        async def wait(_: Any) -> None:
            await go.wait()

        async def leave(x: int) -> int:
            left.append(asyncio.create_task(RunnableLambda(wait, name="late").ainvoke(x)))
            await asyncio.sleep(0)
            return x

        await RunnableLambda(leave).ainvoke(1, {"callbacks": [plain, coroutines]})
        assert plain.names() == ["chain_start", "chain_start", "chain_end"]
        go.set()
        await left[0]

    with caplog.at_level(logging.WARNING, "millstream"):
        asyncio.run(main())
    assert plain.names()[-1] == "chain_end" and plain.threads >= {threading.current_thread()}
    assert (
        "handler AsyncNotes missed `on_chain_end` of run 'late': the call that it was given to has ended" in caplog.text
    )


def test_a_task_that_begins_a_run_after_the_call_serves_its_handlers_itself() -> None:
    notes = AsyncNotes()

    async def main() -> None:
        left: list[asyncio.Task[Any]] = []
        go = asyncio.Event()

        async def later() -> None:
            await go.wait()
            await RunnableLambda(lambda x: x, name="late").ainvoke(1)

        async def leave(x: int) -> int:
            left.append(asyncio.create_task(later()))
            return x

        await RunnableLambda(leave).ainvoke(1, {"callbacks": [notes]})
        go.set()
        await left[0]
        assert notes.names() == ["chain_start", "chain_end", "chain_start", "chain_end"]

    asyncio.run(main())


# -- failing handlers --------------------------------------------------------------------------------------------------


class Broken(BaseCallbackHandler):
    def on_chain_start(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError("handler broke")


class ABroken(AsyncCallbackHandler):
    async def on_chain_start(self, *args: Any, **kwargs: Any) -> None:
        await asyncio.sleep(0)
        raise RuntimeError("handler broke")


@pytest.mark.parametrize("kind", [Broken, ABroken])
def test_a_failure_is_logged_and_the_run_goes_on(
    colour: Colour,  # noqa: F811
    kind: type[BaseCallbackHandler],
    caplog: pytest.LogCaptureFixture,
) -> None:
    notes = Notes()

    async def body(c: Colour) -> None:
        assert await c.invoke(RunnableLambda(lambda x: x, name="it"), 1, {"callbacks": [kind(), notes]}) == 1

    with caplog.at_level(logging.WARNING, "millstream"):
        colour.run(body)
    assert notes.names() == ["chain_start", "chain_end"]
    assert f"listener {kind.__name__} failed in run 'it': RuntimeError('handler broke')" in caplog.text


@pytest.mark.parametrize("kind", [Broken, ABroken])
@pytest.mark.parametrize("inline", [False, True])
def test_a_failure_with_raise_error_fails_the_run_before_its_work(
    colour: Colour,  # noqa: F811
    kind: type[BaseCallbackHandler],
    inline: bool,
) -> None:
    class Loud(kind):  # type: ignore[valid-type,misc]
        raise_error = True
        run_inline = inline

    worked: list[int] = []

    async def body(c: Colour) -> None:
        work = RunnableLambda(c.function(lambda x: worked.append(x)))
        for verb in (c.invoke, c.collect):
            with pytest.raises(RuntimeError, match="handler broke"):
                await verb(work, 1, {"callbacks": [Loud()]})
        assert worked == []

    colour.run(body)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_guard_stops_a_model_before_it_is_called(colour: Colour, asynchronous: bool) -> None:  # noqa: F811
    class Guard(BaseCallbackHandler):
        raise_error = True

        def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
            raise PermissionError("no more budget")

    class AGuard(AsyncCallbackHandler):
        raise_error = True

        async def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
            await asyncio.sleep(0)
            raise PermissionError("no more budget")

    async def body(c: Colour) -> None:
        model = ScriptedChatModel(["a b"])
        chain = RunnableLambda(lambda x: x) | model
        for verb in (c.invoke, c.collect):
            with pytest.raises(PermissionError, match="no more budget"):
                await verb(chain, "q", {"callbacks": [AGuard() if asynchronous else Guard()]})
        assert model.calls == []

    colour.run(body)


def test_a_failure_at_the_end_is_raised_in_the_place_of_the_result(colour: Colour) -> None:  # noqa: F811
    class Loud(AsyncCallbackHandler):
        raise_error = True

        async def on_chain_end(self, *args: Any, **kwargs: Any) -> None:
            raise RuntimeError("too late")

    async def body(c: Colour) -> None:
        for verb in (c.invoke, c.collect):
            with pytest.raises(RuntimeError, match="too late"):
                await verb(RunnableLambda(lambda x: x), 1, {"callbacks": [Loud()]})

    colour.run(body)


def test_sync_leaves_on_every_worker_wait_for_one_handler_without_a_deadlock() -> None:
    class Counts(BaseCallbackHandler):
        raise_error = True

        def __init__(self) -> None:
            self.count = 0

        def on_llm_new_token(self, token: str, **kwargs: Any) -> None:
            self.count += 1

    counts = Counts()

    def work(x: int) -> str:
        return "".join(chunk.text for chunk in ScriptedChatModel(["a b c"]).stream("x"))

    many = RunnableParallel({str(n): RunnableLambda(work) for n in range(100)})

    async def main() -> None:
        assert set((await many.ainvoke(1, {"callbacks": [counts]})).values()) == {"a b c"}

    asyncio.run(main())
    assert counts.count == 400


# -- cost --------------------------------------------------------------------------------------------------------------


def test_nobody_listening_takes_the_plain_path(run_async: Any) -> None:
    model = ScriptedChatModel([AIMessage("a")])

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("a run was made")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Scope, "begin", refuse)
        chain = RunnableLambda(lambda x: x) | model | StrOutputParser()
        assert chain.invoke("x") == "a"
        assert run_async(chain.ainvoke("x")) == "a"


def test_standard_output_shows_chains_and_tools(capsys: pytest.CaptureFixture[str]) -> None:
    @tool
    def double(n: int) -> int:
        """Double."""
        return n * 2

    chain = RunnableLambda(lambda n: {"n": n}, name="wrap") | double
    chain.invoke(2, {"callbacks": [StdOutCallbackHandler()], "run_name": "outer"})
    shown = capsys.readouterr().out
    assert [line.strip() for line in shown.splitlines() if line.strip()] == [
        "\033[1m> Entering new outer chain...\033[0m",
        "\033[1m> Entering new wrap chain...\033[0m",
        "\033[1m> Finished chain.\033[0m",
        "4",
        "\033[1m> Finished chain.\033[0m",
    ]
    double.invoke({"n": 3}, {"callbacks": [StdOutCallbackHandler(color="32")]})
    assert capsys.readouterr().out == "\033[32m6\033[0m\n"


def test_inline_handlers_are_called_before_the_others_in_async_runs(run_async: Any) -> None:
    order: list[str] = []

    class Plain(BaseCallbackHandler):
        def on_chain_start(self, *args: Any, **kwargs: Any) -> None:
            order.append("plain")

    class Inline(AsyncCallbackHandler):
        run_inline = True

        async def on_chain_start(self, *args: Any, **kwargs: Any) -> None:
            order.append("inline")

    async def body() -> None:
        await RunnableLambda(lambda x: x).ainvoke(1, {"callbacks": [Plain(), Inline()]})

    run_async(body())
    assert order == ["inline", "plain"]
    order.clear()
    RunnableLambda(lambda x: x).invoke(1, {"callbacks": [Plain(), Inline()]})
    assert order == ["plain", "inline"]  # in sync runs: as listed


def test_the_input_is_told_again_where_a_stream_was_fed_with_it(colour: Colour) -> None:  # noqa: F811
    def fail(x: Any) -> Any:
        raise ValueError(x)

    def unread(inputs: Any) -> Any:
        raise ValueError("8, unread")
        yield

    async def unread_async(inputs: Any) -> Any:
        raise ValueError("8, unread")
        yield

    async def body(c: Colour) -> None:
        notes = Notes()
        failing = RunnableLambda(c.function(fail))
        for run in (c.invoke, c.collect):
            with pytest.raises(ValueError, match="7"):
                await run(failing, 7, {"callbacks": [notes]})
        with pytest.raises(ValueError, match="8"):
            await c.collect(RunnableGenerator(unread if c.sync else unread_async), 8, {"callbacks": [notes]})
        told = [keywords.get("inputs") for name, _, keywords in notes.calls if name == "on_chain_error"]
        assert told == [None, 7, 8]

    colour.run(body)
