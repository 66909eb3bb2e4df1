"""What every saver must do, as checks that run on any: on ours, and on one of your own with the public methods.

```python
import pytest
from millstream.testing import saver_checks

@pytest.mark.parametrize("check", saver_checks(MySaver), ids=str)
def test_my_saver(check):
    check.run(MySaver())          # its sync methods; `await check.arun(saver)`: the async ones
```

A check uses threads that nobody else has, so all may run on one database.
"""

from __future__ import annotations

import operator
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

from ..data.ids import new_id
from ..data.messages import AIMessage, HumanMessage, ToolMessage
from ..errors import LeaseHeld, LeaseLost
from ..flow.driver import as_async
from ..flow.step import step
from ..graph.builder import StateGraph
from ..graph.constants import START
from ..graph.control import Command, Send
from ..graph.interrupts import interrupt
from ..graph.savers.base import BaseCheckpointSaver
from ..graph.savers.ids import checkpoint_id

__all__ = ["SaverCheck", "saver_checks"]


class _Calls:
    """The methods of a saver, and of a graph on it, in one colour."""

    def __init__(self, saver: Any, sync: bool) -> None:
        self.saver = saver
        self.sync = sync

    async def __call__(self, method: str, *args: Any, of: Any = None, **options: Any) -> Any:
        target = self.saver if of is None else of
        if self.sync:
            return getattr(target, method)(*args, **options)
        return await getattr(target, f"a{method}")(*args, **options)

    def _iterate(self, method: str, *args: Any, of: Any, **options: Any) -> AsyncIterator[Any]:
        if self.sync:
            return as_async(iter(getattr(of, method)(*args, **options)))
        found: AsyncIterator[Any] = getattr(of, f"a{method}")(*args, **options)
        return found

    async def found(self, *args: Any, **options: Any) -> list[Any]:
        return [found async for found in self._iterate("list", *args, of=self.saver, **options)]

    async def history(self, app: Any, config: Any) -> list[Any]:
        return [found async for found in self._iterate("get_state_history", config, of=app)]


