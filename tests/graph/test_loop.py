"""The superstep loop: order, writes, Sends, Commands, joins, limits; the same in every colour."""

from __future__ import annotations

import asyncio
import gc
import operator
import threading
import tracemalloc
from typing import Annotated, Any, TypedDict

import pytest
from colours import Colour, colour
from graph_helpers import Log, chunks, graph_of, run

from millstream import (
    END,
    START,
    AsyncOnly,
    Command,
    EmptyInputError,
    EphemeralValue,
    GraphRecursionError,
    InvalidUpdateError,
    IsLastStep,
    ParentCommand,
    RemainingSteps,
    RetryPolicy,
    RunnableConfig,
    RunnableLambda,
    Runtime,
    Send,
    StateGraph,
    StreamWriter,
    get_runtime,
    get_stream_writer,
)

__all__ = ["colour"]


def says(c: Colour, word: Any) -> Any:
    """A node that appends `word`."""
    return c.function(lambda state: {"log": [word]})


def test_nodes_see_the_state_as_the_step_began(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        see = c.function(lambda state: {"log": [len(state["log"])]})
        app = graph_of((START, "a"), (START, "b"), ("a", "c"), ("b", "c"), a=see, b=see, c=see).compile()
        assert await run(c, app, {"log": []}) == {"log": [0, 0, 2]}

    colour.run(body)


def test_writes_are_applied_by_name_and_then_by_send_never_by_completion(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        order: list[str] = []
        turn = threading.Barrier(4) if c.sync else None

        def node(name: str) -> Any:
            def sync_form(state: Any) -> Any:
                assert turn is not None
                turn.wait(5)
                order.append(name)
                return {"log": [name]}

            async def async_form(state: Any) -> Any:
                for _ in range({"a": 3, "z": 1, "s0": 2, "s1": 0}[name]):
                    await asyncio.sleep(0)
                order.append(name)
                return {"log": [name]}

            return sync_form if c.sync else async_form

        packet = {"s0": node("s0"), "s1": node("s1")}
        if c.sync:
            send: Any = lambda arg: packet[arg](arg)  # noqa: E731
        else:

            async def send(arg: Any) -> Any:
                return await packet[arg](arg)

        graph = StateGraph(Log)
        graph.add_node("z", node("z")).add_node("a", node("a")).add_node("send", send)
        graph.add_conditional_edges(START, lambda state: ["z", Send("send", "s0"), Send("send", "s1"), "a"])
        assert await run(c, graph.compile(), {"log": []}) == {"log": ["a", "z", "s0", "s1"]}
        assert len(order) == 4

    colour.run(body)


def test_two_writers_on_one_key_are_an_error_that_names_them(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app = graph_of(
            (START, "p"), (START, "q"), p=c.function(lambda s: {"n": 1}), q=c.function(lambda s: {"n": 2})
        ).compile()
        with pytest.raises(InvalidUpdateError, match=r"'n'.*reducer") as caught:
            await run(c, app, {"n": 0})
        assert "written in step 1 by p, q" in caught.value.__notes__[0]
        assert isinstance(caught.value, ValueError)

    colour.run(body)


@pytest.mark.parametrize("bad", [5, "text", [1, 2], [{"n": 1}], [Send("odd", {})]])
def test_a_node_that_returns_no_update_is_named(bad: Any, colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app = graph_of(odd=c.function(lambda state: bad)).compile()
        with pytest.raises(InvalidUpdateError, match=r"Expected dict, got .* from node 'odd'"):
            await run(c, app, {})

    colour.run(body)


def test_unknown_keys_are_ignored_and_none_writes_nothing(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app = graph_of(("a", "b"), a=c.function(lambda s: {"zz": 1}), b=c.function(lambda s: None)).compile()
        assert await chunks(c, app, {"n": 1, "yy": 2}, stream_mode="updates") == [{"a": None}, {"b": None}]
        assert await run(c, app, {"n": 1, "yy": 2}) == {"n": 1, "log": []}

    colour.run(body)


def test_an_error_passes_through_with_the_nodes_name(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        def fail(state: Any) -> Any:
            raise KeyError("broken")

        app = graph_of(boom=c.function(fail)).compile()
        with pytest.raises(KeyError, match="broken") as caught:
            await run(c, app, {})
        assert "During task with name 'boom'" in caught.value.__notes__[0]

    colour.run(body)


def test_send_gives_each_task_its_own_input(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        graph = graph_of(
            (START, "split"),
            ("work", "total"),
            split=c.function(lambda s: None),
            work=c.function(lambda s: {"log": [(s["i"], sorted(s))]}),
            total=c.function(lambda s: {"log": [len(s["log"])]}),
        )
        graph.add_conditional_edges("split", lambda s: [Send("work", {"i": i}) for i in s["log"]] or END)
        assert await run(c, graph.compile(), {"log": [7, 7]}) == {"log": [7, 7, (7, ["i"]), (7, ["i"]), 4]}
        assert await run(c, graph.compile(), {"log": []}) == {"log": []}

    colour.run(body)


def test_send_to_end_and_to_nobody(colour: Colour, caplog: pytest.LogCaptureFixture) -> None:
    async def body(c: Colour) -> None:
        graph = graph_of(a=says(c, "a")).add_conditional_edges("a", lambda s: Send("nobody", 1))
        assert await run(c, graph.compile(), {"log": []}) == {"log": ["a"]}
        assert "unknown node 'nobody'" in caplog.text
        graph = graph_of(a=says(c, "a")).add_conditional_edges("a", lambda s: Send(END, 1))
        with pytest.raises(InvalidUpdateError, match="END"):
            await run(c, graph.compile(), {"log": []})

    colour.run(body)


def test_five_hundred_sends(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        graph = graph_of((START, "w"), w=c.function(lambda i: {"log": [i]}))
        graph = StateGraph(Log).add_node("w", c.function(lambda i: {"log": [i]}))
        graph.add_conditional_edges(START, lambda s: [Send("w", i) for i in range(500)])
        assert await run(c, graph.compile(), {"log": []}) == {"log": list(range(500))}

    colour.run(body)


def test_a_command_goes_beside_static_edges(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        x = c.function(lambda s: Command(goto="z", update={"log": ["x"]}))
        app = graph_of(("x", "y"), x=x, y=says(c, "y"), z=says(c, "z")).compile()
        assert await run(c, app, {"log": []}) == {"log": ["x", "y", "z"]}

    colour.run(body)


def test_command_forms(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        pairs = c.function(lambda s: Command(update=[("log", ["p"])], goto=["many", END]))
        many = c.function(lambda s: [Command(update={"log": ["m1"]}, goto=Send("got", {"k": 1})), {"log": ["m2"]}])
        got = c.function(lambda s: {"log": [s]})
        app = graph_of(pairs=pairs, many=many, got=got).compile()
        assert await run(c, app, {"log": []}) == {"log": ["p", "m1", "m2", {"k": 1}]}
        updates = await chunks(c, app, {"log": []})
        assert updates[1] == {"many": [{"log": ["m1"]}, {"log": ["m2"]}]}

    colour.run(body)


def test_a_command_to_nowhere_is_ignored_with_a_warning(colour: Colour, caplog: pytest.LogCaptureFixture) -> None:
    async def body(c: Colour) -> None:
        app = graph_of(a=c.function(lambda s: Command(goto="nowhere"))).compile()
        assert await run(c, app, {"n": 1}) == {"n": 1, "log": []}
        assert "unknown destination 'nowhere'" in caplog.text

    colour.run(body)


def test_a_command_to_the_parent(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        leave = Command(graph=Command.PARENT, goto=["end", Send("got", {"k": 1})], update={"log": ["up"], "n": 42})
        kid = graph_of(("k1", "k2"), k1=says(c, "k1"), k2=c.function(lambda s: leave))
        app = graph_of(
            kid=kid.compile(), end=c.function(lambda s: {"log": [s["n"]]}), got=c.function(lambda s: {"log": [s]})
        ).compile()
        assert await run(c, app, {"log": []}) == {"log": ["up", 42, {"k": 1}], "n": 42}
        assert (await chunks(c, app, {"log": []}))[0] == {"kid": {"log": ["up"], "n": 42}}
        with pytest.raises(ParentCommand):
            await run(c, kid.compile(), {"log": []})

    colour.run(body)


def test_a_list_edge_waits_for_all_and_runs_once(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        names = {name: says(c, name) for name in "abcde"}
        app = graph_of(("a", "b"), ("a", "c"), ("b", "d"), (["c", "d"], "e"), **names).compile()
        assert await run(c, app, {"log": []}) == {"log": list("abcde")}
        app = graph_of(("a", "b"), ("a", "c"), ("b", "d"), ("c", "e"), ("d", "e"), **names).compile()
        assert await run(c, app, {"log": []}) == {"log": [*"abcde", "e"]}

    colour.run(body)


def test_a_deferred_node_waits_until_nothing_else_is_left(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        graph = graph_of(("a", "b"), ("a", "c"), ("b", "d"), **{name: says(c, name) for name in "abcd"})
        graph.add_node("last", says(c, "last"), defer=True).add_edge("c", "last").add_edge("d", "last")
        assert await run(c, graph.compile(), {"log": []}) == {"log": [*"abcd", "last"]}

    colour.run(body)


def test_a_branch_sees_its_own_nodes_writes_and_no_siblings(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        seen: list[Any] = []

        def path(state: Any) -> str:
            seen.append(state["log"])
            return "end"

        graph = graph_of((START, "a"), (START, "b"), a=says(c, "a"), b=says(c, "b"), end=says(c, "end"))
        graph.add_conditional_edges("a", path, {"end": "end"})
        assert await run(c, graph.compile(), {"log": [0]}) == {"log": [0, "a", "b", "end"]}
        assert seen == [[0, "a"]]

    colour.run(body)


def test_bad_destinations_of_a_branch(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        graph = graph_of(a=says(c, "a")).add_conditional_edges("a", lambda s: None)
        with pytest.raises(ValueError, match=r"valid destination.*'a'"):
            await run(c, graph.compile(), {"log": []})
        graph = graph_of(a=says(c, "a")).add_conditional_edges("a", lambda s: "zz", {"x": END})
        with pytest.raises(KeyError, match="returned 'zz'"):
            await run(c, graph.compile(), {"log": []})

    colour.run(body)


def test_the_recursion_limit_counts_nodes_steps(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app = graph_of(a=says(c, "a")).compile()
        with pytest.raises(GraphRecursionError, match=r"limit of 1 reached.*edge to END") as caught:
            await run(c, app, {"log": []}, {"recursion_limit": 1})
        assert isinstance(caught.value, RecursionError)
        assert await run(c, app, {"log": []}, {"recursion_limit": 2}) == {"log": ["a"]}
        with pytest.raises(ValueError, match="at least 1"):
            await run(c, app, {"log": []}, {"recursion_limit": 0})
        loop = graph_of(("a", "b"), ("b", "a"), a=says(c, "a"), b=says(c, "b")).compile()
        got = []
        with pytest.raises(GraphRecursionError):
            for chunk in [stream async for stream in _until(c, loop, {"recursion_limit": 3}, got)]:
                raise AssertionError(chunk)
        assert got == [{"a": {"log": ["a"]}}, {"b": {"log": ["b"]}}, {"a": {"log": ["a"]}}]

    colour.run(body)


async def _until(c: Colour, app: Any, config: Any, got: list[Any]) -> Any:
    from graph_helpers import stream

    async for chunk in stream(c, app, {"log": []}, config):
        got.append(chunk)
    if False:
        yield


class Managed(TypedDict):
    log: Annotated[list[Any], operator.add]
    left: RemainingSteps
    last: IsLastStep


def test_managed_values_count_down(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        graph = graph_of(state=Managed, m=c.function(lambda s: {"log": [(s["left"], s["last"])]}))
        graph.add_conditional_edges("m", lambda s: END if s["last"] else "m", ["m", END])
        app = graph.compile()
        assert await run(c, app, {"log": []}, {"recursion_limit": 4}) == {"log": [(3, False), (2, False), (1, True)]}
        once = graph_of(state=Managed, m=c.function(lambda s: {"log": [s["left"]]})).compile()
        assert await run(c, once, {"log": []}) == {"log": [10006]}
        batched = once.batch([{"log": []}]) if c.sync else await once.abatch([{"log": []}])
        assert batched == [{"log": [24]}]

    colour.run(body)


class Fleeting(TypedDict, total=False):
    hint: Annotated[str, EphemeralValue(str)]
    log: Annotated[list[Any], operator.add]


def test_an_ephemeral_key_lives_one_step(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        see = c.function(lambda s: {"log": [s.get("hint")]})
        app = graph_of(
            ("a", "b"), ("b", "c"), state=Fleeting, a=c.function(lambda s: {"hint": "h"}), b=see, c=see
        ).compile()
        assert await run(c, app, {"log": []}) == {"log": ["h", None]}

    colour.run(body)


def test_no_input_and_nothing_to_resume(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        with pytest.raises(EmptyInputError, match="__start__"):
            await run(c, graph_of(a=says(c, "a")).compile(), None)
        assert await run(c, graph_of(a=says(c, "a")).compile(), {}) == {"log": ["a"]}

    colour.run(body)


def test_a_root_state_is_the_value_itself(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app = graph_of(
            ("r1", "r2"),
            state=Annotated[list[Any], operator.add],
            r1=c.function(lambda s: [len(s)]),
            r2=c.function(lambda s: s[-1:]),
        ).compile()
        assert await run(c, app, ["a"]) == ["a", 1, 1]

    colour.run(body)


def test_an_async_only_node_under_sync_says_which_and_what_to_use() -> None:
    async def node(state: Any) -> None: ...

    with pytest.raises(AsyncOnly, match=r"node.*`ainvoke`") as caught:
        graph_of(a=node).compile().invoke({})
    assert isinstance(caught.value, TypeError)


def test_what_a_node_is_given_by_name(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        if c.sync:

            def node(state: Any, config: RunnableConfig, writer: StreamWriter, runtime: Runtime) -> Any:
                writer("w")
                runtime.stream_writer("r")
                get_stream_writer()("g")
                assert get_runtime().context == runtime.context
                return {
                    "log": [
                        config["metadata"]["langgraph_node"],
                        runtime.context["k"],
                        runtime.execution_info.node_attempt,
                    ]
                }
        else:

            async def node(state: Any, config: RunnableConfig, writer: StreamWriter, runtime: Runtime) -> Any:
                writer("w")
                runtime.stream_writer("r")
                get_stream_writer()("g")
                assert get_runtime().context == runtime.context
                return {
                    "log": [
                        config["metadata"]["langgraph_node"],
                        runtime.context["k"],
                        runtime.execution_info.node_attempt,
                    ]
                }

        app = graph_of(node=node).compile()
        assert await run(c, app, {"log": []}, context={"k": "v"}) == {"log": ["node", "v", 1]}
        assert await chunks(c, app, {"log": []}, context={"k": "v"}, stream_mode="custom") == ["w", "r", "g"]

    colour.run(body)


def test_the_accessors_outside_a_run() -> None:
    for accessor in (get_runtime, get_stream_writer):
        with pytest.raises(RuntimeError, match="outside of a graph's run"):
            accessor()


def test_a_graph_is_a_runnable() -> None:
    app = graph_of(a=lambda s: {"n": s["n"] + 1}).compile()
    chain = RunnableLambda(lambda x: {"n": x}) | app | (lambda s: s["n"])
    assert chain.invoke(1) == 2
    assert chain.batch([1, 2, 3]) == [2, 3, 4]


def test_a_graph_inside_a_node_function_inherits_and_stays_apart(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        kid = graph_of(k=says(c, "kid")).compile()
        if c.sync:
            wrap: Any = lambda s: {"log": kid.invoke({"log": []})["log"]}  # noqa: E731
        else:

            async def wrap(s: Any) -> Any:
                return {"log": (await kid.ainvoke({"log": []}))["log"]}

        app = graph_of(("a", "wrap"), a=says(c, "a"), wrap=wrap).compile()
        assert await run(c, app, {"log": []}) == {"log": ["a", "kid"]}

    colour.run(body)


def test_fifty_runs_at_once_do_not_mix(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        def one(state: Any, runtime: Runtime) -> Any:
            return {"log": [(state["n"], runtime.context)]}

        async def aone(state: Any, runtime: Runtime) -> Any:
            await asyncio.sleep(0.001 * (state["n"] % 7))
            return one(state, runtime)

        app = graph_of(
            ("one", "two"), one=one if c.sync else aone, two=c.function(lambda s: {"n": s["n"] * 10})
        ).compile()
        if c.sync:
            results: list[Any] = [None] * 50

            def work(i: int) -> None:
                results[i] = app.invoke({"n": i, "log": []}, context=i)

            threads = [threading.Thread(target=work, args=(i,)) for i in range(50)]
            for each in threads:
                each.start()
            for each in threads:
                each.join()
        else:
            results = await asyncio.gather(*[app.ainvoke({"n": i, "log": []}, context=i) for i in range(50)])
        assert results == [{"n": i * 10, "log": [(i, i)]} for i in range(50)]

    colour.run(body)


def test_max_concurrency_bounds_a_step(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        now, peak = 0, 0
        lock = threading.Lock()

        def enter() -> None:
            nonlocal now, peak
            with lock:
                now += 1
                peak = max(peak, now)

        def leave() -> None:
            nonlocal now
            with lock:
                now -= 1

        pause = threading.Event()

        def sync_form(i: Any) -> Any:
            enter()
            pause.wait(0.002)
            leave()
            return {"log": [i]}

        async def async_form(i: Any) -> Any:
            enter()
            await asyncio.sleep(0.002)
            leave()
            return {"log": [i]}

        graph = StateGraph(Log).add_node("w", sync_form if c.sync else async_form)
        graph.add_conditional_edges(START, lambda s: [Send("w", i) for i in range(10)])
        result = await run(c, graph.compile(), {"log": []}, {"max_concurrency": 3})
        assert result == {"log": list(range(10))}
        assert 1 < peak <= 3

    colour.run(body)


def test_a_long_run_keeps_nothing_of_its_steps() -> None:
    def step(state: Any) -> Any:
        return {"n": state["n"] + 1}

    graph = graph_of(step=step).add_conditional_edges("step", lambda s: "step" if s["n"] < s["log"][0] else END)
    app = graph.compile()

    def peak(steps: int) -> int:
        gc.collect()
        tracemalloc.start()
        assert app.invoke({"n": 0, "log": [steps]}, {"recursion_limit": 10_000})["n"] == steps
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(50)
    assert peak(1000) < peak(100) + 20_000  # bytes; a step that leaves one small object would be above this


def test_a_failed_node_is_tried_again(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        seen: list[int] = []

        def flaky(state: Any) -> Any:
            attempt = get_runtime().execution_info.node_attempt
            seen.append(attempt)
            if attempt < 3:
                raise ConnectionError("gone")
            return {"log": [attempt]}

        graph = StateGraph(Log)
        fast = RetryPolicy(initial_interval=0.0, jitter=False)
        graph.add_node("flaky", c.function(flaky), retry_policy=[RetryPolicy(retry_on=KeyError), fast])
        graph.add_edge(START, "flaky")
        assert await run(c, graph.compile(), {"log": []}) == {"log": [3]}
        assert seen == [1, 2, 3]

    colour.run(body)


def test_a_mistake_is_not_tried_again(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        seen: list[int] = []

        def wrong(state: Any) -> Any:
            seen.append(1)
            raise ValueError("wrong")

        graph = (
            StateGraph(Log).add_node("wrong", c.function(wrong), retry_policy=RetryPolicy()).add_edge(START, "wrong")
        )
        with pytest.raises(ValueError, match="wrong"):
            await run(c, graph.compile(), {"log": []})
        assert seen == [1]

    colour.run(body)


def test_pauses_grow_up_to_their_bound() -> None:
    policy = RetryPolicy(initial_interval=1.0, backoff_factor=3.0, max_interval=5.0, jitter=False)
    assert [policy.pause(n) for n in (1, 2, 3)] == [1.0, 3.0, 5.0]
    with pytest.raises(ValueError, match="at least 1"):
        RetryPolicy(max_attempts=0)


def test_a_function_that_gives_a_coroutine_is_awaited() -> None:
    async def work(state: Any) -> Any:
        await asyncio.sleep(0)
        return {"log": ["worked"]}

    app = graph_of(node=lambda state: work(state)).compile()
    assert asyncio.run(app.ainvoke({"log": []})) == {"log": ["worked"]}
    with pytest.raises(AsyncOnly, match="ainvoke"):
        app.invoke({"log": []})


def test_siblings_that_end_in_the_moment_of_a_failure_are_told_too() -> None:
    def node(name: str) -> Any:
        async def work(state: Any) -> dict[str, Any]:
            if name == "b":
                raise ZeroDivisionError
            if name == "d":
                await asyncio.sleep(60)
            return {"log": [name]}

        return work

    graph = graph_of(**{name: node(name) for name in "abcd"})
    for name in "bcd":
        graph.add_edge(START, name)

    async def body() -> list[Any]:
        told = []
        with pytest.raises(ZeroDivisionError):
            async for mode, data in graph.compile().astream({}, stream_mode=["updates", "tasks"]):
                if mode == "updates" or "input" not in data:
                    told.append(*data if mode == "updates" else [data["name"].upper()])
        return told

    assert asyncio.run(body()) == ["a", "A", "B", "c", "C"]
