"""Postgres: what memory says of a graph, Postgres says too; connections of ours and of users, and their loss."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import psycopg_pool
import pytest
from cluster import Cluster
from colours import Colour, colour
from graph_helpers import Log, chunks, graph_of, run, stream, thread
from savers import apostgres_saver, emptied, postgres_saver, stored_bytes

from millstream import (
    AIMessage,
    AsyncPostgresSaver,
    AsyncPostgresStore,
    Command,
    HumanMessage,
    InMemorySaver,
    Interrupt,
    InvalidArgument,
    MessagesState,
    PostgresSaver,
    PostgresStore,
    Send,
    StateGraph,
    StorageError,
    UnsupportedFormat,
    interrupt,
)

__all__ = ["colour"]


@contextlib.asynccontextmanager
async def saver_in(c: Colour, cluster: Cluster, **options: Any) -> AsyncIterator[Any]:
    """The saver of a colour."""
    if c.sync:
        with postgres_saver(cluster, **options) as saver:
            yield saver
    else:
        async with apostgres_saver(cluster, **options) as asaver:
            yield asaver


def chat(saver: Any) -> Any:
    def reply(state: Any) -> Any:
        return {"messages": [AIMessage(f"re {state['messages'][-1].content}")]}

    return graph_of(state=MessagesState, reply=reply).compile(checkpointer=saver)


def contents(values: Any) -> list[str]:
    return [message.content for message in values["messages"]]


# -- as in memory ----------------------------------------------------------------------------------------------------


def whole(saver: Any) -> Any:
    """A graph with a subgraph that asks, a fan-out, a loop and a command."""

    def ask(state: Any) -> Any:
        return {"log": [f"answer {interrupt('first?')}", f"and {interrupt('second?')}"]}

    def spread(state: Any) -> Any:
        return [Send("each", {"n": n}) for n in range(3)]

    def again(state: Any) -> Any:
        n = state.get("n", 0)
        return Command(update={"n": n + 1, "log": [f"loop {n}"]}, goto="again" if n < 2 else "end")

    kid = graph_of(ask=ask, note=lambda state: {"log": ["noted"]}).add_edge("ask", "note").compile()
    graph: StateGraph[Any, Any, Any, Any] = StateGraph(Log)
    graph.add_node("kid", kid)
    graph.add_node("each", lambda state: {"log": [f"each {state['n']}"]})
    graph.add_node("again", again)
    graph.add_node("end", lambda state: {"log": ["end"]})
    graph.add_edge("__start__", "kid")
    graph.add_conditional_edges("kid", spread, ["each"])
    graph.add_edge("each", "again")
    return graph.compile(checkpointer=saver)


async def told(c: Colour, app: Any) -> list[Any]:
    """All that an application says of two threads, in words that do not differ from run to run."""
    said: list[Any] = []
    said.append(await run(c, app, {"log": ["in"]}, thread()))
    said.append(described(await state(c, app, thread())))
    said += await chunks(c, app, Command(resume="one"), thread())
    said.append(described(await state(c, app, thread())))
    said += await chunks(c, app, Command(resume="two"), thread(), stream_mode="values")
    past = await history(c, app, thread())
    said += [described(each) for each in past]
    # Back in time: once as it was, once otherwise.
    back = next(each for each in past if each.next == ("again",))
    said.append(await run(c, app, None, back.config))
    forked = await update(c, app, back.config, {"log": ["forked"]})
    said.append(await run(c, app, None, forked))
    said += [described(each) for each in await history(c, app, thread())]
    said.append(await run(c, app, {"log": ["other"]}, thread("2"), durability="exit"))
    said += [described(each) for each in await history(c, app, thread("2"))]
    return normal(said)


def described(found: Any) -> Any:
    tasks = [(task.name, task.result, [each.value for each in task.interrupts], task.error) for task in found.tasks]
    return found.values, found.next, found.metadata, found.parent_config is None, tasks


def normal(value: Any) -> Any:
    """Ids out, order kept."""
    if isinstance(value, dict):
        return {key: normal(each) for key, each in value.items() if key not in ("parents", "checkpoint_id")}
    if isinstance(value, list | tuple):
        return [normal(each) for each in value]
    return value.value if isinstance(value, Interrupt) else value


async def state(c: Colour, app: Any, config: Any) -> Any:
    return app.get_state(config, subgraphs=True) if c.sync else await app.aget_state(config, subgraphs=True)


async def history(c: Colour, app: Any, config: Any) -> list[Any]:
    if c.sync:
        return list(app.get_state_history(config))
    return [each async for each in app.aget_state_history(config)]


async def update(c: Colour, app: Any, config: Any, values: Any) -> Any:
    return app.update_state(config, values) if c.sync else await app.aupdate_state(config, values)


def test_what_memory_says_postgres_says(colour: Colour, postgres: Cluster) -> None:
    async def body(c: Colour) -> None:
        expected = await told(c, whole(InMemorySaver()))
        async with saver_in(c, postgres) as saver:
            assert await told(c, whole(saver)) == expected

    colour.run(body)


def test_a_failed_step_keeps_what_was_done(colour: Colour, postgres: Cluster) -> None:
    async def body(c: Colour) -> None:
        calls: list[str] = []
        seen = threading.Event()
        fail = True

        def good(state: Any) -> Any:
            calls.append("good")
            return {"log": ["good"]}

        def bad(state: Any) -> Any:
            assert seen.wait(10)
            if fail:
                raise ValueError("boom")
            return {"log": ["bad"]}

        async with saver_in(c, postgres) as saver:
            graph = graph_of(("__start__", "good"), ("__start__", "bad"), good=good, bad=bad)
            app = graph.compile(checkpointer=saver)
            with pytest.raises(ValueError, match="boom"):
                async for chunk in stream(c, app, {"log": []}, thread()):
                    assert chunk == {"good": {"log": ["good"]}}
                    seen.set()
            fail = False
            assert await run(c, app, None, thread()) == {"log": ["bad", "good"]}
            assert calls == ["good"]

    colour.run(body)


def test_many_conversations_at_once(postgres: Cluster) -> None:
    async def main() -> None:
        async with apostgres_saver(postgres, connections=4) as saver:
            app = chat(saver)
            for word in "ab":
                await asyncio.gather(*[app.ainvoke({"messages": f"{word}{n}"}, thread(str(n))) for n in range(40)])
            for n in range(40):
                found = await app.aget_state(thread(str(n)))
                assert contents(found.values) == [f"a{n}", f"re a{n}", f"b{n}", f"re b{n}"]
            await saver.adelete_thread("7")
            assert await saver.aget_tuple(thread("7")) is None
            assert len([each async for each in saver.alist(None, limit=50)]) == 50

    asyncio.run(main())


def test_a_sync_saver_serves_async_runs_from_worker_threads(postgres: Cluster) -> None:
    async def main() -> None:
        with postgres_saver(postgres) as saver:
            app = chat(saver)
            await asyncio.gather(*[app.ainvoke({"messages": "a"}, thread(str(n))) for n in range(20)])
            assert contents((await app.aget_state(thread("3"))).values) == ["a", "re a"]
            with pytest.raises(NotImplementedError, match="AsyncPostgresSaver"):
                await saver.aget_tuple(thread())

    asyncio.run(main())


def test_sync_calls_of_an_async_saver(postgres: Cluster) -> None:
    async def main() -> None:
        async with apostgres_saver(postgres) as saver:
            app = chat(saver)
            await app.ainvoke({"messages": "a"}, thread())
            with pytest.raises(asyncio.InvalidStateError, match="await"):
                saver.get_tuple(thread())
            assert contents((await asyncio.to_thread(app.get_state, thread())).values) == ["a", "re a"]

    asyncio.run(main())


# -- cost ------------------------------------------------------------------------------------------------------------


def test_a_turn_is_one_round_trip_a_step_and_one_to_look(postgres: Cluster) -> None:
    with postgres_saver(postgres) as saver:
        app = chat(saver)
        app.invoke({"messages": "a"}, thread())
        sent: list[int] = []
        send = saver.links.source.send

        async def counting(raw: Any, statements: Any) -> Any:
            sent.append(len(statements))
            return await send(raw, statements)

        saver.links.source.send = counting  # type: ignore[method-assign]
        app.invoke({"messages": "b"}, thread())
        assert sent == [1, 1, 1]  # is it as it was left; the input; the answer


def test_bytes_grow_with_what_was_said(postgres: Cluster) -> None:
    with postgres_saver(postgres) as saver:
        app = chat(saver)
        sizes = []
        for n in range(160):
            app.invoke({"messages": HumanMessage(f"{n} " + "word " * 40)}, thread())
            sizes.append(stored_bytes(saver) if n % 80 == 79 else 0)
        assert sizes[159] < 2.4 * sizes[79]
        saver._kept.clear()
        assert len(app.get_state(thread()).values["messages"]) == 320


# -- setting up ------------------------------------------------------------------------------------------------------


def test_without_its_tables_it_says_what_to_do(dsn: str) -> None:
    with PostgresSaver.from_conn_string(dsn) as saver:
        with pytest.raises(StorageError, match=r"setup\(\)"):
            chat(saver).invoke({"messages": "a"}, thread())
        saver.setup()
        saver.setup()
        chat(saver).invoke({"messages": "a"}, thread())
    with PostgresStore.from_conn_string(dsn) as store, pytest.raises(StorageError, match=r"setup\(\)"):
        store.put(("a",), "k", {})


def test_several_set_up_at_once(dsn: str) -> None:
    async def one() -> None:
        async with AsyncPostgresSaver.from_conn_string(dsn) as saver, AsyncPostgresStore.from_conn_string(dsn) as store:
            await asyncio.gather(saver.setup(), store.setup())

    async def main() -> None:
        await asyncio.gather(*[one() for _ in range(4)])

    asyncio.run(main())


def test_tables_of_a_later_version_are_left_alone(dsn: str) -> None:
    with PostgresSaver.from_conn_string(dsn) as saver:
        saver.setup()
        chat(saver).invoke({"messages": "a"}, thread())
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("UPDATE ms_format SET version = version + 1")
        with PostgresSaver.from_conn_string(dsn) as saver:
            for call in (saver.setup, lambda: saver.get_tuple(thread()), lambda: chat(saver).invoke({}, thread())):
                with pytest.raises(UnsupportedFormat, match="upgrade millstream"):
                    call()
        assert connection.execute("SELECT count(*) FROM ms_checkpoints").fetchall() == [(3,)]


def test_a_wrong_address_is_an_error_at_once() -> None:
    for text, told in (("host=/nowhere dbname=x", "could not do it"), ("not a dsn", "no connection string")):
        with pytest.raises(Exception, match=told), PostgresSaver.from_conn_string(text):
            pass


# -- the user's own connections --------------------------------------------------------------------------------------


def test_a_connection_and_a_pool_of_the_users(postgres: Cluster) -> None:
    dsn = emptied(postgres)
    with psycopg.connect(dsn, autocommit=True, row_factory=psycopg.rows.dict_row) as connection:
        app = chat(PostgresSaver(connection))
        assert contents(app.invoke({"messages": "a"}, thread())) == ["a", "re a"]
        PostgresStore(connection).setup()
        PostgresStore(connection).put(("a",), "k", {"n": 1})
    with psycopg_pool.ConnectionPool(dsn, kwargs={"autocommit": True}, min_size=1, max_size=2) as pool:
        app = chat(PostgresSaver(pool))
        workers = [threading.Thread(target=app.invoke, args=({"messages": "x"}, thread(str(n)))) for n in range(6)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert contents(app.invoke({"messages": "b"}, thread("1"))) == ["a", "re a", "x", "re x", "b", "re b"]
        found = PostgresStore(pool).get(("a",), "k")
        assert found is not None and found.value == {"n": 1}
    with pytest.raises(StorageError, match="closed"):
        chat(PostgresSaver(pool)).invoke({"messages": "b"}, thread())


def test_an_async_connection_and_pool_of_the_users(postgres: Cluster) -> None:
    async def main() -> None:
        dsn = await asyncio.to_thread(emptied, postgres)
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
            app = chat(AsyncPostgresSaver(connection))
            await asyncio.gather(*[app.ainvoke({"messages": "a"}, thread(str(n))) for n in range(5)])
        pool = psycopg_pool.AsyncConnectionPool(dsn, kwargs={"autocommit": True}, min_size=1, max_size=2, open=False)
        async with pool:
            app = chat(AsyncPostgresSaver(pool))
            await asyncio.gather(*[app.ainvoke({"messages": "b"}, thread(str(n))) for n in range(5)])
            assert contents((await app.aget_state(thread("3"))).values) == ["a", "re a", "b", "re b"]
            store = AsyncPostgresStore(pool)
            await store.setup()
            await store.aput(("a",), "k", {"n": 1})

    asyncio.run(main())


def test_what_cannot_be_used_is_refused(postgres: Cluster) -> None:
    async def awaited() -> None:
        for wrong in (None, "dsn", plain):
            with pytest.raises(TypeError, match="AsyncConnection"):
                AsyncPostgresSaver(wrong)
        async with await psycopg.AsyncConnection.connect(postgres.dsn(), autocommit=False) as connection:
            with pytest.raises(InvalidArgument, match="autocommit"):
                AsyncPostgresSaver(connection)

    with psycopg.connect(postgres.dsn()) as plain:
        with pytest.raises(InvalidArgument, match="autocommit"):
            PostgresSaver(plain)
        asyncio.run(awaited())
    for wrong in (None, "dsn"):
        with pytest.raises(TypeError, match="ConnectionPool"):
            PostgresSaver(wrong)
    with psycopg_pool.ConnectionPool(postgres.dsn(), min_size=1) as pool:
        with pytest.raises(InvalidArgument, match="autocommit"):
            PostgresSaver(pool).get_tuple(thread())
        assert pool.get_stats()["requests_num"] == 1


def test_a_transaction_of_the_users_is_left_open(postgres: Cluster) -> None:
    dsn = emptied(postgres)
    with psycopg.connect(dsn, autocommit=True) as connection, psycopg.connect(dsn, autocommit=True) as other:
        saver = PostgresSaver(connection)
        with contextlib.suppress(ZeroDivisionError), connection.transaction():
            chat(saver).invoke({"messages": "a"}, thread())
            assert saver.get_tuple(thread()) is not None
            assert PostgresSaver(other).get_tuple(thread()) is None
            raise ZeroDivisionError
        assert saver.get_tuple(thread()) is None


# -- loss ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def cut(postgres: Cluster) -> Iterator[Any]:
    """Ends all other connections to the server."""
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        yield lambda: connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )


def test_a_connection_that_was_ended_is_replaced(colour: Colour, postgres: Cluster, cut: Any) -> None:
    async def body(c: Colour) -> None:
        async with saver_in(c, postgres) as saver:
            app = chat(saver)
            for word in "abc":
                await run(c, app, {"messages": word}, thread())
                cut()
            assert contents((await state(c, app, thread())).values) == ["a", "re a", "b", "re b", "c", "re c"]

    colour.run(body)


def test_a_connection_of_the_users_that_was_ended_is_an_error(postgres: Cluster, cut: Any) -> None:
    with psycopg.connect(emptied(postgres), autocommit=True) as connection:
        app = chat(PostgresSaver(connection))
        app.invoke({"messages": "a"}, thread())
        cut()
        with pytest.raises(StorageError, match="from_conn_string"):
            app.invoke({"messages": "b"}, thread())


def test_a_server_that_stays_away_is_an_error_in_the_end() -> None:
    with Cluster() as cluster, PostgresSaver.from_conn_string(cluster.dsn()) as saver:
        saver.setup()
        saver.links.patience = 0.3
        cluster.stop()
        with pytest.raises(StorageError, match="could not be reached"):
            saver.get_tuple(thread())


def test_cancelling_leaves_the_connections_usable(postgres: Cluster) -> None:
    async def main() -> None:
        async with apostgres_saver(postgres, connections=2) as saver:
            app = chat(saver)
            for n in range(20):
                task = asyncio.create_task(app.ainvoke({"messages": "x"}, thread("c")))
                await asyncio.sleep(n * 0.0005)
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            assert contents(await app.ainvoke({"messages": "y"}, thread("d"))) == ["y", "re y"]

    asyncio.run(main())


def test_a_closed_saver_says_so(postgres: Cluster) -> None:
    with postgres_saver(postgres) as saver:
        app = chat(saver)
    with pytest.raises(StorageError, match="was closed"):
        app.invoke({"messages": "a"}, thread())
