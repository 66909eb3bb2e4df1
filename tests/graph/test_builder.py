"""Building a graph wrongly: every mistake is told as early as it can be known, with the thing's name and the mend."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import pytest
from graph_helpers import Log, graph_of
from pydantic import BaseModel

from millstream import (
    END,
    START,
    Command,
    InvalidGraph,
    InvalidType,
    LastValue,
    RemainingSteps,
    RunnableLambda,
    StateGraph,
    entrypoint,
)


def noop(state: Any) -> None:
    return None


def mine(a: Any, b: Any) -> Any:
    return b


class Other(TypedDict):
    log: Annotated[list[Any], mine]


class Private(TypedDict):
    secret: int


def peek(state: Private) -> None: ...


BAD: list[tuple[str, Callable[[], Any], type[Exception], str]] = [
    ("edge to an unknown node", lambda: graph_of(("a", "ghost"), a=noop).compile(), ValueError, r"unknown node 'ghost'.*add the node"),
    ("edge from an unknown node", lambda: graph_of(("ghost", "a"), a=noop).compile(), ValueError, "starts at the unknown node 'ghost'"),
    ("no entry", lambda: StateGraph(Log).add_node("a", noop).compile(), ValueError, "entrypoint.*START"),
    ("END as a start", lambda: StateGraph(Log).add_edge(END, "a"), ValueError, "END cannot be the start"),
    ("START as an end", lambda: StateGraph(Log).add_edge("a", START), ValueError, "START cannot be the end"),
    ("a list edge from an unknown node", lambda: graph_of(a=noop).add_edge(["zz"], "a"), ValueError, "add_node `zz` first"),
    ("a list edge to an unknown node", lambda: graph_of(a=noop).add_edge(["a"], "zz"), ValueError, "add_node `zz` first"),
    ("a name twice", lambda: graph_of(a=noop).add_node("a", noop), ValueError, "`a` already present"),
    ("a reserved name", lambda: StateGraph(Log).add_node("__start__", noop), ValueError, "reserved"),
    ("a name of the engine", lambda: StateGraph(Log).add_node("__interrupt__", noop), ValueError, "reserved"),
    ("a reserved character", lambda: StateGraph(Log).add_node("a|b", noop), ValueError, r"'\|' is a reserved"),
    ("another reserved character", lambda: StateGraph(Log).add_node("a:b", noop), ValueError, "':' is a reserved"),
    ("nothing to run", lambda: StateGraph(Log).add_node("a"), ValueError, "nothing to run"),
    ("something that cannot run", lambda: StateGraph(Log).add_node("a", 5), TypeError, "5 cannot be run"),
    ("an empty sequence", lambda: StateGraph(Log).add_sequence([]), ValueError, "at least one node"),
    ("a sequence with a name twice", lambda: StateGraph(Log).add_sequence([noop, noop]), ValueError, "already present"),
    ("a branch to an unknown node", lambda: graph_of(a=noop).add_conditional_edges("a", noop, ["ghost"]).compile(), ValueError, "'ghost'"),
    ("a branch from an unknown node", lambda: graph_of(a=noop).add_conditional_edges("ghost", noop).compile(), ValueError, "'ghost'"),
    ("a branch twice", lambda: graph_of(a=noop).add_conditional_edges("a", noop).add_conditional_edges("a", noop), ValueError, "`noop` already exists"),
    ("destinations that are unknown", lambda: StateGraph(Log).add_node("a", noop, destinations=("ghost",)).add_edge(START, "a").compile(), ValueError, "'ghost'"),
    ("a breakpoint at an unknown node", lambda: graph_of(a=noop).compile(interrupt_before=["zzz"]), ValueError, "'zzz'"),
    ("a checkpointer that is none", lambda: graph_of(a=noop).compile(checkpointer="sqlite"), TypeError, "saver"),
    ("an unknown keyword", lambda: StateGraph(Log).add_node("a", noop, colour="red"), TypeError, "'colour'"),
]  # fmt: skip


@pytest.mark.parametrize(("build", "error", "says"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_a_mistake_is_named(build: Callable[[], Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says) as caught:
        build()
    assert isinstance(caught.value, InvalidGraph | InvalidType)


def test_a_reducer_with_the_wrong_number_of_parameters() -> None:
    class Bad(TypedDict):
        k: Annotated[int, lambda x: x]

    with pytest.raises(ValueError, match="Invalid reducer signature for key 'k'"):
        StateGraph(Bad)


def test_two_reducers_for_one_key() -> None:
    with pytest.raises(InvalidGraph, match="'log' already exists with a different type"):
        StateGraph(Log, input_schema=Other)


def test_a_managed_value_cannot_be_input() -> None:
    class Managed(TypedDict):
        left: RemainingSteps

    with pytest.raises(InvalidGraph, match="left"):
        StateGraph(Log, input_schema=Managed)


def test_old_keywords_warn_and_work() -> None:
    class In(TypedDict):
        n: int

    with pytest.warns(DeprecationWarning, match="input_schema"):
        graph = StateGraph(Log, input=In)
    assert graph.input_schema is In


def test_names_come_from_what_is_run() -> None:
    class Walker:
        def __call__(self, state: Any) -> None: ...

    graph = StateGraph(Log)
    graph.add_node(noop).add_node(Walker()).add_node(RunnableLambda(noop, name="lam")).add_node(partial(noop))
    assert list(graph.nodes) == ["noop", "Walker", "lam", "partial"]
    for path in (noop, Walker(), RunnableLambda(noop, name="lam") | noop, RunnableLambda(noop, name="lam")):
        graph.add_conditional_edges(list(graph.nodes)[len(graph.branches)], path)
    assert [list(named) for named in graph.branches.values()] == [["noop"], ["condition"], ["condition"], ["lam"]]


def test_a_compiled_graph_names_its_nodes() -> None:
    app = StateGraph(Log).add_sequence([("b", noop), ("a", noop)]).set_entry_point("b").compile()
    assert list(app.nodes) == ["__start__", "b", "a"]
    assert app.nodes["a"] is noop


def test_channels_are_the_union_of_all_schemas() -> None:
    graph = StateGraph(Log).add_node("peek", peek)
    assert set(graph.channels) == {"n", "log", "secret"}
    assert isinstance(graph.channels["secret"], LastValue)


def test_destinations_come_from_the_return_annotation() -> None:
    def go(state: Any) -> Command[Literal["a", "b"]] | None:
        return None

    assert StateGraph(Log).add_node("go", go).nodes["go"].destinations == ("a", "b")


def test_a_compiled_graph_does_not_change(caplog: pytest.LogCaptureFixture) -> None:
    graph = graph_of(a=lambda s: {"log": ["a"]})
    app = graph.compile()
    graph.add_node("b", lambda s: {"log": ["b"]})
    graph.add_edge("a", "b")
    assert "was compiled" in caplog.text
    assert app.invoke({"log": []}) == {"log": ["a"]}
    assert graph.compile().invoke({"log": []}) == {"log": ["a", "b"]}


def test_dataclass_state_reaches_nodes_as_instances() -> None:
    @dataclass
    class State:
        n: int
        tag: str = "default"
        log: Annotated[list[str], operator.add] = field(default_factory=list)

    def node(state: Any) -> dict[str, Any]:
        return {"log": [f"{type(state).__name__} {state.n} {state.tag}"], "n": state.n + 1}

    app = graph_of(state=State, node=node).compile()
    assert app.invoke({"n": 1}) == {"n": 2, "log": ["State 1 default"]}
    assert app.invoke(State(n=5, tag="t")) == {"n": 6, "tag": "t", "log": ["State 5 t"]}
    with pytest.raises(TypeError, match="n"):
        app.invoke({"tag": "no n"})


def test_a_schema_that_names_something_local_says_what_to_do() -> None:
    def local(a: Any, b: Any) -> Any:
        return b

    class State(TypedDict):
        k: Annotated[list[Any], local]

    with pytest.raises(NameError) as caught:
        StateGraph(State)
    assert "top of the module" in caught.value.__notes__[0]


def test_a_dict_of_runnables_is_a_node() -> None:
    graph = StateGraph(Log).add_node({"n": lambda state: state["n"] * 3}).add_edge(START, "dict")
    graph.add_node("named", {"log": RunnableLambda(lambda state: [state["n"]])}).add_edge("dict", "named")
    assert graph.compile().invoke({"n": 2}) == {"n": 6, "log": [6]}


def test_the_fields_of_a_model_that_say_something_are_written() -> None:
    class Said(BaseModel):
        n: int | None = 5
        log: list[str] = ["default"]
        other: int | None = None

    class State(TypedDict, total=False):
        n: int | None
        log: list[str]
        other: int | None

    def after(said: Any) -> Any:
        graph = StateGraph(State).add_node("say", lambda state: said).add_edge(START, "say")
        return graph.compile().invoke({"other": 1})

    assert after(Said()) == {"n": 5, "log": ["default"], "other": 1}
    assert after(Said(n=None, log=[])) == {"n": None, "log": [], "other": 1}
    assert after(Said(other=None)) == {"n": 5, "log": ["default"], "other": None}


def test_schemas_have_the_graphs_name_where_the_type_has_none() -> None:
    @dataclass
    class State:
        "Not told: the schema is the graph's."

        x: int
        log: list[str] = field(default_factory=lambda: ["first"])

    app = StateGraph(State).add_node("a", lambda state: None).add_edge(START, "a").compile(name="Mill")
    assert app.get_input_jsonschema() == {
        "properties": {
            "x": {"title": "X", "type": "integer"},
            "log": {"default": ["first"], "items": {"type": "string"}, "title": "Log", "type": "array"},
        },
        "required": ["x"],
        "title": "MillInput",
        "type": "object",
    }
    root = StateGraph(int).add_node("a", lambda state: None).add_edge(START, "a").compile(name="Mill")
    assert root.get_output_jsonschema() == {"default": None, "title": "MillOutput", "type": "integer"}


def test_schemas_of_a_workflow_are_those_of_its_function() -> None:
    @entrypoint()
    def flow(x: list[int]) -> entrypoint.final[str, int]:
        return entrypoint.final(value="", save=0)

    assert flow.get_input_jsonschema() == {"items": {"type": "integer"}, "title": "LangGraphInput", "type": "array"}
    assert flow.get_output_jsonschema() == {"title": "LangGraphOutput", "type": "string"}

    @entrypoint()
    def bare(x):  # type: ignore[no-untyped-def]
        return x

    assert (bare.get_input_jsonschema(), bare.get_output_jsonschema()) == (
        {"title": "LangGraphInput"},
        {"title": "LangGraphOutput"},
    )


@pytest.mark.parametrize("path_map", [[], {}, None])
def test_a_path_without_a_map_may_lead_anywhere(path_map: Any) -> None:
    graph = graph_of(a=noop, b=lambda s: {"log": ["b"]})
    graph.add_conditional_edges("a", lambda state: "b", path_map)
    assert graph.compile().invoke({"log": []}) == {"log": ["b"]}


class Said(TypedDict):
    times: int
    word: str
    loudly: NotRequired[bool]
    by: Annotated[NotRequired[str], "who"]
    left: RemainingSteps


def test_a_graph_is_a_tool_with_the_keys_of_its_input() -> None:
    graph = StateGraph(Said)
    graph.add_node("say", lambda state: {"word": state["word"] * state["times"]})
    tool = graph.add_edge(START, "say").compile(name="sayer").as_tool(description="Say it.")
    assert (tool.name, sorted(tool.args)) == ("sayer", ["by", "loudly", "times", "word"])
    assert tool.tool_call_schema.model_json_schema()["required"] == ["times", "word"]
    assert tool.invoke({"times": 2, "word": "a"})["word"] == "aa"
    assert sorted(graph.compile().output_schema.model_json_schema()["properties"]) == ["by", "loudly", "times", "word"]

    @entrypoint()
    def shout(word: str) -> str:
        return word.upper()

    assert shout.as_tool(name="shout", description="Shout.").invoke("a") == "A"
