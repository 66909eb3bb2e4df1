"""What all models behind a wire share: settings, the four ways to be asked, and how a request is posted."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, ClassVar

from pydantic import ConfigDict, Field, SecretStr

from ..chat.models import BaseChatModel
from ..data.messages import BaseMessage
from ..data.outputs import ChatResult
from ..flow.step import step
from .asking import Begun, read_async, read_sync
from .endpoint import Endpoint, resolved_settings
from .http import AsyncLink, Link, Post, SyncLink
from .timeouts import Timeouts
from .wire_json import dumps

__all__ = ["WireModel"]


class WireModel(BaseChatModel):
    """A chat model behind HTTP. A subclass says how its provider is asked, once for both colours.

    Requests that fail before their first token are made again up to `max_retries` times; a stream that breaks later raises
    `ProviderInterrupted`, which carries the message so far.
    """

    model_config = ConfigDict(populate_by_name=True, hide_input_in_errors=True)

    api_key: SecretStr | None = None
    base_url: str | None = None
    streaming: bool = False
    timeout: Any = None
    """Seconds, `(connect, read)`, or `Timeouts`, which tells the four limits apart."""
    max_retries: int = Field(default=2, ge=0)
    model_kwargs: dict[str, Any] = Field(default_factory=dict)
    extra_body: dict[str, Any] | None = None
    default_headers: dict[str, SecretStr] | None = None
    http_client: Any = Field(default=None, exclude=True, repr=False)
    http_async_client: Any = Field(default=None, exclude=True, repr=False)

    _endpoint: ClassVar[Endpoint]

    def __init__(self, **settings: Any) -> None:
        super().__init__(**resolved_settings(type(self), settings, self._endpoint))

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

    # -- what is sent ------------------------------------------------------------------------------------------------

    def _post(self, url: str, body: Mapping[str, Any], kwargs: Mapping[str, Any], **headers: str) -> Post:
        return Post(
            url=url,
            headers={**self._headers(kwargs.get("extra_headers")), **headers},
            body=dumps(body),
            timeouts=Timeouts.of(kwargs.get("timeout", self.timeout)),
            provider=self._endpoint.provider,
        )

    def _headers(self, extra: Mapping[str, str] | None) -> dict[str, str]:
        headers = self._endpoint.headers(self._key(), self._organization())
        headers |= {name.lower(): value.get_secret_value() for name, value in (self.default_headers or {}).items()}
        return headers | {name.lower(): value for name, value in (extra or {}).items()}

    def _key(self) -> str:
        return self.api_key.get_secret_value() if self.api_key else ""

    def _organization(self) -> str | None:
        return None

    @property
    def _secrets(self) -> list[str]:
        """What no message may hold."""
        given = (self.api_key, *(self.default_headers or {}).values())
        return [secret.get_secret_value() for secret in given if secret]

    @property
    def _server(self) -> str:
        return str(self.base_url).rstrip("/")

    @property
    def _is_official(self) -> bool:
        return self._server == self._endpoint.url
