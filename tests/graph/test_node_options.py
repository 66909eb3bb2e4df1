"""Options of nodes and runs: error handlers, timeouts, caches, draining."""

from __future__ import annotations

import asyncio
import operator
from typing import Annotated, Any, TypedDict

import pytest
from colours import Colour, colour
from graph_helpers import Log, chunks, graph_of, run, stream, thread

from millstream import (
    START,
    CachePolicy,
    Command,
    GraphDrained,
    InMemoryCache,
    InMemorySaver,
    InvalidArgument,
    NodeError,
    NodeTimeoutError,
    RetryPolicy,
    RunControl,
    RunnableLambda,
    Runtime,
    StateGraph,
    TimeoutPolicy,
    interrupt,
)

__all__ = ["colour"]


def failing(state: Any) -> Any:
    raise ValueError(f"no {state['n']}")


def handled(state: Any, error: NodeError) -> Any:
    return {"log": [f"{error.node}: {error.error} with {state['n']}"]}


def guarded(node: Any, **options: Any) -> StateGraph[Any, Any, Any, Any]:
    graph: StateGraph[Any, Any, Any, Any] = StateGraph(Log)
    graph.add_node("a", node, **options)
    graph.add_node("z", lambda state: {"log": ["z"]})
    graph.add_edge(START, "a")
    graph.add_edge("a", "z")
    return graph


# -- error handlers --------------------------------------------------------------------------------------------------


def test_a_handler_writes_under_its_own_name_and_the_edges_of_the_failed_node_are_not_followed(colour: Colour) -> None:
    app = guarded(failing, error_handler=handled).compile()

    async def body(c: Colour) -> Any:
        return await chunks(c, app, {"n": 1, "log": []}, stream_mode=["updates", "tasks"])

    told = colour.run(body)
    assert [data for mode, data in told if mode == "updates"] == [{"__error_handler__a": {"log": ["a: no 1 with 1"]}}]
    names = [(data["name"], "input" in data, repr(data.get("error"))) for mode, data in told if mode == "tasks"]
    assert names == [
        ("a", True, "None"),
        ("a", False, "ValueError('no 1')"),
        ("__error_handler__a", False, "None"),
    ]
    assert len({data["id"] for mode, data in told if mode == "tasks"}) == 2


def test_a_handler_may_route_and_runs_only_after_the_last_attempt(colour: Colour) -> None:
    attempts = []

    def flaky(state: Any, runtime: Runtime[Any]) -> Any:
        attempts.append(runtime.execution_info.node_attempt)
        raise ConnectionError

    def handler(state: Any, error: NodeError) -> Any:
        return Command(goto="z", update={"log": [type(error.error).__name__]})

    policy = RetryPolicy(initial_interval=0, jitter=False)
    app = guarded(flaky, retry_policy=policy, error_handler=handler).compile()
    assert colour.run(lambda c: run(c, app, {"n": 1})) == {"n": 1, "log": ["ConnectionError", "z"]}
    assert attempts == [1, 2, 3]


def test_a_failing_handler_fails_the_run(colour: Colour) -> None:
    def handler(state: Any, error: NodeError) -> Any:
        raise KeyError("worse")

    app = guarded(failing, error_handler=handler).compile()
    with pytest.raises(KeyError, match="worse"):
        colour.run(lambda c: run(c, app, {"n": 1}))


def test_the_default_handler_is_for_nodes_without_their_own_and_the_builder_compiles_twice(colour: Colour) -> None:
    graph = graph_of((START, "a"), (START, "b"), a=failing, b=lambda state: {"log": ["b"]})
    graph.set_node_defaults(error_handler=handled)
    for _ in range(2):
        app = graph.compile()
        assert colour.run(lambda c: run(c, app, {"n": 2})) == {"n": 2, "log": ["a: no 2 with 2", "b"]}  # noqa: B023


def test_what_a_handler_wrote_is_not_made_again_when_a_sibling_was_asked(colour: Colour) -> None:
    ran = []

    def node(state: Any) -> Any:
        ran.append("a")
        raise ValueError("no")

    graph = graph_of((START, "b"), b=lambda state: {"log": [interrupt("?")]})
    graph.add_node("a", node, error_handler=_mend)
    graph.add_edge(START, "a")
    app = graph.compile(InMemorySaver())

    async def body(c: Colour) -> Any:
        await run(c, app, {"n": 1}, thread())
        return await run(c, app, Command(resume="yes"), thread())

    assert colour.run(body) == {"n": 1, "log": ["mended", "yes"]}
    assert ran == ["a"]


