"""What users' own methods get as `run_manager`: a way to speak for their run."""

from __future__ import annotations

from typing import Any

from ..data.ai_chunk import AIMessageChunk
from ..data.ids import new_id, run_message_id
from ..spine.events import STREAM
from ..spine.run import Run
from ..spine.scope import Callbacks, Scope

__all__ = ["AsyncRunManager", "RunManager"]


class _Manager:
    __slots__ = ("_id", "_run", "_scope")

    def __init__(self, scope: Scope, run: Run | None, id: str | None = None) -> None:
        self._scope = scope
        self._run = run
        self._id = id

    @property
    def run_id(self) -> str:
        """The id of the run; one made up where nobody watches it."""
        if self._id is None:
            self._id = self._run.id if self._run is not None else new_id()
        return self._id

    @property
    def parent_run_id(self) -> str | None:
        """The id of the run around it."""
        return self._run.parent.id if self._run is not None and self._run.parent else None

    @property
    def tags(self) -> list[str]:
        """The tags of the run."""
        return list(self._run.tags if self._run is not None else self._scope.tags)

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata of the run."""
        return dict(self._run.metadata if self._run is not None else self._scope.metadata)

    def get_child(self, tag: str | None = None) -> Callbacks:
        """What to give as `config["callbacks"]` to whatever runs inside this run.

        Needed only in threads of one's own: elsewhere the surrounding run is known.
        """
        return Callbacks(self._scope.child(tag) if tag else self._scope)

    def _token(self, token: str, chunk: Any) -> None:
        run = self._run
        if run is not None and run.mask & STREAM:
            message = getattr(chunk, "message", chunk)
            if message is None:
                message = AIMessageChunk(token, id=run_message_id(run.id))
            run.emit(STREAM, message)


class RunManager(_Manager):
    """The manager for sync methods."""

    __slots__ = ()

    def on_llm_new_token(self, token: str, *, chunk: Any = None, **kwargs: Any) -> None:
        """Report a token of a model that does not stream by itself."""
        self._token(token, chunk)


class AsyncRunManager(_Manager):
    """The manager for async methods."""

    __slots__ = ()

    async def on_llm_new_token(self, token: str, *, chunk: Any = None, **kwargs: Any) -> None:
        """Report a token of a model that does not stream by itself."""
        self._token(token, chunk)

    def get_sync(self) -> RunManager:
        """The same for sync code."""
        return RunManager(self._scope, self._run, self.run_id)
