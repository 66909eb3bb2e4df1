"""Chain groups: several calls shown as one run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Self, TypeVar
from uuid import UUID

from ..spine.callbacks import AsyncCallbackManager, CallbackManager, CallbackManagerForChainRun, Told
from ..spine.scope import Scope, enter
from .attend import Attendance

__all__ = [
    "AsyncCallbackManagerForChainGroup",
    "CallbackManagerForChainGroup",
    "atrace_as_chain_group",
    "trace_as_chain_group",
]

M = TypeVar("M", bound="CallbackManagerForChainGroup")


class CallbackManagerForChainGroup(CallbackManager):
    """The manager of an open group: to be given as `config["callbacks"]` to the calls that belong to it."""

    __slots__ = ("ended", "parent_run_manager")

    parent_run_manager: CallbackManagerForChainRun
    ended: bool

    def copy(self) -> Self:
        """A manager of its own of the same group."""
        new = super().copy()
        new.parent_run_manager, new.ended = self.parent_run_manager, self.ended
        return new

    def on_chain_end(self, outputs: Any, **kwargs: Any) -> Told:
        """End the group's run with these outputs; otherwise it ends with `{}`."""
        self.ended = True
        return self.parent_run_manager.on_chain_end(outputs, **kwargs)

    def on_chain_error(self, error: BaseException, **kwargs: Any) -> Told:
        """End the group's run with an error."""
        self.ended = True
        return self.parent_run_manager.on_chain_error(error, **kwargs)


class AsyncCallbackManagerForChainGroup(CallbackManagerForChainGroup, AsyncCallbackManager):
    """The same for async code."""

    __slots__ = ()

    is_async = True


@contextmanager
def trace_as_chain_group(
    group_name: str,
    callback_manager: CallbackManager | None = None,
    *,
    inputs: Any = None,
    run_id: UUID | None = None,
    tags: list[str] | None = None,
    metadata: dict[str, Any] | None = None,
) -> Iterator[CallbackManagerForChainGroup]:
    """Show several calls as one run: give what the `with` yields as `config["callbacks"]` to each.

    Without `callback_manager` the group is a part of the run around it, if there is one.
    """
    scope = _scope(callback_manager, group_name, run_id, tags, metadata)
    with _group(scope, group_name, inputs, CallbackManagerForChainGroup) as manager:
        yield manager


@asynccontextmanager
async def atrace_as_chain_group(
    group_name: str,
    callback_manager: CallbackManager | None = None,
    *,
    inputs: Any = None,
    run_id: UUID | None = None,
    tags: list[str] | None = None,
    metadata: dict[str, Any] | None = None,
) -> AsyncIterator[AsyncCallbackManagerForChainGroup]:
    """`trace_as_chain_group` for async code. All handlers have been called when the `async with` ends."""
    attendance = Attendance()
    try:
        scope = attendance.heard(_scope(callback_manager, group_name, run_id, tags, metadata))
        with _group(scope, group_name, inputs, AsyncCallbackManagerForChainGroup) as manager:
            yield manager
    finally:
        await attendance.end()


def _scope(
    manager: CallbackManager | None,
    name: str,
    run_id: UUID | None,
    tags: list[str] | None,
    metadata: dict[str, Any] | None,
) -> Scope:
    config = {"callbacks": manager, "tags": tags, "metadata": metadata, "run_name": name, "run_id": run_id}
    return enter(config)


@contextmanager
def _group(scope: Scope, name: str, inputs: Any, made: type[M]) -> Iterator[M]:
    run = scope.begin(name, "chain", inputs or {})
    manager = made._of(run.scope)
    manager.parent_run_manager = CallbackManagerForChainRun(run.scope, run)
    manager.ended = False
    try:
        yield manager
    except BaseException as error:
        if not manager.ended:
            run.fail(error)
        raise
    if not manager.ended:
        run.end({})