def _mend(state: Any, error: NodeError) -> Any:
    return {"log": ["mended"]}


# -- time ------------------------------------------------------------------------------------------------------------


async def slow(state: Any) -> Any:
    await asyncio.sleep(5)


def test_an_attempt_that_takes_too_long_is_stopped_and_made_again() -> None:
    attempts = []

    async def node(state: Any, runtime: Runtime[Any]) -> Any:
        attempts.append(runtime.execution_info.node_attempt)
        if len(attempts) < 2:
            await asyncio.sleep(5)
        return {"log": ["done"]}

    policy = RetryPolicy(initial_interval=0, jitter=False)
    app = guarded(node, timeout=0.02, retry_policy=policy).compile()
    assert asyncio.run(app.ainvoke({"n": 1}))["log"] == ["done", "z"]
    assert attempts == [1, 2]


def test_a_timeout_tells_which_bound_was_passed() -> None:
    app = guarded(slow, timeout=TimeoutPolicy(run_timeout=5, idle_timeout=0.02)).compile()
    with pytest.raises(NodeTimeoutError) as caught:
        asyncio.run(app.ainvoke({"n": 1}))
    error = caught.value
    assert (error.node, error.timeout, error.kind) == ("a", 0.02, "idle")
    assert 0.02 <= error.elapsed < 5
    assert isinstance(error, TimeoutError)


@pytest.mark.parametrize("sign", ["writer", "event", "heartbeat"])
@pytest.mark.parametrize("refresh_on", ["auto", "heartbeat"])
def test_signs_of_life_put_off_the_idle_timeout(sign: str, refresh_on: Any) -> None:
    inner = RunnableLambda(lambda value: value)

    async def node(state: Any, runtime: Runtime[Any]) -> Any:
        for _ in range(8):
            await asyncio.sleep(0.05)
            if sign == "writer":
                runtime.stream_writer("alive")
            elif sign == "event":
                await inner.ainvoke(1)
            else:
                runtime.heartbeat()
        return {"log": ["done"]}

    app = guarded(node, timeout=TimeoutPolicy(idle_timeout=0.2, refresh_on=refresh_on)).compile()
    if refresh_on == "heartbeat" and sign != "heartbeat":
        with pytest.raises(NodeTimeoutError):
            asyncio.run(app.ainvoke({"n": 1}))
    else:
        assert asyncio.run(app.ainvoke({"n": 1}))["log"] == ["done", "z"]


def test_only_async_nodes_and_runs_have_timeouts() -> None:
    with pytest.raises(InvalidArgument, match="'a' has a timeout"):
        guarded(failing, timeout=1).compile()
    app = guarded(RunnableLambda(lambda state: None), timeout=1).compile()
    with pytest.raises(InvalidArgument, match="ainvoke"):
        app.invoke({"n": 1})
    with pytest.raises(InvalidArgument, match="more than 0"):
        TimeoutPolicy(run_timeout=0)


def test_a_step_has_a_time_of_its_own(colour: Colour) -> None:
    async def slow_async(state: Any) -> Any:
        await asyncio.sleep(5)

    def slow_sync(state: Any) -> Any:
        import time

        time.sleep(0.05)

    app = guarded(slow_sync if colour.sync else slow_async).compile()
    app.step_timeout = 0.02
    with pytest.raises(TimeoutError):
        colour.run(lambda c: run(c, app, {"n": 1}))
    told: list[Any] = []

    async def listen(c: Colour) -> None:
        async for task in stream(c, app, {"n": 1}, stream_mode="tasks"):
            told.append("input" in task)

    with pytest.raises(TimeoutError):
        colour.run(listen)
    assert told == [True]  # the step failed, and none of its tasks did
    app.step_timeout = 10
    if colour.sync:
        assert app.invoke({"n": 1}) == {"n": 1, "log": ["z"]}


# -- caches ----------------------------------------------------------------------------------------------------------


