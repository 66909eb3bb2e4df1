"""Connections to Postgres, and plans carried out on them whatever becomes of the server meanwhile; one body for both colours.

A plan yields lists of statements (one round trip each) and is sent a list of rows for each. It is begun anew when the connection is
lost, after a pause that grows and is never twice the same. Where the loss left in doubt whether a transaction was committed, the
server is asked before anything is repeated.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator, Sequence
from functools import lru_cache
from typing import Any, Final, Protocol, TypeAlias

from ...errors import StorageError
from .postgres_errors import StillUnderWay, is_passing, meaning

__all__ = ["IDLE", "Links", "Plan", "Source", "Statement"]

Statement: TypeAlias = tuple[str, Sequence[Any]]
Plan: TypeAlias = Generator[Sequence[Statement], list[list[Any]], Any]

PATIENCE: Final = 30.0
"""How long, in seconds, a call goes on trying to reach a server that is away."""

_BEGIN: Final[Statement] = ("BEGIN", ())
_SAVEPOINT: Final[Statement] = ("SAVEPOINT millstream", ())
_XID: Final[Statement] = ("SELECT pg_current_xact_id_if_assigned()::text", ())
# Somebody who is stopped in the middle of a transaction must not keep others from taking over.
_NOT_FOR_LONG: Final[Statement] = ("SET LOCAL idle_in_transaction_session_timeout = '400ms'", ())
_STATUS: Final = "SELECT pg_xact_status(?::xid8)"

IDLE, _INTRANS, _INERROR = 0, 2, 3
"""How libpq numbers the states of a connection (1: busy with a statement)."""


class Source(Protocol):
    """Where connections come from, in one colour. A sync one never suspends."""

    async def take(self) -> Any:
        """A connection for one caller, made if need be."""

    async def give(self, raw: Any) -> None:
        """Take it back, closed if it cannot be used again."""

    async def send(self, raw: Any, statements: Sequence[Statement]) -> list[list[Any]]:
        """Execute statements in one round trip; the rows of each."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""

    async def close(self) -> None:
        """Close the connections that it made."""


class Links:
    """Carries out plans on the connections of a source."""

    def __init__(self, source: Source, *, patience: float = PATIENCE) -> None:
        self.source = source
        self.patience = patience

    async def run(self, plan: Callable[[bool], Plan], *, atomic: bool) -> Any:
        """The result of a plan, in a transaction if it is to be `atomic`.

        `plan` is called once for each attempt, with whether an attempt before may have been carried out unknown to us: never so for
        atomic plans.
        """
        end = time.monotonic() + self.patience
        attempt = _Attempt(self.source, atomic)
        for number in range(1_000_000):
            raw: Any = None
            try:
                raw = await self.source.take()
                return await attempt.carry_out(raw, plan)
            except Exception as error:
                if not is_passing(error, raw):
                    ours = meaning(error)
                    if ours is error:
                        raise
                    raise ours from error
                if time.monotonic() > end:
                    raise StorageError(
                        f"Postgres could not be reached for {self.patience:.0f} s: {str(error).strip()}"
                    ) from error
            finally:
                if raw is not None:
                    await self.source.give(raw)
            # Half of it by chance, so that those who lost the server together do not come back together.
            await self.source.sleep(min(0.02 * 2**number, 0.5) * random.uniform(0.5, 1.0))
        raise AssertionError

    async def greet(self) -> None:
        """Connect once, so that a wrong address is an error at once, and no long wait."""
        try:
            await self.source.give(await self.source.take())
        except Exception as error:
            raise meaning(error) from error

    async def close(self) -> None:
        """Close the connections."""
        await self.source.close()


class _Attempt:
    """What is known from one attempt at a plan to the next."""

    def __init__(self, source: Source, atomic: bool) -> None:
        self.source = source
        self.atomic = atomic
        self.doubt = False
        self.xid: str | None = None
        self.committing: tuple[str, Any] | None = None

    async def carry_out(self, raw: Any, plan: Callable[[bool], Plan]) -> Any:
        if self.committing is not None:
            xid, result = self.committing
            ((status,),) = (await self.source.send(raw, [(_STATUS, (xid,))]))[0]
            if status == "committed":
                return result
            if status == "in progress":
                raise StillUnderWay("a transaction whose connection was cut is still under way")
            self.committing = None
        if self.atomic:
            return await self._transaction(raw, plan(False))
        running = plan(self.doubt)
        self.doubt = True
        return await self._steps(raw, running)

    async def _transaction(self, raw: Any, plan: Plan) -> Any:
        inside = raw.info.transaction_status != IDLE  # the user's own transaction
        begin: list[Statement] = [_SAVEPOINT] if inside else [_BEGIN, _NOT_FOR_LONG]
        commit, undo = (
            ("RELEASE millstream", ("ROLLBACK TO millstream", "RELEASE millstream"))
            if inside
            else ("COMMIT", ("ROLLBACK",))
        )
        try:
            self.xid = None
            result = await self._steps(raw, plan, begin)
            if begin:
                return result  # nothing was asked of the server
            if self.xid is not None and not inside:
                self.committing = self.xid, result
            await self.source.send(raw, [(commit, ())])
            return result
        except BaseException:
            if raw.info.transaction_status in (_INTRANS, _INERROR):
                await self.source.send(raw, [(sql, ()) for sql in undo])
            raise

    async def _steps(self, raw: Any, plan: Plan, begin: list[Statement] | None = None) -> Any:
        """Run a plan; of a transaction `begin` goes before its first statements, and is emptied."""
        send = self.source.send
        try:
            batch = next(plan)
            while True:
                if begin and len(batch) == 1:
                    # What is sent together ends, in psycopg, in a way that stops the server's clock for transactions that lie idle. So
                    # plans that lock what others wait for yield one statement at a time.
                    await send(raw, begin)
                    begin.clear()
                together = [*(begin or ()), *batch]
                answers = await send(raw, together)
                if begin is not None:
                    begin.clear()
                    if self.xid is None:
                        ((self.xid,),) = (await send(raw, [_XID]))[0]
                batch = plan.send(answers[len(together) - len(batch) :])
        except StopIteration as done:
            return done.value
        finally:
            plan.close()


@lru_cache(maxsize=512)
def placed(sql: str) -> str:
    """A statement with psycopg's placeholders for its `?`."""
    return sql.replace("%", "%%").replace("?", "%s")
