"""What all chat models behind a wire share: the four ways to be asked."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any

from ..chat.models import BaseChatModel
from ..data.ai_chunk import AIMessageChunk
from ..data.lazy import Lazy
from ..data.messages import BaseMessage
from ..data.outputs import ChatResult
from ..flow.step import step
from .wired import Wired

if TYPE_CHECKING:
    from . import asking
    from .asking import Begun, Decoder, StreamAsking
    from .http import Link
else:
    asking = Lazy(".asking", globals())

__all__ = ["WireModel"]

_HOW_IT_IS_FETCHED = {
    *("api_key", "default_query", "disable_streaming", "max_retries", "metadata", "name", "proxy", "stream_usage"),
    *("streaming", "tags", "timeout", "azure_ad_token", "tiktoken_model_name"),
}
# What tracing tools call a provider, where that is not its name here.
_TRACED_AS = {"azure_openai": "azure"}


class WireModel(Wired, BaseChatModel):
    """A chat model behind HTTP. A subclass says how its provider is asked, once for both colours.

    Requests that fail before their first token are made again up to `max_retries` times; a stream that breaks later raises
    `ProviderInterrupted`, which carries the message so far.
    """

    streaming: bool = False
    extra_body: dict[str, Any] | None = None
    include_response_headers: bool = False
    """Tell the headers of an answer, as `response_metadata["headers"]`; those of a stream with its first chunk."""

    @property
    def _identifying_params(self) -> dict[str, Any]:
        # How an answer is fetched does not change it; secrets are masked by the dump.
        settings = self.model_dump(mode="json", exclude=_HOW_IT_IS_FETCHED, fallback=repr)
        return {"provider": self._endpoint.provider, **settings}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        provider = _TRACED_AS.get(self._endpoint.provider, self._endpoint.provider)
        return {**super()._get_ls_params(stop=stop, **kwargs), "ls_provider": provider}

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

    def _stream_asking(
        self, decoder: Callable[..., Decoder], whole: Callable[..., AIMessageChunk], **options: Any
    ) -> StreamAsking:
        """How a wire is asked: by a decoder of its streams, made with `options`, and a reader of answers that come whole."""
        provider, secrets = self._endpoint.provider, self._secrets
        return asking.StreamAsking(
            decoder=lambda: decoder(provider=provider, secrets=secrets, **options),
            whole=lambda answer: whole(answer, provider=provider),
            retries=self.max_retries,
            secrets=secrets,
        )

    # -- asking ------------------------------------------------------------------------------------------------------

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        link = self._sync_link()
        return self._as_told(step(self._answer(link, messages, stop, kwargs)), link)

    async def _agenerate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        link = self._async_link()
        return self._as_told(await self._answer(link, messages, stop, kwargs), link)

    def _stream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[Any]:
        return asking.read_sync(lambda: step(self._begun(self._sync_link(), messages, stop, kwargs)))

    def _astream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[Any]:
        return asking.read_async(lambda: self._begun(self._async_link(), messages, stop, kwargs))

    async def _begun(
        self, link: Link, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> Begun[Any]:
        begun = await self._begin_stream(link, messages, stop, kwargs)
        if self.include_response_headers:
            for chunk in begun.chunks[:1]:
                _tell_headers(chunk, link)
        return begun

    def _as_told(self, result: ChatResult, link: Link) -> ChatResult:
        """With the headers where they are wanted."""
        if self.include_response_headers:
            for generation in result.generations:
                _tell_headers(generation.message, link)
        return result


def _tell_headers(message: BaseMessage, link: Link) -> None:
    # Not in place: the chunks of a stream share their metadata.
    message.response_metadata = {**message.response_metadata, "headers": dict(link.headers)}
