"""What all chat models behind a wire share: the four ways to be asked."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Iterator
from typing import Any

from ..chat.models import BaseChatModel
from ..data.messages import BaseMessage
from ..data.outputs import ChatResult
from ..flow.step import step
from .asking import Begun, read_async, read_sync
from .http import AsyncLink, Link, SyncLink
from .wired import Wired

__all__ = ["WireModel"]


class WireModel(Wired, BaseChatModel):
    """A chat model behind HTTP. A subclass says how its provider is asked, once for both colours.

    Requests that fail before their first token are made again up to `max_retries` times; a stream that breaks later raises
    `ProviderInterrupted`, which carries the message so far.
    """

    streaming: bool = False
    extra_body: dict[str, Any] | None = None

    # -- what a wire writes ------------------------------------------------------------------------------------------

    @abstractmethod
    async def _answer(
        self, link: Link, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> ChatResult:
        """Ask for a whole answer."""

    @abstractmethod
    async def _begin_stream(
        self, link: Link, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> Begun[Any]:
        """Ask for a stream, until it has begun."""

    # -- asking ------------------------------------------------------------------------------------------------------

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        return step(self._answer(SyncLink(self.http_client), messages, stop, kwargs))

    async def _agenerate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        return await self._answer(AsyncLink(self.http_async_client), messages, stop, kwargs)

    def _stream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[Any]:
        return read_sync(lambda: step(self._begin_stream(SyncLink(self.http_client), messages, stop, kwargs)))

    def _astream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[Any]:
        return read_async(lambda: self._begin_stream(AsyncLink(self.http_async_client), messages, stop, kwargs))