Body = Callable[[_Calls], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class SaverCheck:
    """One thing that a saver must do. `needs` is the method without which it does not apply."""

    name: str
    body: Body
    needs: str | None = None

    def run(self, saver: Any) -> None:
        """Check the sync methods; raises AssertionError (or what the saver raises) where it fails."""
        step(self.body(_Calls(saver, sync=True)))  # type: ignore[arg-type]

    async def arun(self, saver: Any) -> None:
        """Check the async methods."""
        await self.body(_Calls(saver, sync=False))

    def __str__(self) -> str:
        return self.name


_checks: list[SaverCheck] = []


def saver_checks(saver: type | None = None) -> list[SaverCheck]:
    """The checks that apply to a class of savers (None: all of them).

    Those of methods that a saver does not have (`copy_thread`, `prune`, `acquire_lease`, ...) are left out.
    """
    return [check for check in _checks if saver is None or check.needs is None or _has(saver, check.needs)]


def _has(saver: type, method: str) -> bool:
    found = getattr(saver, method, None)
    return found is not None and found is not getattr(BaseCheckpointSaver, method, None)


def _check(body: Body) -> Body:
    _checks.append(SaverCheck(getattr(body, "__name__", "").replace("_", " ").strip(), body))
    return body


def _check_of(method: str) -> Callable[[Body], Body]:
    def add(body: Body) -> Body:
        _checks.append(SaverCheck(getattr(body, "__name__", "").replace("_", " ").strip(), body, method))
        return body

    return add


def _at(thread: str, id: str | None = None, ns: str = "") -> dict[str, Any]:
    configurable = {"thread_id": thread, "checkpoint_ns": ns}
    return {"configurable": configurable if id is None else {**configurable, "checkpoint_id": id}}


def _checkpoint(values: dict[str, Any]) -> dict[str, Any]:
    return {
        "v": 4,
        "id": checkpoint_id(),
        "ts": "2026-01-01T00:00:00+00:00",
        "channel_values": values,
        "channel_versions": dict.fromkeys(values, 1),
        "versions_seen": {"node": dict.fromkeys(values, 1)},
        "updated_channels": sorted(values),
    }


async def _put(s: _Calls, thread: str, values: dict[str, Any], parent: Any = None, **metadata: Any) -> dict[str, Any]:
    config = _at(thread) if parent is None else parent
    metadata = {"source": "loop", "step": 0, "parents": {}, **metadata}
    stored: dict[str, Any] = await s("put", config, _checkpoint(values), metadata, dict.fromkeys(values, 1))
    return stored


def _id(config: Any) -> str:
    found: str = config["configurable"]["checkpoint_id"]
    return found


# -- the public methods ------------------------------------------------------------------------------------------------


@_check
async def an_unknown_thread_has_nothing(s: _Calls) -> None:
    assert await s("get_tuple", _at(new_id())) is None
    assert await s("get_tuple", _at(new_id(), checkpoint_id())) is None
    assert await s.found(_at(new_id())) == []


@_check
async def a_checkpoint_comes_back_as_it_was_put(s: _Calls) -> None:
    thread, checkpoint = new_id(), _checkpoint({"k": [1, {"deep": "text"}], "n": None})
    metadata = {"source": "input", "step": -1, "parents": {"": "x"}, "writes": None, "user": 7}
    config = await s("put", _at(thread), checkpoint, metadata, {"k": 1})
    assert config["configurable"]["thread_id"] == thread
    assert _id(config) == checkpoint["id"]
    found = await s("get_tuple", config)
    assert found.checkpoint["channel_values"] == checkpoint["channel_values"]
    assert {key: found.checkpoint[key] for key in checkpoint} == checkpoint
    assert {key: found.metadata[key] for key in metadata} == metadata
    assert _id(found.config) == checkpoint["id"]
    assert found.parent_config is None
    assert not found.pending_writes


@_check
async def the_latest_is_the_one_with_the_greatest_id(s: _Calls) -> None:
    thread = new_id()
    configs = [await _put(s, thread, {"n": n}) for n in range(3)]
    assert (await s("get_tuple", _at(thread))).checkpoint["channel_values"] == {"n": 2}
    assert (await s("get_tuple", configs[1])).checkpoint["channel_values"] == {"n": 1}


@_check
async def a_checkpoint_names_the_one_before(s: _Calls) -> None:
    thread = new_id()
    first = await _put(s, thread, {"n": 1})
    second = await _put(s, thread, {"n": 2}, parent=first)
    found = await s("get_tuple", second)
    assert _id(found.parent_config) == _id(first)


@_check
async def threads_and_namespaces_do_not_meet(s: _Calls) -> None:
    own = new_id()
    names = [own, own + " ", own.upper(), f"{own}'", f"{own}%", f"{own}*", f"{own}\r\nDEL x", f"{own} é{chr(0x1F600)}"]
    spaces = ["", "a", "a|b", "a:1", "%", "a'--"]
    for name in names:
        for ns in spaces:
            await s("put", _at(name, ns=ns), _checkpoint({"at": [name, ns]}), {"source": "loop", "step": 0}, {})
    for name in names:
        for ns in spaces:
            found = await s("get_tuple", _at(name, ns=ns))
            assert found.checkpoint["channel_values"] == {"at": [name, ns]}
            assert len(await s.found(_at(name, ns=ns))) == 1


@_check
async def a_list_is_newest_first_and_can_be_narrowed(s: _Calls) -> None:
    thread = new_id()
    configs = []
    for n in range(5):
        configs.append(await _put(s, thread, {"n": n}, step=n, source="input" if n % 2 else "loop"))
    found = await s.found(_at(thread))
    assert [each.metadata["step"] for each in found] == [4, 3, 2, 1, 0]
    assert [each.metadata["step"] for each in await s.found(_at(thread), limit=2)] == [4, 3]
    assert [each.metadata["step"] for each in await s.found(_at(thread), before=configs[2])] == [1, 0]
    assert [each.metadata["step"] for each in await s.found(_at(thread), filter={"source": "input"})] == [3, 1]
    assert [each.metadata["step"] for each in await s.found(_at(thread), filter={"source": "input"}, limit=1)] == [3]
    assert await s.found(_at(thread), filter={"source": "input", "step": 0}) == []


@_check
async def ordinary_writes_are_final_and_special_ones_replaced(s: _Calls) -> None:
    thread = new_id()
    config = await _put(s, thread, {})
    await s("put_writes", config, [("a", 1), ("b", [2])], "task")
    await s("put_writes", config, [("a", "later"), ("b", "later")], "task")
    await s("put_writes", config, [("__error__", "first")], "other")
    await s("put_writes", config, [("__error__", "second")], "other")
    found = (await s("get_tuple", config)).pending_writes
    assert sorted(map(tuple, found), key=lambda write: write[:2]) == [
        ("other", "__error__", "second"),
        ("task", "a", 1),
        ("task", "b", [2]),
    ]


@_check
async def writes_belong_to_their_checkpoint(s: _Calls) -> None:
    thread = new_id()
    first = await _put(s, thread, {})
    await s("put_writes", first, [("k", "first")], "task")
    second = await _put(s, thread, {}, parent=first)
    assert not (await s("get_tuple", second)).pending_writes
    assert list(map(tuple, (await s("get_tuple", first)).pending_writes)) == [("task", "k", "first")]


@_check
async def what_is_changed_later_does_not_reach_what_is_stored(s: _Calls) -> None:
    thread, values = new_id(), {"list": [1]}
    config = await _put(s, thread, values)
    values["list"].append(2)
    found = await s("get_tuple", config)
    assert found.checkpoint["channel_values"] == {"list": [1]}
    found.checkpoint["channel_values"]["list"].append(3)
    assert (await s("get_tuple", config)).checkpoint["channel_values"] == {"list": [1]}


@_check
async def messages_and_odd_values_come_back(s: _Calls) -> None:
    thread = new_id()
    values = {
        "messages": [
            HumanMessage("hi", id="1"),
            AIMessage("", id="2", tool_calls=[{"name": "f", "args": {"a": 1}, "id": "c", "type": "tool_call"}]),
            ToolMessage("result", tool_call_id="c", id="3"),
        ],
        "send": Send("node", {"x": [1]}),
        "text": "é \u2028 line",
        "bytes": b"\x00\xff",
        "number": 2**70,
        "set": {1, 2},
        "forged": {"lc": 1, "type": "constructor", "id": ["os", "system"], "kwargs": {}},
    }
    found = await s("get_tuple", await _put(s, thread, values))
    assert found.checkpoint["channel_values"] == values


@_check
async def a_deleted_thread_is_gone_and_no_other(s: _Calls) -> None:
    thread, other = new_id(), new_id()
    config = await _put(s, thread, {"n": 1})
    await s("put_writes", config, [("k", 1)], "task")
    await _put(s, other, {"n": 2})
    await s("delete_thread", thread)
    assert await s("get_tuple", _at(thread)) is None
    assert await s.found(_at(thread)) == []
    assert await s("get_tuple", _at(other)) is not None


@_check_of("copy_thread")
async def a_copy_is_whole_and_goes_its_own_way(s: _Calls) -> None:
    thread, copy = new_id(), new_id()
    first = await _put(s, thread, {"n": 1})
    last = await _put(s, thread, {"n": 2}, parent=first)
    await s("put_writes", last, [("k", 1)], "task")
    await s("copy_thread", thread, copy)
    found = await s.found(_at(copy))
    assert [each.checkpoint["channel_values"] for each in found] == [{"n": 2}, {"n": 1}]
    assert list(map(tuple, found[0].pending_writes)) == [("task", "k", 1)]
    await s("delete_thread", thread)
    assert len(await s.found(_at(copy))) == 2


@_check_of("prune")
async def pruning_keeps_the_latest(s: _Calls) -> None:
    thread, other = new_id(), new_id()
    config = None
    for n in range(4):
        config = await _put(s, thread, {"n": n}, parent=config)
    await _put(s, other, {"n": 0})
    await s("prune", [thread], strategy="keep_latest")
    assert [each.checkpoint["channel_values"] for each in await s.found(_at(thread))] == [{"n": 3}]
    await s("prune", [thread], strategy="delete")
    assert await s.found(_at(thread)) == []
    assert len(await s.found(_at(other))) == 1


@_check_of("delete_for_runs")
async def checkpoints_of_runs_are_forgotten(s: _Calls) -> None:
    thread, run = new_id(), new_id()
    await _put(s, thread, {"n": 0}, run_id=new_id())
    await _put(s, thread, {"n": 1}, run_id=run)
    await s("delete_for_runs", [run])
    assert [each.checkpoint["channel_values"] for each in await s.found(_at(thread))] == [{"n": 0}]


# -- under a graph -----------------------------------------------------------------------------------------------------


class _State(TypedDict, total=False):
    log: Annotated[list[str], operator.add]


def _graph(s: _Calls, *edges: tuple[str, str], **nodes: Any) -> Any:
    graph: StateGraph[Any, Any, Any, Any] = StateGraph(_State)
    for name, node in nodes.items():
        graph.add_node(name, node)
    for start, end in edges or [(START, next(iter(nodes)))]:
        graph.add_edge(start, end)
    return graph.compile(checkpointer=s.saver)


def _says(word: str) -> Callable[[Any], Any]:
    return lambda state: {"log": [word]}


@_check
async def a_graph_goes_on_where_it_was(s: _Calls) -> None:
    app = _graph(s, (START, "a"), ("a", "b"), a=_says("a"), b=_says("b"))
    config = {"configurable": {"thread_id": new_id()}}
    for durability in ("sync", "async", "exit"):
        await s("invoke", {"log": ["in"]}, config, of=app, durability=durability)
    assert (await s("get_state", config, of=app)).values == {"log": ["in", "a", "b"] * 3}
    history = await s.history(app, config)
    steps = [snapshot.metadata["step"] for snapshot in history]
    assert steps == sorted(steps, reverse=True)
    assert [len(snapshot.values["log"]) for snapshot in history][-4:] == [3, 2, 1, 0]


@_check
async def a_question_is_answered_later(s: _Calls) -> None:
    app = _graph(s, ask=lambda state: {"log": [interrupt("name?")]})
    config = {"configurable": {"thread_id": new_id()}}
    first = await s("invoke", {"log": ["in"]}, config, of=app)
    assert [question.value for question in first["__interrupt__"]] == ["name?"]
    waiting = await s("get_state", config, of=app)
    assert waiting.next == ("ask",)
    assert [question.value for question in waiting.interrupts] == ["name?"]
    assert await s("invoke", Command(resume="bob"), config, of=app) == {"log": ["in", "bob"]}


@_check
async def finished_siblings_of_a_failure_are_not_run_again(s: _Calls) -> None:
    calls: list[str] = []

    def good(state: Any) -> Any:
        calls.append("good")
        return {"log": ["good"]}

    def bad(state: Any) -> Any:
        calls.append("bad")
        if calls.count("bad") == 1:
            raise ValueError("boom")
        return {"log": ["bad"]}

    app = _graph(s, (START, "bad"), (START, "good"), bad=bad, good=good)
    config = {"configurable": {"thread_id": new_id()}, "max_concurrency": 1}
    try:
        await s("invoke", {"log": []}, config, of=app)
    except ValueError:
        pass
    ran = calls.count("good")
    result = await s("invoke", None, config, of=app)
    assert sorted(result["log"]) == ["bad", "good"]
    assert calls.count("good") == max(ran, 1)


@_check
async def a_branch_begins_at_an_old_checkpoint(s: _Calls) -> None:
    app = _graph(s, (START, "a"), ("a", "b"), a=_says("a"), b=_says("b"))
    config = {"configurable": {"thread_id": new_id()}}
    await s("invoke", {"log": ["in"]}, config, of=app)
    before_b = next(found for found in await s.history(app, config) if found.next == ("b",))
    changed = await s("update_state", before_b.config, {"log": ["changed"]}, of=app)
    assert (await s("invoke", None, changed, of=app))["log"] == ["in", "a", "changed", "b"]
    assert (await s("get_state", config, of=app)).values["log"] == ["in", "a", "changed", "b"]
    assert (await s("get_state", before_b.config, of=app)).values["log"] == ["in", "a"]


# -- leases ------------------------------------------------------------------------------------------------------------


@_check_of("acquire_lease")
async def one_owner_at_a_time(s: _Calls) -> None:
    thread = new_id()
    lease = await s("acquire_lease", thread, seconds=60)
    own = {"configurable": {"thread_id": thread, "checkpoint_ns": "", "lease": lease}}
    config = await s("put", own, _checkpoint({"n": 1}), {"source": "loop", "step": 0}, {})
    for attempt in ("put", "acquire", "put_writes"):
        try:
            if attempt == "put":
                await _put(s, thread, {"n": 2})
            elif attempt == "acquire":
                await s("acquire_lease", thread)
            else:
                await s("put_writes", config, [("k", 1)], "task")
        except LeaseHeld:
            continue
        raise AssertionError(f"{attempt} was not refused")
    await s("renew", of=lease)
    await s("release", of=lease)
    second = await s("acquire_lease", thread)
    assert second.epoch > lease.epoch
    try:
        await s("put", own, _checkpoint({"n": 3}), {"source": "loop", "step": 1}, {})
    except LeaseLost:
        pass
    else:
        raise AssertionError("a commit under a lost lease was not refused")
    await s("release", of=second)
    assert [found.checkpoint["channel_values"] for found in await s.found(_at(thread))] == [{"n": 1}]
