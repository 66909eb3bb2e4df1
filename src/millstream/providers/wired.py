"""What all components behind HTTP share: where the server is, the key, the limits, and how a request is posted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlencode, urlsplit

from pydantic import BaseModel, ConfigDict, Field, Secret, SecretStr

from ..data.lazy import Lazy
from .endpoint import OTHER_NAMES, Endpoint, resolved_settings
from .timeouts import Timeouts

if TYPE_CHECKING:
    from . import http, http_async, http_sync, status, wire_json
    from .http import Key, Post
    from .http_async import AsyncLink
    from .http_sync import SyncLink
else:
    # What only requests need.
    http = Lazy(".http", globals())
    http_async = Lazy(".http_async", globals())
    http_sync = Lazy(".http_sync", globals())
    status = Lazy(".status", globals())
    wire_json = Lazy(".wire_json", globals())

__all__ = ["Wired"]


class Wired(BaseModel):
    """Settings of a component behind HTTP."""

    # Built when a subclass is first used, as `Configured`: with its schema pydantic would look for plugins in all installed
    # packages, which loads 50 modules.
    model_config = ConfigDict(populate_by_name=True, hide_input_in_errors=True, defer_build=True)

    api_key: SecretStr | None = None
    """The key, or a function (also an async one) that gives it: that is asked before each request."""
    key_provider: Callable[[], Any] | None = Field(default=None, exclude=True, repr=False)
    base_url: str | None = None
    timeout: Any = None
    """Seconds, `(connect, read)`, or `Timeouts`, which tells the four limits apart."""
    max_retries: int = Field(default=2, ge=0)
    model_kwargs: dict[str, Any] = Field(default_factory=dict)
    default_headers: dict[str, SecretStr] | None = None
    # Some servers want their key there.
    default_query: Secret[dict[str, Any]] | None = Field(default=None, exclude=True, repr=False)
    proxy: SecretStr | None = None
    """The proxy to go through; else the environment says (HTTPS_PROXY and the like)."""
    http_client: Any = Field(default=None, exclude=True, repr=False)
    http_async_client: Any = Field(default=None, exclude=True, repr=False)

    _endpoint: ClassVar[Endpoint]
    _of_no_use: ClassVar[frozenset[str]] = frozenset()
    """Settings that programs give and that mean nothing here: they are neither sent nor warned of."""

    def __init__(self, **settings: Any) -> None:
        for name in self._of_no_use:
            settings.pop(name, None)
        super().__init__(**resolved_settings(type(self), settings, self._endpoint))

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            # A setting can be read under each name by which it can be given.
            ours = OTHER_NAMES.get(name)
            return getattr(self, ours) if ours in type(self).model_fields else super().__getattr__(name)

    def _post(self, url: str, body: Mapping[str, Any], kwargs: Mapping[str, Any], **headers: str) -> Post:
        query = {**self._query(), **(kwargs.get("extra_query") or {})}
        return http.Post(
            url=_with_query(url, query),
            headers={**self._headers(kwargs.get("extra_headers")), **headers},
            body=wire_json.dumps(body),
            timeouts=Timeouts.of(kwargs.get("timeout", self.timeout)),
            provider=self._endpoint.provider,
            key=self._fresh_key(),
            secrets=status.may_be_keys({**query, **(kwargs.get("extra_headers") or {})}),
            hides_query=bool(query),
        )

    def _sync_link(self) -> SyncLink:
        return http_sync.SyncLink(self.http_client, proxy=self._proxy())

    def _async_link(self) -> AsyncLink:
        return http_async.AsyncLink(self.http_async_client, proxy=self._proxy())

    def _headers(self, extra: Mapping[str, str] | None) -> dict[str, str]:
        key = None if self._fresh_key() is not None else self._key()
        headers = self._endpoint.headers(key, self._organization())
        headers |= {name.lower(): value.get_secret_value() for name, value in (self.default_headers or {}).items()}
        return headers | {name.lower(): value for name, value in (extra or {}).items()}

    def _query(self) -> dict[str, Any]:
        return self.default_query.get_secret_value() if self.default_query else {}

    def _key(self) -> str:
        return self.api_key.get_secret_value() if self.api_key else ""

    def _fresh_key(self) -> Key | None:
        """Where the key is got from, if it is asked for before each request."""
        return http.Key(self.key_provider, header=self._endpoint.key_header) if self.key_provider is not None else None

    def _proxy(self) -> str | None:
        return self.proxy.get_secret_value() if self.proxy else None

    def _organization(self) -> str | None:
        return None

    @property
    def _secrets(self) -> list[str]:
        """What no message may hold."""
        given = (self.api_key, *(self.default_headers or {}).values())
        secrets = [secret.get_secret_value() for secret in given if secret]
        password = urlsplit(self._proxy() or "").password
        return [*secrets, password] if password else secrets

    @property
    def _server(self) -> str:
        return str(self.base_url).rstrip("/")

    @property
    def _is_official(self) -> bool:
        return self._server == self._endpoint.url


def _with_query(url: str, query: Mapping[str, Any]) -> str:
    if not query:
        return url
    return f"{url}{'&' if urlsplit(url).query else '?'}{urlencode(query, doseq=True)}"
