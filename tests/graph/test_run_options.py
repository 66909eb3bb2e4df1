"""Options of runs that are seldom given, and what they are refused for."""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from typing import Annotated, Any, TypedDict

import pytest
from colours import Colour, colour
from graph_helpers import chunks, graph_of, run, stream, thread
from pydantic import BaseModel, ValidationError

from millstream import (
    END,
    START,
    Command,
    CompiledStateGraph,
    EmptyInputError,
    InMemorySaver,
    InvalidUpdateError,
    RemainingSteps,
    RunnableConfig,
    RunnableLambda,
    RunnableParallel,
    StateGraph,
    interrupt,
)

__all__ = ["colour"]


def test_only_a_list_of_modes_tags_what_it_gives(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app = graph_of(a=c.function(lambda s: {"n": 1})).compile()
        assert await chunks(c, app, {"n": 0}, stream_mode=["updates"]) == [("updates", {"a": {"n": 1}})]
        assert await chunks(c, app, {"n": 0}, stream_mode=("updates",)) == [{"a": {"n": 1}}]

    colour.run(body)


def test_the_former_word_for_durability(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        saver = InMemorySaver()
        app = graph_of(("a", "b"), a=c.function(lambda s: {}), b=c.function(lambda s: {})).compile(checkpointer=saver)
        with pytest.warns(DeprecationWarning):
            await run(c, app, {"n": 1}, thread(), checkpoint_during=False)
        assert len(saver.ids("1", "")) == 1
        with pytest.warns(DeprecationWarning), pytest.raises(ValueError, match="durability"):
            await run(c, app, {"n": 1}, thread(), checkpoint_during=True, durability="sync")

    colour.run(body)


def test_durability_without_a_saver_is_told(colour: Colour, caplog: pytest.LogCaptureFixture) -> None:
    async def body(c: Colour) -> None:
        caplog.clear()
        await run(c, graph_of(a=c.function(lambda s: {})).compile(), {"n": 1}, durability="sync")
        assert "no effect without a checkpointer" in caplog.text

    colour.run(body)


def test_an_empty_command_is_no_input(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        for saver in (None, InMemorySaver()):
            app = graph_of(a=c.function(lambda s: {})).compile(checkpointer=saver)
            with pytest.raises(EmptyInputError, match="Received no input for __start__"):
                await run(c, app, Command(), thread())

    colour.run(body)


def test_a_command_to_an_empty_thread_is_its_input(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        for saver in (None, InMemorySaver()):
            nodes = {name: c.function(lambda state, name=name: {"log": [name]}) for name in ("a", "b")}
            app = graph_of((START, "a"), **nodes).compile(checkpointer=saver)
            command: Command[Any] = Command(update={"log": ["given"]}, goto="b")
            assert await run(c, app, command, thread()) == {"log": ["given", "a", "b"]}
            if saver is None:
                with pytest.raises(RuntimeError, match="without checkpointer"):
                    await run(c, app, Command(resume=1), thread())
                continue
            history = list(app.get_state_history(thread()))
            assert [(past.metadata["source"], past.next) for past in history[::-1]] == [
                ("input", ("__start__",)),
                ("loop", ("a", "b")),
                ("loop", ()),
            ]
            assert await run(c, app, Command(resume=1), thread("2")) == {"log": ["a"]}
            assert await run(c, app, Command(update={"log": ["more"]}), thread("2")) == {"log": ["a", "more"]}

    colour.run(body)


class Answer(BaseModel):
    ok: bool


def test_an_answer_in_the_form_asked_for_can_be_stored(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app = graph_of(a=c.function(lambda s: {"log": [interrupt("?", response_schema=Answer)]})).compile(
            checkpointer=InMemorySaver()
        )
        await run(c, app, {"n": 1}, thread())
        result = await run(c, app, Command(resume={"ok": True}), thread())
        assert result["log"] == [Answer(ok=True)]

    colour.run(body)


def test_snapshots_inside_name_the_checkpoints_above_them() -> None:
    inner = graph_of(x=lambda s: {"log": [interrupt("?")]}).compile()
    app = graph_of(kid=inner).compile(checkpointer=InMemorySaver())
    app.invoke({"n": 1}, thread())
    outside = app.get_state(thread(), subgraphs=True)
    [task] = outside.tasks
    own = task.state.config["configurable"]
    assert own["checkpoint_map"] == {
        "": outside.config["configurable"]["checkpoint_id"],
        own["checkpoint_ns"]: own["checkpoint_id"],
    }
    assert "checkpoint_map" not in outside.config["configurable"]


def test_a_copy_and_a_bound_graph_are_graphs() -> None:
    app: Any = graph_of(a=lambda s: {"n": s["n"] + 1}).compile()
    other = app.copy({"name": "Other"})
    assert isinstance(other, CompiledStateGraph)
    assert (app.name, other.name, app.config) == ("LangGraph", "Other", None)
    outer = graph_of(kid=app.with_config({"tags": ["bound"]})).compile()
    assert [name for name, _ in outer.get_subgraphs()] == ["kid"]
    assert outer.invoke({"n": 1})["n"] == 2


def test_an_update_by_an_unknown_node() -> None:
    app = graph_of(a=lambda s: {}).compile(checkpointer=InMemorySaver())
    with pytest.raises(InvalidUpdateError, match="Node zz does not exist"):
        app.update_state(thread(), {"n": 1}, as_node="zz")


def test_a_graph_that_is_streamed_with_its_tasks_config_gives_values() -> None:
    inner = graph_of(a=lambda s: {"n": 2}).compile()
    seen: list[Any] = []

    def node(state: Any, config: RunnableConfig) -> Any:
        seen.append(list(inner.stream({"n": 1}, config)))
        seen.append(list(inner.stream({"n": 1})))
        return {}

    graph_of(node=node).compile().invoke({"n": 0})
    assert seen == [[{"n": 1, "log": []}, {"n": 2, "log": []}], [{"a": {"n": 2}}]]


def test_the_runnable_layer_brings_its_own_limit_of_steps(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        class State(TypedDict):
            left: RemainingSteps
            log: Annotated[list[int], operator.add]

        app = graph_of(state=State, a=lambda state: {"log": [state["left"]]}).compile()
        result = {"log": [10006]}
        assert await c.invoke(app, {}) == result
        assert await c.collect(app, {}) == [{"a": result}]
        for chain in (RunnableLambda(lambda x: x) | app, app | RunnableLambda(lambda x: x)):
            assert await c.invoke(chain, {}) == {"log": [24]}
            assert await c.invoke(chain, {}, {"recursion_limit": 8}) == {"log": [7]}
        assert await c.collect(RunnableLambda(lambda x: x) | app, {}) == [{"a": {"log": [24]}}]
        assert await c.invoke(RunnableParallel(x=app), {}) == {"x": {"log": [24]}}
        assert await c.invoke(graph_of(state=State, a=app).compile(), {}) == result

    colour.run(body)


def test_an_empty_context_is_none(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        seen = []
        app = graph_of(a=lambda s, runtime: seen.append(runtime.context)).compile()
        for context in ({}, {"user": "ann"}):
            await run(c, app, {}, context=context)
        assert seen == [None, {"user": "ann"}]

    colour.run(body)


def test_a_graph_may_have_modes_of_its_own(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app = graph_of(a=c.function(lambda state: {"n": 1})).compile()
        app.stream_mode = ["values", "updates"]
        assert await chunks(c, app, {"n": 0}) == [
            ("values", {"n": 0, "log": []}),
            ("updates", {"a": {"n": 1}}),
            ("values", {"n": 1, "log": []}),
        ]
        assert await chunks(c, app, {"n": 0}, stream_mode="updates") == [{"a": {"n": 1}}]
        assert await run(c, app, {"n": 0}) == {"n": 1, "log": []}

    colour.run(body)


def test_all_nodes_as_breakpoints_are_one_sign() -> None:
    app = graph_of(a=lambda state: None).compile(interrupt_before="*", interrupt_after=["a"])
    assert (app.interrupt_before_nodes, app.interrupt_after_nodes) == ("*", ("a",))


def test_an_input_that_no_node_can_take_gives_the_error_alone(colour: Colour) -> None:
    class State(BaseModel):
        n: int

    async def body(c: Colour) -> None:
        app = graph_of(
            ("a", "b"), state=State, a=c.function(lambda s: {"n": "x"}), b=c.function(lambda s: None)
        ).compile()
        for given, told in (({"n": "x"}, []), ({"n": 1}, [{"n": 1}])):
            found = []
            with pytest.raises(ValidationError):
                async for values in stream(c, app, given, stream_mode="values"):
                    found.append(values)
            assert found == told

    colour.run(body)


def test_parts_of_graphs_inside_are_of_the_same_class_where_they_can(colour: Colour) -> None:
    @dataclass
    class State:
        n: int

    class Other(TypedDict):
        n: int
        more: str

    async def body(c: Colour) -> None:
        def classes(parts: Any) -> list[str]:
            return [type(part["data"]).__name__ for part in parts if part["ns"]]

        for inner, name in ((State, "State"), (Other, "dict")):
            node = c.function(lambda state: {"n": 2} if isinstance(state, State) else {"n": 2, "more": "x"})
            kid = graph_of(state=inner, node=node).compile()
            app = graph_of(state=State, kid=kid).compile()
            parts = await chunks(c, app, {"n": 1}, stream_mode="values", subgraphs=True, version="v2")
            assert classes(parts)[-1] == name

    colour.run(body)


def test_a_run_that_asks_before_it_has_a_result_gives_an_empty_one(colour: Colour) -> None:
    @dataclass
    class Result:
        log: list[str] = field(default_factory=list)

    async def body(c: Colour) -> None:
        ask = c.function(lambda state: {"log": [interrupt("?")]})
        for schema, empty in ((TypedDict("Narrow", {"more": str}), {}), (Result, Result())):
            graph = StateGraph(TypedDict("State", {"n": int, "log": list[str]}), output_schema=schema)
            app = graph.add_node("ask", ask).add_edge(START, "ask").compile()
            found = await run(c, app, {"n": 1}, version="v2")
            assert (found.value, [question.value for question in found.interrupts]) == (empty, ["?"])

    colour.run(body)


def test_a_mode_that_is_bound_gives_the_result_of_an_invoke(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app = graph_of(("a", END), a=lambda state: {"n": 1}).compile()
        assert await run(c, app.bind(stream_mode="values"), {"n": 0}) == {"n": 1, "log": []}
        assert await run(c, app.bind(stream_mode="updates"), {"n": 0}) == [{"a": {"n": 1}}]

    colour.run(body)
