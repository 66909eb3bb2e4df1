"""What belongs to the attempts of a node: its conditional edges, its handler's questions; and what is told of nodes not run."""

from __future__ import annotations

from typing import Any

import pytest
from colours import Colour, colour
from graph_helpers import Log, chunks, graph_of, run, thread

from millstream import (
    END,
    START,
    CachePolicy,
    Command,
    GraphDrained,
    InMemoryCache,
    InMemorySaver,
    NodeError,
    Overwrite,
    RetryPolicy,
    RunControl,
    StateGraph,
    interrupt,
)

__all__ = ["colour"]

QUICK = RetryPolicy(initial_interval=0.001, jitter=False)


def node(action: Any, **options: Any) -> StateGraph[Any, Any, Any, Any]:
    graph: StateGraph[Any, Any, Any, Any] = StateGraph(Log)
    graph.add_node("a", action, **options)
    graph.add_edge(START, "a")
    return graph


def failing(state: Any) -> Any:
    raise ValueError("no")


@pytest.mark.parametrize("retry", [QUICK, None])
def test_a_path_that_fails_is_tried_again_with_its_node(colour: Colour, retry: Any) -> None:
    async def body(c: Colour) -> None:
        tries: list[str] = []

        def act(state: Any) -> Any:
            tries.append("a")
            return {"log": ["a"]}

        def path(state: Any) -> str:
            tries.append("path")
            if len(tries) < 4:
                raise ConnectionError("lost")
            return END

        graph = node(act, retry_policy=retry).add_conditional_edges("a", path)
        if retry is None:
            with pytest.raises(ConnectionError):
                await run(c, graph.compile(), {"log": []})
            assert tries == ["a", "path"]
        else:
            assert await run(c, graph.compile(), {"log": []}) == {"log": ["a"]}
            assert tries == ["a", "path", "a", "path"]

    colour.run(body)


def test_a_handler_may_ask(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        def ask(state: Any, error: NodeError) -> Any:
            return {"log": [str(error.error), interrupt("first?"), interrupt("second?")]}

        app = node(failing, error_handler=ask).compile(checkpointer=InMemorySaver())
        asked = [await run(c, app, value, thread()) for value in ({"log": []}, Command(resume=1))]
        assert [question.value for paused in asked for question in paused["__interrupt__"]] == ["first?", "second?"]
        assert await run(c, app, Command(resume=2), thread()) == {"log": ["no", 1, 2]}

    colour.run(body)


def test_history_shows_the_failure_of_a_node_whose_handler_went_on(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app = node(failing, error_handler=lambda s: {"log": ["mended"]}).compile(checkpointer=InMemorySaver())
        await run(c, app, {"log": []}, thread())
        task = list(app.get_state_history(thread()))[1].tasks[0]
        assert (task.name, task.error, task.result) == ("a", "ValueError('no')", None)

    colour.run(body)


def test_the_tasks_of_a_node_and_its_handler_are_one_start_and_two_ends(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app = node(failing, error_handler=lambda s: {"log": ["mended"]}).compile()
        told = await chunks(c, app, {"log": []}, stream_mode="tasks")
        assert [("input" in each, each["name"]) for each in told] == [
            (True, "a"), (False, "a"), (False, "__error_handler__a"),
        ]  # fmt: skip

    colour.run(body)


def test_a_task_whose_result_is_cached_has_a_start_and_no_end(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app = node(lambda s: {"log": ["a"]}, cache_policy=CachePolicy()).compile(cache=InMemoryCache())
        first = await chunks(c, app, {"log": []}, stream_mode="tasks")
        again = await chunks(c, app, {"log": []}, stream_mode=["tasks", "updates"])
        assert ["input" in each for each in first] == [True, False]
        assert [mode for mode, _ in again] == ["tasks", "updates"]
        assert again[1][1] == {"a": {"log": ["a"]}, "__metadata__": {"cached": True}}

    colour.run(body)


def test_a_run_that_is_drained_before_it_begins_keeps_its_input(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        control = RunControl()
        control.request_drain()
        app = node(lambda s: {"log": ["a"]}).compile(checkpointer=InMemorySaver())
        with pytest.raises(GraphDrained, match="shutdown"):
            await run(c, app, {"log": ["in"]}, thread(), control=control)
        assert app.get_state(thread()).next == (START,)
        assert await run(c, app, None, thread()) == {"log": ["in", "a"]}

    colour.run(body)


def test_an_overwrite_is_told_as_data_that_says_what_it_is() -> None:
    app = graph_of(a=lambda s: {"log": Overwrite(["new"])}).compile()
    (update,) = app.stream({"log": ["old"]}, stream_mode="updates")
    assert update["a"]["log"].type == "__overwrite__"
    assert app.invoke({"log": ["old"]}) == {"log": ["new"]}
