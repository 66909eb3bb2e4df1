"""Workflows as functions: tasks, what is run again and what is not, `previous`, `final`."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from pathlib import Path
from typing import Any

import pytest
from colours import Colour, colour
from graph_helpers import chunks, graph_of, run, thread

from millstream import (
    AsyncSqliteSaver,
    CachePolicy,
    Command,
    InMemoryCache,
    InMemorySaver,
    InvalidArgument,
    NodeTimeoutError,
    OutsideRun,
    RetryPolicy,
    RunnableConfig,
    SqliteSaver,
    Unsupported,
    entrypoint,
    get_stream_writer,
    interrupt,
    task,
)
from millstream.testing import ScriptedChatModel

__all__ = ["colour"]


@task
def double(x: int) -> int:
    return x * 2


def workflow(c: Colour, body: Any, **options: Any) -> Any:
    """An entrypoint of the colour whose `body` is a coroutine function of (input, previous, wait)."""
    if c.sync:

        def sync_flow(x: Any, *, previous: Any = None) -> Any:
            from millstream.flow.step import step

            async def result(future: Any) -> Any:
                return future.result()

            return step(body(x, previous, result))

        return entrypoint(**options)(sync_flow)

    async def async_flow(x: Any, *, previous: Any = None) -> Any:
        async def result(future: Any) -> Any:
            return await future

        return await body(x, previous, result)

    return entrypoint(**options)(async_flow)


def test_what_a_workflow_returns_is_its_output_and_the_next_previous(colour: Colour) -> None:
    async def flow(x: Any, previous: Any, wait: Any) -> Any:
        return [previous, await wait(double(x))]

    app = workflow(colour, flow, checkpointer=InMemorySaver())

    async def body(c: Colour) -> Any:
        return [await run(c, app, n, thread()) for n in (1, 2)]

    assert colour.run(body) == [[None, 2], [[None, 2], 4]]


def test_final_keeps_something_else_than_it_returns(colour: Colour) -> None:
    async def flow(x: Any, previous: Any, wait: Any) -> Any:
        return entrypoint.final(value=[x, previous], save=x)

    app = workflow(colour, flow, checkpointer=InMemorySaver())

    async def body(c: Colour) -> Any:
        return [await run(c, app, n, thread()) for n in (1, 2)]

    assert colour.run(body) == [[1, None], [2, 1]]


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_tasks_that_ended_are_not_run_again(colour: Colour, durability: Any) -> None:
    ran = []

    @task
    def work(x: int) -> int:
        ran.append(x)
        return x * 10

    @task
    def ask(x: int) -> Any:
        return [interrupt("first?"), interrupt("second?"), x]

    async def flow(x: Any, previous: Any, wait: Any) -> Any:
        return [await wait(work(1)), await wait(ask(7)), await wait(work(2)), interrupt("own?")]

    app = workflow(colour, flow, checkpointer=InMemorySaver())

    async def body(c: Colour) -> Any:
        asked = []
        value: Any = "go"
        for answer in ("a", "b", "c"):
            result = await run(c, app, value, thread(), durability=durability)
            asked.append([question.value for question in result["__interrupt__"]])
            value = Command(resume=answer)
        return asked, await run(c, app, value, thread(), durability=durability)

    assert colour.run(body) == ([["first?"], ["second?"], ["own?"]], [10, ["a", "b", 7], 20, "c"])
    assert ran == [1, 2]


def test_a_failed_workflow_goes_on_with_none_from_the_tasks_that_ended(colour: Colour, tmp_path: Path) -> None:
    ran = []

    @task
    def work(x: int) -> int:
        ran.append(x)
        if x == 2 and ran.count(2) == 1:
            raise ValueError("once")
        return x

    async def flow(x: Any, previous: Any, wait: Any) -> Any:
        return [await wait(work(1)), await wait(work(2))]

    async def body(c: Colour, saver: Any) -> Any:
        app = workflow(colour, flow, checkpointer=saver)
        with pytest.raises(ValueError, match="once"):
            await run(c, app, 0, thread())
        return await run(c, app, None, thread())

    async def stored(c: Colour) -> Any:
        path = str(tmp_path / "state.db")
        if c.sync:
            with SqliteSaver.from_conn_string(path) as saver:
                return await body(c, saver)
        async with AsyncSqliteSaver.from_conn_string(path) as saver:
            return await body(c, saver)

    assert colour.run(stored) == [1, 2]
    assert ran == [1, 2, 2]


def test_tasks_run_at_once_and_see_the_context_of_the_call(colour: Colour) -> None:
    var = contextvars.ContextVar("var", default="unset")
    barrier = threading.Barrier(3)

    @task
    def meet(x: int) -> Any:
        barrier.wait(10)
        return x, var.get()

    async def flow(x: Any, previous: Any, wait: Any) -> Any:
        futures = []
        for n in range(3):
            var.set(f"call {n}")
            futures.append(meet(n))
        return [await wait(future) for future in futures]

    app = workflow(colour, flow)
    assert colour.run(lambda c: run(c, app, 0)) == [(n, f"call {n}") for n in range(3)]


def test_streams_tell_of_tasks_as_they_end(colour: Colour) -> None:
    async def flow(x: Any, previous: Any, wait: Any) -> Any:
        return await wait(double(await wait(double(x))))

    app = workflow(colour, flow)
    name = next(iter(app.nodes))
    told = colour.run(lambda c: chunks(c, app, 1, stream_mode=["updates", "values"]))
    assert told == [
        ("updates", {"double": 2}),
        ("updates", {"double": 4}),
        ("updates", {name: 4}),
        ("values", 4),
    ]


def test_tasks_that_nobody_waits_for_end_before_the_run_does(colour: Colour) -> None:
    ended = []

    @task
    def late(x: int) -> None:
        threading.Event().wait(0.02)
        ended.append(x)

    async def flow(x: Any, previous: Any, wait: Any) -> Any:
        late(1)
        return x

    app = workflow(colour, flow)
    assert colour.run(lambda c: run(c, app, 5)) == 5
    assert ended == [1]


def test_nodes_and_tasks_may_call_tasks(colour: Colour) -> None:
    @task
    def outer(x: int) -> int:
        return double(x).result() + 1

    def node(state: Any) -> Any:
        return {"n": outer(state["n"]).result()}

    app = graph_of(a=node).compile()
    assert colour.run(lambda c: run(c, app, {"n": 3}))["n"] == 7


def test_a_task_is_tried_again_cached_and_given_its_config(colour: Colour) -> None:
    ran = []

    @task(
        name="named",
        retry_policy=RetryPolicy(initial_interval=0, jitter=False),
        cache_policy=CachePolicy(),
    )
    def flaky(x: int, config: RunnableConfig) -> Any:
        ran.append(x)
        if len(ran) < 3:
            raise ConnectionError
        return config["metadata"]["langgraph_node"]

    async def flow(x: Any, previous: Any, wait: Any) -> Any:
        return [await wait(flaky(x)), await wait(flaky(x))]

    cache = InMemoryCache()
    app = workflow(colour, flow, cache=cache)
    told = colour.run(lambda c: chunks(c, app, 1))
    assert told[:2] == [{"named": "named"}, {"named": "named", "__metadata__": {"cached": True}}]
    assert ran == [1, 1, 1]
    flaky.clear_cache(cache)
    colour.run(lambda c: run(c, app, 1))
    assert len(ran) == 4


def test_async_tasks_have_timeouts_and_run_in_async_workflows_only() -> None:
    @task(timeout=0.02)
    async def slow() -> None:
        await asyncio.sleep(5)

    @entrypoint()
    async def flow(x: int) -> None:
        await slow()

    with pytest.raises(NodeTimeoutError):
        asyncio.run(flow.ainvoke(1))

    @entrypoint()
    def sync_flow(x: int) -> None:
        slow().result()

    with pytest.raises(OutsideRun, match="async def"):
        sync_flow.invoke(1)


def test_a_sync_workflow_in_an_async_run_stores_and_ends_its_tasks() -> None:
    ran = []

    @task
    def work(x: int) -> int:
        ran.append(x)
        return x

    @entrypoint(checkpointer=InMemorySaver())
    def flow(x: int) -> Any:
        return [work(x).result(), interrupt("?")]

    async def main() -> Any:
        await flow.ainvoke(3, thread())
        return await flow.ainvoke(Command(resume="yes"), thread())

    assert asyncio.run(main()) == [3, "yes"]
    assert ran == [3]


def test_what_cannot_be_an_entrypoint_or_a_task_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="needs a parameter"):
        entrypoint()(lambda: None)

    def generate(x: int) -> Any:
        yield x

    with pytest.raises(Unsupported, match="generator"):
        entrypoint()(generate)
    with pytest.raises(Unsupported, match="generator"):
        task(generate)
    with pytest.raises(OutsideRun, match="double"):
        double(1)


def names(ns: Any) -> list[str]:
    return [part.partition(":")[0] for part in ns]


def test_where_parts_of_a_task_stand(colour: Colour) -> None:
    model: Any = ScriptedChatModel(["word"])
    inner = graph_of(within=lambda state: {"n": 1}).compile()

    @task
    def low(x: int) -> int:
        get_stream_writer()("low")
        model.invoke("q")
        inner.invoke({"n": x})
        return x

    async def main(x: int, previous: Any, wait: Any) -> Any:
        get_stream_writer()("top")
        return await wait(low(x))

    async def body(c: Colour) -> None:
        found = await chunks(c, workflow(c, main), 1, stream_mode=["custom", "updates", "messages"], subgraphs=True)
        flow = found[0][0]
        assert flow == ()
        heard = [(names(ns)[1:], mode, data if mode == "custom" else None) for ns, mode, data in found]
        assert [each for each in heard if each[1] == "custom"] == [([], "custom", "top"), ([], "custom", "low")]
        assert [len(ns) for ns, mode, _ in found if mode == "custom"] == [0, 1]  # said below the workflow's task
        assert {tuple(ns) for ns, mode, _ in found if mode == "messages"} == {()}  # a model is heard as of the graph
        assert [tuple(names(ns)[1:]) for ns, mode, data in found if mode == "updates" and "within" in data] == [
            ("low",)
        ]

    colour.run(body)


def test_stored_calls_are_told_to_begin_but_not_to_end(colour: Colour) -> None:
    async def main(x: int, previous: Any, wait: Any) -> Any:
        return [await wait(double(x)), interrupt("?")]

    async def body(c: Colour) -> None:
        flow = workflow(c, main, checkpointer=InMemorySaver())
        await run(c, flow, 2, thread())
        told = await chunks(c, flow, Command(resume="yes"), thread(), stream_mode="tasks")
        assert [(each["name"] == "double", "input" in each) for each in told] == [
            (False, True),
            (True, True),
            (False, False),
        ]

    colour.run(body)


def test_the_state_of_a_workflow_is_one_value(colour: Colour) -> None:
    async def main(x: int, previous: Any, wait: Any) -> Any:
        return (previous or 0) + x

    async def body(c: Colour) -> None:
        flow = workflow(c, main, checkpointer=InMemorySaver())
        await run(c, flow, 2, thread())
        (first,) = [s.tasks for s in flow.get_state_history(thread()) if s.tasks]
        assert first[0].result == 2
        flow.update_state(thread(), 10)
        assert flow.get_state(thread()).values == 10
        assert await run(c, flow, 5, thread()) == 15

    colour.run(body)


def test_a_workflow_tells_its_types() -> None:
    @entrypoint()
    def plain(x: int) -> list[str]:
        return [str(x)]

    @entrypoint()
    def kept(x: Any) -> entrypoint.final[int, str]:
        return entrypoint.final(value=1, save="")

    assert plain.get_input_jsonschema() == {"title": "LangGraphInput", "type": "integer"}
    assert plain.get_output_jsonschema() == {"title": "LangGraphOutput", "type": "array", "items": {"type": "string"}}
    assert kept.get_input_jsonschema() == {"title": "LangGraphInput"}
    assert kept.get_output_jsonschema() == {"title": "LangGraphOutput", "type": "integer"}


def test_calls_of_tasks_are_runs_inside_the_run_that_calls() -> None:
    @task
    async def low(x: int, y: int = 2, *rest: int, **more: int) -> int:
        return x

    @entrypoint()
    async def flow(x: int) -> int:
        return int(await low(x, 3, 4, z=9))

    async def body() -> list[Any]:
        found: list[Any] = []
        names: dict[str, str] = {}
        async for event in flow.astream_events(1):
            names[event["run_id"]] = event["name"]
            above = [names[id] for id in event["parent_ids"]]
            if event["name"] == "low":
                found.append((event["event"], event["tags"], above, event["data"]))
        return found

    given = {"x": 1, "y": 3, "rest": (4,), "z": 9}
    above = ["LangGraph", "flow"]
    assert asyncio.run(body()) == [
        ("on_chain_start", ["seq:step:1"], above, {"input": given}),
        ("on_chain_stream", ["seq:step:1"], above, {"chunk": 1}),
        ("on_chain_end", ["seq:step:1"], above, {"output": 1, "input": given}),
    ]
