"""Where a provider is and what it wants to know of us: base URL, key, organization, from arguments and environment."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, Secret, SecretStr

from ..errors import InvalidArgument, MissingKey
from .timeouts import Timeouts

__all__ = ["HOW_TO_ASK", "OTHER_NAMES", "Endpoint", "key_header", "resolved_settings"]

# Keywords of a call that say how to make it, and are no parameters of the model.
HOW_TO_ASK = frozenset({"stream", "streaming", "stream_usage", "extra_body", "extra_headers", "extra_query", "timeout", "ls_structured_output_format"})  # fmt: skip

# Sent to servers of one's own that want a key and do not look at it.
_NO_KEY = "no-key-needed"

# Names under which programs also give a setting, and read it.
OTHER_NAMES = {
    "openai_api_key": "api_key",
    "openai_api_base": "base_url",
    "openai_organization": "organization",
    "openai_proxy": "proxy",
    "anthropic_api_key": "api_key",
    "anthropic_api_url": "base_url",
    "anthropic_proxy": "proxy",
    "request_timeout": "timeout",
    "default_request_timeout": "timeout",
    "max_tokens_to_sample": "max_tokens",
    "stop_sequences": "stop",
    "deployment_name": "azure_deployment",
    "openai_api_version": "api_version",
}
# Clients of the official SDKs, which programs hand to models that are built on those.
_SDK_CLIENTS = ("client", "async_client", "root_client", "root_async_client")
# Parameters of providers that are named like a key and are none.
_NO_KEYS = frozenset({"prompt_cache_key"})


@dataclass(slots=True, repr=False, eq=False)
class Endpoint:
    """A provider's own API and the environment variables that speak of it."""

    provider: str
    url: str
    key_variables: tuple[str, ...]
    url_variables: tuple[str, ...] = ()
    organization_variables: tuple[str, ...] = ()
    proxy_variables: tuple[str, ...] = ()
    key_header: str = "authorization"
    """The header that carries the key; "authorization" as a bearer's."""
    more_headers: tuple[tuple[str, str], ...] = ()
    path: str = ""
    """What is added to an address that is given without a path."""

    def headers(self, key: str | None, organization: str | None = None) -> dict[str, str]:
        """The headers of a request."""
        headers = {
            **({} if key is None else key_header(self.key_header, key)),
            "content-type": "application/json",
            "accept": "text/event-stream, application/json",
            # A compressed stream would come in larger pieces, later.
            "accept-encoding": "identity",
            "user-agent": "millstream",
            **dict(self.more_headers),
        }
        if organization:
            headers["openai-organization"] = organization
        return headers


def key_header(name: str, key: str) -> dict[str, str]:
    """The header that carries a key."""
    return {name: f"Bearer {key}" if name == "authorization" else key}


def resolved_settings(model: type[BaseModel], given: dict[str, Any], endpoint: Endpoint) -> dict[str, Any]:
    """The settings of a model with what the environment says, checked as early as they can be.

    Raises:
        MissingKey: (KeyError) the provider's own API needs a key and there is none.
        InvalidArgument: (ValueError) a setting that cannot work.
    """
    known = {name for field, info in model.model_fields.items() for name in (field, info.alias) if name}
    others = {**OTHER_NAMES, **{variable.lower(): "api_key" for variable in endpoint.key_variables}}
    settings = {}
    for name, value in given.items():
        other = others.get(name, name)
        settings[other if name not in known and other in known else name] = value
    _check_no_sdk(model, settings)
    settings = _with_unknown_in_model_kwargs(model, settings, known)
    _give_requests_their_own(settings)
    if settings.get("max_retries", 0) is None:
        del settings["max_retries"]
    url = settings.get("base_url") or _first_set(endpoint.url_variables) or endpoint.url
    settings["base_url"] = _checked_url(str(url), endpoint.path)
    if endpoint.organization_variables:
        settings["organization"] = settings.get("organization") or _first_set(endpoint.organization_variables)
    if callable(settings.get("api_key")):
        settings["key_provider"] = settings.pop("api_key")
    if settings.get("key_provider") is None:
        settings["api_key"] = SecretStr(_key(settings, endpoint))
    if proxy := settings.get("proxy") or _first_set(endpoint.proxy_variables):
        settings["proxy"] = _checked_proxy(proxy)
    _check_clients(settings)
    Timeouts.of(settings.get("timeout"))
    return settings


