"""What all components behind HTTP share: where the server is, the key, the limits, and how a request is posted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from .endpoint import Endpoint, resolved_settings
from .http import Post
from .timeouts import Timeouts
from .wire_json import dumps

__all__ = ["Wired"]


class Wired(BaseModel):
    """Settings of a component behind HTTP."""

    model_config = ConfigDict(populate_by_name=True, hide_input_in_errors=True)

    api_key: SecretStr | None = None
    base_url: str | None = None
    timeout: Any = None
    """Seconds, `(connect, read)`, or `Timeouts`, which tells the four limits apart."""
    max_retries: int = Field(default=2, ge=0)
    model_kwargs: dict[str, Any] = Field(default_factory=dict)
    default_headers: dict[str, SecretStr] | None = None
    http_client: Any = Field(default=None, exclude=True, repr=False)
    http_async_client: Any = Field(default=None, exclude=True, repr=False)

    _endpoint: ClassVar[Endpoint]

    def __init__(self, **settings: Any) -> None:
        super().__init__(**resolved_settings(type(self), settings, self._endpoint))

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
