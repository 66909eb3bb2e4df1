"""`Driver.exhaust`: all that a streaming leaf yields, read inside the leaf's context."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from typing import Any

import pytest
from colours import Colour, colour

from millstream.errors import AsyncOnly
from millstream.flow.driver import ASYNC, SYNC, Driver
from millstream.flow.line import Leaf
from millstream.flow.mailbox import Abandoned, Mailbox
from millstream.spine.scope import ROOT, Scope, current_scope

__all__ = ["colour"]

mark: ContextVar[str] = ContextVar("mark", default="outside")


def driver(c: Colour) -> Driver:
    return SYNC if c.sync else ASYNC


def counting(log: list[Any], count: int = 3, fails: bool = False) -> tuple[Any, Any]:
    """A leaf in both forms, which notes what it yields and that it was closed."""

    def fn(*args: Any) -> Iterator[Any]:
        mark.set("inside")
        log.append(current_scope())
        try:
            for n in range(count):
                log.append(n)
                yield n
            if fails:
                raise KeyError("leaf")
        finally:
            log.append("closed")

    async def afn(*args: Any) -> AsyncIterator[Any]:
        for each in fn(*args):
            await asyncio.sleep(0)
            yield each

    return fn, afn


def leaf(log: list[Any], scope: Scope = ROOT, **options: Any) -> Leaf:
    return Leaf(scope, *counting(log, **options), (), {})


def test_all_is_taken_one_by_one_in_the_context_of_the_leaf(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        log: list[Any] = []
        scope = ROOT.copy()
        await driver(c).exhaust(leaf(log, scope), lambda item: log.append((item, mark.get())))
        assert log == [scope, 0, (0, "inside"), 1, (1, "inside"), 2, (2, "inside"), "closed"]
        assert mark.get() == "outside"

    colour.run(body)


@pytest.mark.parametrize("whose", ["leaf", "take"])
def test_an_error_closes_the_leaf_and_names_the_run(colour: Colour, whose: str) -> None:
    async def body(c: Colour) -> None:
        log: list[Any] = []
        run = ROOT.open("asked", "chat_model")

        def take(item: Any) -> None:
            if whose == "take" and item == 1:
                raise KeyError("take")

        with pytest.raises(KeyError, match=whose) as caught:
            await driver(c).exhaust(leaf(log, run.scope, fails=True), take)
        assert log[1:] == ([0, 1, 2, "closed"] if whose == "leaf" else [0, 1, "closed"])
        assert caught.value.__notes__ == ["while running 'asked' (chat_model)"]

    colour.run(body)


def test_a_coroutine_function_that_gives_the_iterator() -> None:
    async def main() -> None:
        log: list[Any] = []
        _, afn = counting(log)

        async def opening() -> Any:
            await asyncio.sleep(0)
            return afn()

        taken: list[Any] = []
        await ASYNC.exhaust(Leaf(ROOT, None, opening, (), {}), taken.append)
        assert taken == [0, 1, 2]

    asyncio.run(main())


def test_a_leaf_of_the_other_colour() -> None:
    taken: list[Any] = []
    fn, afn = counting([])
    with pytest.raises(AsyncOnly, match="astream"):
        SYNC.exhaust(Leaf(ROOT, None, afn, (), {}), taken.append).send(None)

    async def main() -> None:
        where = set()

        def take(item: Any) -> None:
            taken.append(item)
            where.add(threading.get_ident())

        await ASYNC.exhaust(Leaf(ROOT, fn, None, (), {}), take)
        assert where == {threading.get_ident()}  # the leaf is in a worker thread, what takes is not

    asyncio.run(main())
    assert taken == [0, 1, 2]


def test_cancelling_closes_the_leaf() -> None:
    async def main() -> None:
        log: list[Any] = []
        begun = asyncio.Event()

        async def afn() -> AsyncIterator[int]:
            try:
                yield 0
                begun.set()
                await asyncio.sleep(60)
            finally:
                await asyncio.sleep(0)  # clean-up may wait
                log.append(mark.get())

        mark.set("of the task")
        task = asyncio.create_task(ASYNC.exhaust(Leaf(ROOT, None, afn, (), {}), log.append))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert log == [0, "of the task"]

    asyncio.run(main())


def gated(mailbox: Mailbox[Any]) -> Scope:
    scope = ROOT.copy()
    scope.gates = (mailbox,)
    return scope


def test_the_next_is_not_fetched_while_the_reader_is_behind() -> None:
    async def main() -> None:
        mailbox: Mailbox[int] = Mailbox(mark=2)
        log: list[Any] = []
        task = asyncio.create_task(ASYNC.exhaust(leaf(log, gated(mailbox), count=5), mailbox.put))
        for _ in range(50):
            await asyncio.sleep(0)
        assert log[1:] == [0, 1]
        read = [mailbox.take() for _ in range(2)]
        for _ in range(50):
            await asyncio.sleep(0)
        assert log[1:] == [0, 1, 2, 3]
        mailbox.abandon()  # nobody reads any more: nothing to wait for
        await task
        assert read == [0, 1] and log[-1] == "closed"

    asyncio.run(main())


def test_a_sync_leaf_ends_when_its_reader_has_gone() -> None:
    mailbox: Mailbox[int] = Mailbox()
    log: list[Any] = []

    def take(item: int) -> None:
        if item == 1:
            mailbox.abandon()

    with pytest.raises(Abandoned):
        SYNC.exhaust(leaf(log, gated(mailbox), count=5), take).send(None)
    assert log[1:] == [0, 1, "closed"]
