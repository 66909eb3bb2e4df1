"""Tracers: the tree of runs, and when it is handed over."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from colours import Colour, colour  # noqa: F401 - a fixture

from millstream import BaseTracer, ChatPromptTemplate, FakeListChatModel, Run, RunnableLambda, StrOutputParser, tool
from millstream.testing import ScriptedChatModel


class Keeps(BaseTracer):
    def __init__(self) -> None:
        super().__init__()
        self.roots: list[Run] = []
        self.hooks: list[str] = []

    def _persist_run(self, run: Run) -> None:
        self.roots.append(run)

    def _on_run_create(self, run: Run) -> None:
        self.hooks.append(f"create {run.name}")

    def _on_run_update(self, run: Run) -> None:
        self.hooks.append(f"update {run.name}")

    def _on_chain_start(self, run: Run) -> None:
        self.hooks.append(f"chain_start {run.name}")

    def _on_llm_end(self, run: Run) -> None:
        self.hooks.append(f"llm_end {run.name}")

    def _on_llm_new_token(self, run: Run, token: str, chunk: Any) -> None:
        self.hooks.append(f"token {token}")


@tool
def double(x: int) -> int:
    """Twice."""
    return 2 * x


def shape(run: Run) -> Any:
    return (run.name, run.run_type, [shape(child) for child in run.child_runs])


def test_the_tree_of_a_chain(colour: Colour) -> None:  # noqa: F811
    keeps = Keeps()
    before = datetime.now(UTC)

    async def body(c: Colour) -> None:
        prompt = ChatPromptTemplate.from_messages([("human", "{q}")])
        chain = prompt | ScriptedChatModel(["a b"]) | StrOutputParser()
        await c.collect(chain, {"q": "x"}, {"callbacks": [keeps], "tags": ["t"], "metadata": {"m": 1}})

    colour.run(body)
    (root,) = keeps.roots
    assert shape(root) == (
        "RunnableSequence",
        "chain",
        [("ChatPromptTemplate", "prompt", []), ("ScriptedChatModel", "llm", []), ("StrOutputParser", "parser", [])],
    )
    assert root.inputs == {"q": "x"} and root.outputs == {"output": "a b"} and root.error is None
    assert root.tags == ["t"] and root.metadata == {"m": 1} and root.parent_run_id is None
    assert before <= root.start_time <= root.end_time <= datetime.now(UTC)  # type: ignore[operator]
    model = root.child_runs[1]
    assert model.trace_id == root.trace_id == root.id == model.parent_run_id
    assert [event["name"] for event in model.events] == ["start", *["new_token"] * 3, "end"]
    assert model.inputs == {"prompts": ["Human: x"]}
    assert model.outputs["generations"][0][0]["text"] == "a b"
    assert keeps.hooks[:2] == ["create RunnableSequence", "chain_start RunnableSequence"]
    assert "token a" in keeps.hooks and "llm_end ScriptedChatModel" in keeps.hooks
    assert keeps.hooks[-1] == "update RunnableSequence" and keeps.run_map == {}


def test_failures_and_tools(colour: Colour) -> None:  # noqa: F811
    async def body(c: Colour) -> None:
        keeps = Keeps()
        with pytest.raises(ValueError):
            await c.invoke(RunnableLambda(lambda x: {"x": x}) | double, "z", {"callbacks": [keeps]})
        (root,) = keeps.roots
        assert root.outputs == {} and "validation error" in str(root.error) and root.child_runs[1].error is not None
        assert root.child_runs[1].inputs == {"x": "z"} and root.child_runs[0].outputs == {"x": "z"}
        await c.invoke(double, {"x": 2}, {"callbacks": [keeps]})
        assert keeps.roots[1].outputs == {"output": 4} and keeps.run_map == {}
        with pytest.raises(RuntimeError, match="cut"):
            await c.collect(ScriptedChatModel([["ab", RuntimeError("cut")]]), "x", {"callbacks": [keeps]})
        assert keeps.roots[2].outputs["generations"][0][0]["text"] == "ab"  # what had come

    colour.run(body)


def test_events_of_runs_that_began_unseen_are_left_out() -> None:
    keeps = Keeps()
    keeps.on_chain_end(1, run_id="x")
    keeps.on_chain_error(ValueError(), run_id="x")
    keeps.on_llm_new_token("a", run_id="x")
    assert keeps.roots == [] and keeps.hooks == []


# -- with_listeners ----------------------------------------------------------------------------------------------------


class Told:
    def __init__(self) -> None:
        self.log: list[Any] = []

    def start(self, run: Run) -> None:
        self.log.append(("start", run.name, run.inputs))

    def end(self, run: Run, config: Any) -> None:
        self.log.append(("end", run.outputs, len(run.child_runs), config["metadata"]))

    def error(self, run: Run) -> None:
        self.log.append(("error", str(run.error).partition("(")[0]))


class AToldBy(Told):
    async def astart(self, run: Run) -> None:
        await asyncio.sleep(0)
        assert run.outputs == {}  # nothing of what comes later is known yet
        self.start(run)

    async def aend(self, run: Run, config: Any) -> None:
        await asyncio.sleep(0)
        self.end(run, config)

    async def aerror(self, run: Run) -> None:
        await asyncio.sleep(0)
        self.error(run)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_functions_are_told_of_the_own_run_only(colour: Colour, asynchronous: bool) -> None:  # noqa: F811
    async def body(c: Colour) -> None:
        told = AToldBy()
        inner = RunnableLambda(lambda x: 1 // x, name="inner")
        outer: Any = inner | RunnableLambda(lambda x: x + 1)
        if asynchronous:
            it = outer.with_alisteners(on_start=told.astart, on_end=told.aend, on_error=told.aerror)
        else:
            it = outer.with_listeners(on_start=told.start, on_end=told.end, on_error=told.error)
        chain = RunnableLambda(lambda x: x) | it
        assert await c.invoke(chain, 1, {"metadata": {"m": 1}}) == 2
        assert told.log == [("start", "RunnableSequence", {"input": 1}), ("end", {"output": 2}, 2, {"m": 1})]
        del told.log[:]
        with pytest.raises(ZeroDivisionError):
            await c.invoke(chain, 0)
        assert told.log == [("start", "RunnableSequence", {"input": 0}), ("error", "ZeroDivisionError")]
        del told.log[:]
        assert await c.collect(it.bind().with_config(metadata={"m": 2}), 1) == [2]
        assert told.log == [("start", "RunnableSequence", {"input": ""}), ("end", {"output": 2}, 2, {"m": 2})]
        del told.log[:]
        outputs = it.batch([1, 1]) if c.sync else await it.abatch([1, 1])
        assert outputs == [2, 2] and [entry[0] for entry in told.log].count("end") == 2
        assert it.get_name() == "RunnableSequence"

    colour.run(body)


def test_listeners_get_the_messages_of_a_model_and_the_name_that_was_given(colour: Colour) -> None:  # noqa: F811
    async def body(c: Colour) -> None:
        told: list[Any] = []

        def ended(run: Run, config: Any) -> None:
            told.append((run.name, run.run_type, run.inputs["messages"][0][0].text, config["run_name"]))

        await c.invoke(ScriptedChatModel(["a"]).with_listeners(on_end=ended), "x", {"run_name": "grinding"})
        assert told == [("grinding", "chat_model", "x", "grinding")]

    colour.run(body)


def test_a_tracer_may_take_the_messages_of_a_model() -> None:
    class Chats(Keeps):
        def _on_chat_model_start(self, run: Run) -> None:
            self.hooks.append(run.inputs["messages"][0][0].text)

    chats = Chats()
    ScriptedChatModel(["a"]).invoke("x", {"callbacks": [chats]})
    assert "x" in chats.hooks and chats.roots[0].run_type == "chat_model"


def test_the_listeners_added_last_are_told_first(colour: Colour) -> None:  # noqa: F811
    async def body(c: Colour) -> None:
        log: list[str] = []
        it = RunnableLambda(lambda x: x)
        for name in ("a", "b"):
            it = it.with_listeners(  # type: ignore[assignment]
                on_start=lambda run, name=name: log.append(f"start {name}"),
                on_end=lambda run, name=name: log.append(f"end {name}"),
            )
        await c.invoke(it, 1)
        assert log == ["start b", "start a", "end b", "end a"]

    colour.run(body)


def test_an_error_of_a_listener_is_logged(colour: Colour, caplog: pytest.LogCaptureFixture) -> None:  # noqa: F811
    def broken(run: Run) -> None:
        raise RuntimeError("listener broke")

    async def body(c: Colour) -> None:
        assert await c.invoke(RunnableLambda(lambda x: x).with_listeners(on_start=broken), 1) == 1

    colour.run(body)
    assert "RuntimeError('listener broke')" in caplog.text


def test_functions_are_told_chat_models_by_their_own_name() -> None:
    told: list[Any] = []
    model = FakeListChatModel(responses=["a"])
    model.with_listeners(on_start=lambda run: told.append((run.run_type, dict(run.outputs)))).invoke("q")
    assert told == [("chat_model", {})]
