"""Which path functions run where they are: only those whose code shows that they cannot block."""

from __future__ import annotations

import asyncio
import enum
import threading
import time
from typing import Any

import pytest
from graph_helpers import Log, graph_of

from millstream import END, AIMessage, Runtime, Send
from millstream.graph.purity import SLOW, Glance, only_looks

__all__: list[str] = []

LIMIT = 3
NAMES = {"a": "b"}


class Colours(enum.Enum):
    RED = "red"


def above(state: Any) -> bool:
    return bool(state["n"] > LIMIT)


def named(state: Any) -> Any:
    return END if above(state) else NAMES[state["a"]]


def calls_tools(state: Any) -> Any:
    last = state["messages"][-1]
    if isinstance(last, AIMessage) and last.tool_calls:
        return "tools"
    return END


def sends(state: Any) -> Any:
    return [Send("work", {"item": item, "all": len(state["items"])}) for item in state["items"] if item]


def words(state: Any) -> Any:
    return "yes" if any(word in state["text"].lower() for word in ("a", "b")) else f"no {Colours.RED.value}"


def first(state: Any) -> Any:
    for item in sorted(state["items"], key=lambda item: item["rank"]):
        if item:
            return item
    return None


def closed_over(limit: int) -> Any:
    return lambda state: END if state["n"] >= limit else "again"


def sleeps(state: Any) -> Any:
    time.sleep(0.001)
    return END


def sleeps_below(state: Any) -> Any:
    return sleeps(state)


def waits(state: Any) -> Any:
    while state["n"]:
        pass
    return END


def asks(state: Any) -> Any:
    return state["db"].execute("select 1")


def calls_what_it_is_given(state: Any) -> Any:
    ask = state["ask"]
    return ask()


def calls_by_name(state: Any) -> Any:
    return getattr(state["db"], "execute")("select 1")  # noqa: B009


def imports(state: Any) -> Any:
    import os

    return os.getcwd()


def opens(state: Any) -> Any:
    return open(state["path"]).read()


def prints(state: Any) -> Any:
    print(state)


def names_nothing(state: Any) -> Any:
    return not_there  # type: ignore[name-defined]  # noqa: F821


def around(fn: Any) -> Any:
    return lambda state: fn(state)


@pytest.mark.parametrize("fn", [above, named, calls_tools, sends, words, first, closed_over(3), lambda s: s["next"]])
def test_functions_that_only_look(fn: Any) -> None:
    assert only_looks(fn)


@pytest.mark.parametrize(
    "fn",
    [
        *(
            sleeps,
            sleeps_below,
            waits,
            asks,
            calls_what_it_is_given,
            calls_by_name,
            imports,
            opens,
            prints,
            names_nothing,
        ),
        *(around(sleeps), asyncio.sleep, AIMessage, print, Glance),
    ],
)
def test_functions_that_may_do_more(fn: Any) -> None:
    assert not only_looks(fn)


def routed(path: Any) -> str:
    """The name of the thread in which `path` looked, in an async run."""
    graph = graph_of(a=lambda s: {"n": 1})
    graph.add_conditional_edges("a", path, [END])
    seen: list[str] = []

    class Watched(dict):  # type: ignore[type-arg]
        def __getitem__(self, key: str) -> Any:
            seen.append(threading.current_thread().name)
            return super().__getitem__(key)

    node = graph.branches["a"]
    [branch] = node.values()
    run = branch.call.run
    assert run is not None

    async def main() -> None:
        from millstream.flow.driver import ASYNC
        from millstream.spine.scope import ROOT

        await run(ASYNC, Watched(n=1), ROOT)

    asyncio.run(main())
    return seen[0]


def test_where_a_path_runs() -> None:
    here = threading.current_thread().name
    assert routed(lambda state: [END, END][state["n"]]) == here
    assert routed(lambda state: print(end="") or [END, END][state["n"]]) != here


def test_a_path_that_asks_for_something_of_the_run_goes_the_usual_way() -> None:
    def path(state: Log, runtime: Runtime[Any]) -> Any:
        return END if runtime.context else "a"

    app = graph_of(a=lambda s: {"n": 1}).add_conditional_edges("a", path, ["a", END]).compile()
    assert asyncio.run(app.ainvoke({"n": 0}, context={"done": True}))["n"] == 1


def test_a_function_that_was_slow_once_goes_to_a_worker() -> None:
    elsewhere: list[Any] = []

    async def other(d: Any, input: Any, scope: Any) -> Any:
        elsewhere.append(input)
        return END

    def look(seconds: float) -> Any:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            pass
        return END

    glance = Glance(look, other)

    async def main() -> None:
        from millstream.flow.driver import ASYNC
        from millstream.spine.scope import ROOT

        for seconds in (0.0, 0.0, 2 * SLOW, 0.0, 0.0):
            assert await glance(ASYNC, seconds, ROOT) == END

    asyncio.run(main())
    assert elsewhere == [0.0, 0.0]


def test_an_error_of_a_path_names_its_run() -> None:
    app = graph_of(a=lambda s: {"n": 1}).add_conditional_edges("a", lambda s: s["nothing"], [END]).compile()
    with pytest.raises(KeyError, match="nothing") as caught:
        asyncio.run(app.ainvoke({"n": 0}))
    assert any("'a'" in note for note in caught.value.__notes__)