def _key(settings: dict[str, Any], endpoint: Endpoint) -> str:
    given = settings.get("api_key")
    key = given.get_secret_value() if isinstance(given, SecretStr) else given
    key = (key or _first_set(endpoint.key_variables) or "").strip()
    if key:
        if not (key.isascii() and key.isprintable()):
            raise InvalidArgument("api_key holds characters that no key has; was something else pasted?")
        return key
    has_header = any(
        name.lower() in ("authorization", endpoint.key_header) for name in settings.get("default_headers") or {}
    )
    if settings["base_url"].rstrip("/") == endpoint.url and endpoint.key_variables and not has_header:
        name = endpoint.key_variables[0]
        raise MissingKey(
            f"No API key for {endpoint.provider}: set the environment variable {name}, or give `api_key=`. "
            "A server of your own (`base_url=`) needs none.",
            key=name,
        )
    return _NO_KEY


def _checked_url(url: str, path: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidArgument("base_url must be an http or https address such as 'http://localhost:11434/v1'.")
    if parts.username or parts.password or "@" in parts.netloc:
        raise InvalidArgument(
            "base_url must not hold a user or password; give `default_headers={'authorization': ...}`."
        )
    if parts.query or parts.fragment:
        raise InvalidArgument("base_url must not hold a query or fragment.")
    return url if parts.path.strip("/") or not path else url.rstrip("/") + path


def _checked_proxy(given: Any) -> SecretStr:
    url = given.get_secret_value() if isinstance(given, SecretStr) else str(given)
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https", "socks5", "socks5h") or not parts.hostname:
        raise InvalidArgument("proxy must be an address such as 'http://localhost:3128'.")
    return SecretStr(url)


def _check_no_sdk(model: type[BaseModel], settings: dict[str, Any]) -> None:
    for name in _SDK_CLIENTS:
        if settings.pop(name, None) is not None:
            raise InvalidArgument(
                f"{model.__name__} uses no client of an SDK (`{name}`): give `http_client` and `http_async_client`, "
                "which are httpx clients, or `base_url` and `default_headers`."
            )


def _check_clients(settings: Mapping[str, Any]) -> None:
    """The two clients are easily taken for one another, and what then goes wrong says nothing of it."""
    for name, is_async in (("http_client", False), ("http_async_client", True)):
        client = settings.get(name)
        if client is not None and iscoroutinefunction(getattr(client, "send", None)) is not is_async:
            kind = "AsyncClient" if is_async else "Client"
            raise InvalidArgument(
                f"{name} must be an httpx {kind}; `http_client` is for synchronous calls, `http_async_client` for async ones."
            )


def _give_requests_their_own(settings: dict[str, Any]) -> None:
    """What `model_kwargs` says of the request and not of the model: its headers, its query, how long it may take."""
    told = dict(settings.get("model_kwargs") or {})
    for name, ours in (("extra_headers", "default_headers"), ("extra_query", "default_query")):
        if given := told.pop(name, None):
            kept = settings.get(ours) or {}
            settings[ours] = {**(kept.get_secret_value() if isinstance(kept, Secret) else kept), **given}
            settings["model_kwargs"] = told
    if (timeout := told.pop("timeout", None)) is not None:
        settings["timeout"], settings["model_kwargs"] = timeout, told


def _first_set(variables: tuple[str, ...]) -> str | None:
    return next((os.environ[name] for name in variables if os.environ.get(name)), None)


def _with_unknown_in_model_kwargs(model: type[BaseModel], settings: dict[str, Any], known: set[str]) -> dict[str, Any]:
    """Parameters that the provider may know and we do not are sent as they are, with a warning: it may be a typing error."""
    unknown = {name: settings.pop(name) for name in list(settings) if name not in known}
    if keys := [name for name in unknown if "key" in name.lower() and name not in _NO_KEYS]:
        raise InvalidArgument(f"{model.__name__} does not know `{keys[0]}`; the key is given as `api_key`.")
    if unknown:
        warnings.warn(
            f"{model.__name__} does not know {', '.join(sorted(unknown))}: sent to the server as given. "
            "Put such parameters into `model_kwargs` to say that you mean them.",
            stacklevel=5,
        )
        settings["model_kwargs"] = {**unknown, **(settings.get("model_kwargs") or {})}
    return settings