def test_a_cached_node_is_not_run_for_the_same_input(colour: Colour) -> None:
    ran = []

    def node(state: Any) -> Any:
        ran.append(state["n"])
        return {"log": [f"ran {state['n']}"]}

    app = guarded(node, cache_policy=CachePolicy()).compile(cache=InMemoryCache())

    async def body(c: Colour) -> Any:
        first = await chunks(c, app, {"n": 1})
        again = await chunks(c, app, {"n": 1})
        other = await chunks(c, app, {"n": 2})
        app.clear_cache(["a"])
        await run(c, app, {"n": 1})
        return [first[0], again[0], other[0]]

    assert colour.run(body) == [
        {"a": {"log": ["ran 1"]}},
        {"a": {"log": ["ran 1"]}, "__metadata__": {"cached": True}},
        {"a": {"log": ["ran 2"]}},
    ]
    assert ran == [1, 2, 1]


def test_failures_questions_and_what_handlers_wrote_are_not_kept(colour: Colour) -> None:
    ran = []

    def node(state: Any) -> Any:
        ran.append(state["n"])
        if state["n"] == 1:
            interrupt("?")
        raise ValueError("no")

    app = guarded(node, cache_policy=CachePolicy(), error_handler=handled).compile(cache=InMemoryCache())

    async def body(c: Colour) -> None:
        for n in (1, 1, 2, 2):
            await run(c, app, {"n": n})

    colour.run(body)
    assert ran == [1, 1, 2, 2]


def test_a_key_function_says_what_the_same_is_and_without_a_cache_the_policy_does_nothing(colour: Colour) -> None:
    ran = []

    def node(state: Any) -> Any:
        ran.append(state["n"])
        return Command(goto="z", update={"log": ["ran"]})

    graph = guarded(node, cache_policy=CachePolicy(key_func=lambda state: "same", ttl=60))
    graph.edges.discard(("a", "z"))
    cached, plain = graph.compile(cache=InMemoryCache()), graph.compile()

    async def body(c: Colour) -> Any:
        return [await run(c, app, {"n": n}) for app in (cached, plain) for n in (1, 2)]

    results = colour.run(body)
    assert [result["log"] for result in results] == [["ran", "z"]] * 4
    assert ran == [1, 1, 2]


# -- draining --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_a_drained_run_stops_between_steps_and_goes_on_with_none(colour: Colour, durability: Any) -> None:
    control = RunControl()
    seen = []

    def node(state: Any, runtime: Runtime[Any]) -> Any:
        control.request_drain("deploy")
        seen.append((runtime.drain_requested, runtime.drain_reason))
        return {"log": ["a"]}

    app = guarded(node).compile(InMemorySaver())

    async def body(c: Colour) -> Any:
        with pytest.raises(GraphDrained, match="deploy"):
            await run(c, app, {"n": 1}, thread(), control=control, durability=durability)
        state = app.get_state(thread()) if c.sync else await app.aget_state(thread())
        return state.next, await run(c, app, None, thread())

    assert colour.run(body) == (("z",), {"n": 1, "log": ["a", "z"]})
    assert seen == [(True, "deploy")]


def test_a_drain_in_a_graph_inside_a_node_goes_on_there(colour: Colour) -> None:
    control = RunControl()
    ran = []

    def one(state: Any) -> Any:
        ran.append("one")
        control.request_drain()
        return {"log": ["one"]}

    def two(state: Any) -> Any:
        ran.append("two")
        return {"log": ["two"]}

    inner = graph_of(("one", "two"), one=one, two=two).compile()

    class Outer(TypedDict, total=False):
        log: Annotated[list[Any], operator.add]

    app = graph_of(state=Outer, inner=inner).compile(InMemorySaver())

    async def body(c: Colour) -> Any:
        with pytest.raises(GraphDrained):
            await run(c, app, {"log": []}, thread(), control=control)
        state = app.get_state(thread()) if c.sync else await app.aget_state(thread())
        assert [task.error for task in state.tasks] == [None]
        return await run(c, app, None, thread())

    assert colour.run(body)["log"] == ["one", "two"]
    assert ran == ["one", "two"]


def test_a_run_with_nothing_left_to_do_ends_as_usual(colour: Colour) -> None:
    control = RunControl()

    def node(state: Any) -> Any:
        control.request_drain()
        return {"n": 2}

    app = graph_of(a=node).compile()
    assert colour.run(lambda c: run(c, app, {"n": 1}, control=control)) == {"n": 2, "log": []}


def test_the_past_names_the_node_that_waited_and_not_its_handler() -> None:
    app = guarded(failing, error_handler=handled).compile(checkpointer=InMemorySaver())
    app.invoke({"n": 1, "log": []}, thread())
    before = next(s for s in app.get_state_history(thread()) if s.next)
    assert before.next == ("a",)
    assert [task.name for task in before.tasks] == ["a"]
