"""What savers on databases share: every method is a plan of statements, and a subclass says how plans are run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...errors import LoopBlocked
from . import sql
from .base import Config
from .ciphering import ciphered
from .leases import Lease, clock
from .log import Chain, Entry, Loaded, Record
from .log_saver import LogSaver

__all__ = ["SqlSaver", "loop_blocked"]


def loop_blocked(owner: object, instead: str) -> LoopBlocked:
    """The error for a call on a saver's or store's own loop."""
    return LoopBlocked(
        f"a synchronous call of {type(owner).__name__} blocks its event loop; use the async form, e.g. {instead}."
    )


def machine_clock() -> sql.Now:
    """The plan that reads the clock where all processes are on one machine."""
    return clock()
    yield


class SqlSaver(LogSaver):
    """The methods of a log as plans. A subclass writes `run` and, where it is `awaitable`, `arun`."""

    now = staticmethod(machine_clock)

    def planned(self, plan: Callable[..., sql.Plan], *args: Any) -> sql.Plan:
        """`plan(*args)`, with the saver's cipher where it has one."""
        made = plan(*args)
        return made if self.cipher is None else ciphered(made, self.cipher)

    def run(self, plan: Callable[..., sql.Plan], *args: Any) -> Any:
        """Execute the statements of `plan(*args)` and give its result; one that raises leaves no transaction open."""
        raise self._unsupported("run")

    async def arun(self, plan: Callable[..., sql.Plan], *args: Any) -> Any:
        """`run`, awaitable."""
        raise self._unsupported("arun")

    def load(self, thread: str, ns: str, id: str | None = None, anew: bool = False) -> Loaded | None:
        return self.run(sql.load, thread, ns, id, None if anew else self.kept)  # type: ignore[no-any-return]

    def commit(
        self, thread: str, ns: str, entries: Sequence[Entry], chain: Chain | None, lease: Lease | None = None
    ) -> Chain:
        return self.run(sql.commit, thread, ns, entries, chain, lease, self.now)  # type: ignore[no-any-return]

    def record(self, thread: str, ns: str, id: str, records: Sequence[Record], lease: Lease | None = None) -> None:
        self.run(sql.record, thread, ns, id, records, lease, self.now)

    def load_all(self, thread: str, ns: str, ids: Sequence[str]) -> Sequence[Loaded]:
        return self.run(sql.load_all, thread, ns, ids)  # type: ignore[no-any-return]

    def ids(self, thread: str, ns: str) -> Sequence[str]:
        return self.run(sql.ids_of, thread, ns)  # type: ignore[no-any-return]

    def writes_after(self, thread: str, ns: str, id: str) -> Sequence[Any]:
        return self.run(sql.writes_after, thread, ns, id)  # type: ignore[no-any-return]

    def find(self, config: Config | None, before: str | None = None) -> Sequence[tuple[str, str, str]]:
        return self.run(sql.find, config, before)  # type: ignore[no-any-return]

    def erase(self, thread: str) -> None:
        self.run(sql.erase, thread)

    def drop(self, thread: str, ns: str, ids: Sequence[str]) -> None:
        self.run(sql.drop, thread, ns, ids)

    def copy(self, source: str, target: str) -> None:
        self.run(sql.copy, source, target)

    def grant(self, thread: str, token: str, seconds: float) -> int:
        return self.run(sql.grant, thread, token, seconds, self.now)  # type: ignore[no-any-return]

    def extend(self, lease: Lease, seconds: float) -> None:
        self.run(sql.extend, lease, seconds, self.now)

    def free(self, lease: Lease) -> None:
        self.run(sql.free, lease)

    async def aload(self, thread: str, ns: str, id: str | None = None, anew: bool = False) -> Loaded | None:
        return await self.arun(sql.load, thread, ns, id, None if anew else self.kept)  # type: ignore[no-any-return]

    async def acommit(
        self, thread: str, ns: str, entries: Sequence[Entry], chain: Chain | None, lease: Lease | None = None
    ) -> Chain:
        return await self.arun(sql.commit, thread, ns, entries, chain, lease, self.now)  # type: ignore[no-any-return]

    async def arecord(
        self, thread: str, ns: str, id: str, records: Sequence[Record], lease: Lease | None = None
    ) -> None:
        await self.arun(sql.record, thread, ns, id, records, lease, self.now)

    async def aload_all(self, thread: str, ns: str, ids: Sequence[str]) -> Sequence[Loaded]:
        return await self.arun(sql.load_all, thread, ns, ids)  # type: ignore[no-any-return]

    async def aids(self, thread: str, ns: str) -> Sequence[str]:
        return await self.arun(sql.ids_of, thread, ns)  # type: ignore[no-any-return]

    async def awrites_after(self, thread: str, ns: str, id: str) -> Sequence[Any]:
        return await self.arun(sql.writes_after, thread, ns, id)  # type: ignore[no-any-return]

    async def afind(self, config: Config | None, before: str | None = None) -> Sequence[tuple[str, str, str]]:
        return await self.arun(sql.find, config, before)  # type: ignore[no-any-return]

    async def aerase(self, thread: str) -> None:
        await self.arun(sql.erase, thread)

    async def adrop(self, thread: str, ns: str, ids: Sequence[str]) -> None:
        await self.arun(sql.drop, thread, ns, ids)

    async def acopy(self, source: str, target: str) -> None:
        await self.arun(sql.copy, source, target)

    async def agive_back(self) -> None:
        """`give_back`, awaitable."""

    async def agrant(self, thread: str, token: str, seconds: float) -> int:
        return await self.arun(sql.grant, thread, token, seconds, self.now)  # type: ignore[no-any-return]

    async def aextend(self, lease: Lease, seconds: float) -> None:
        await self.arun(sql.extend, lease, seconds, self.now)

    async def afree(self, lease: Lease) -> None:
        await self.arun(sql.free, lease)
