"""What a ledger stores behind the run: at most one piece of work at a time, waited for before the next and at the end."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeAlias

from ..flow.beside import Beside, beside

if TYPE_CHECKING:
    from ..flow.driver import Driver

__all__ = ["Behind"]

Work: TypeAlias = Callable[[], Coroutine[Any, Any, None]]


class Behind:
    """One place for work that goes on while the next step runs.

    Once something failed nothing more is done: what comes later builds on what was not stored.
    """

    __slots__ = ("_going", "broken")

    def __init__(self) -> None:
        self._going: Beside | None = None
        self.broken: BaseException | None = None

    @property
    def busy(self) -> bool:
        """Whether something goes on."""
        return self._going is not None and not self._going.over

    async def begin(self, d: Driver, work: Work) -> None:
        """Start `work`, after what goes on has ended."""
        try:
            await self.end()
        finally:  # a cancellation comes after the end: what is to be stored then is
            if self.broken is None:
                self._going = beside(d, lambda: self._watched(work))

    async def perform(self, d: Driver, work: Work) -> None:
        """Do `work` now, after what goes on has ended. A cancellation waits until it is done."""
        if not d.sync:
            try:
                await self.begin(d, work)
            finally:
                await self.end()
            return
        await self.end()
        if self.broken is None:
            await self._watched(work)

    async def end(self) -> None:
        """Wait for what goes on, and raise what it failed with."""
        going, self._going = self._going, None
        if going is not None:
            (await going.outcome()).get()

    async def _watched(self, work: Work) -> None:
        try:
            await work()
        except BaseException as error:
            self.broken = error
            raise
