"""Models by name: `init_chat_model("openai:gpt-4o")`."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, Literal, overload

from ..chat.models import BaseChatModel
from ..errors import InvalidArgument, Unsupported
from .compatible import COMPATIBLE, compatible_model
from .configurable_model import ConfigurableModel

__all__ = ["init_chat_model"]

_BUILT = {
    "anthropic": ("anthropic", "ChatAnthropic"),
    "azure_openai": ("azure", "AzureChatOpenAI"),
    "openai": ("openai", "ChatOpenAI"),
}

# How names begin, and whose they are.
_PREFIXES = {
    "gpt-": "openai",
    "o1": "openai",
    "o3": "openai",
    "o4": "openai",
    "chatgpt": "openai",
    "text-davinci": "openai",
    "claude": "anthropic",
    "command": "cohere",
    "accounts/fireworks": "fireworks",
    "gemini": "google_vertexai",
    "amazon.": "bedrock",
    "anthropic.": "bedrock",
    "meta.": "bedrock",
    "mistral": "mistralai",
    "mixtral": "mistralai",
    "deepseek": "deepseek",
    "grok": "xai",
    "sonar": "perplexity",
    "solar": "upstage",
}
# Providers that a program may name, whether or not we have a model for them.
_KNOWN = {*_BUILT, *COMPATIBLE, *_PREFIXES.values(), "anthropic_bedrock", "azure_ai", "bedrock_converse", "google_anthropic_vertex", "ibm", "litellm"}  # fmt: skip


@overload
def init_chat_model(
    model: str,
    *,
    model_provider: str | None = None,
    configurable_fields: None = None,
    config_prefix: str | None = None,
    **settings: Any,
) -> BaseChatModel: ...


@overload
def init_chat_model(
    model: None = None,
    *,
    model_provider: str | None = None,
    configurable_fields: Literal["any"] | Sequence[str] | None = None,
    config_prefix: str | None = None,
    **settings: Any,
) -> ConfigurableModel: ...


@overload
def init_chat_model(
    model: str | None = None,
    *,
    model_provider: str | None = None,
    configurable_fields: Literal["any"] | Sequence[str],
    config_prefix: str | None = None,
    **settings: Any,
) -> ConfigurableModel: ...


def init_chat_model(
    model: str | None = None,
    *,
    model_provider: str | None = None,
    configurable_fields: Literal["any"] | Sequence[str] | None = None,
    config_prefix: str | None = None,
    **settings: Any,
) -> BaseChatModel | ConfigurableModel:
    """The chat model of that name, made with `settings`.

    `model` is "provider:name", or a name that says whose it is ("gpt-4o"); else give `model_provider`.

    Without `model`, or with `configurable_fields`, a call's config chooses: `config["configurable"]` may hold "model",
    "model_provider" or the fields named here (or "any"), each under its name with `config_prefix` and an underscore before
    it. What is given here are the defaults. Let no user's request choose with "any": it could name the server that gets
    the key.

    ```python
    model = init_chat_model("openai:gpt-4o", temperature=0)
    either = init_chat_model(temperature=0)
    either.invoke("hi", config={"configurable": {"model": "anthropic:claude-sonnet-4-5"}})
    ```

    Raises:
        InvalidArgument: (ValueError) the provider is not given and cannot be told from the name, or nobody knows it.
        Unsupported: (NotImplementedError) there is no model for this provider.
    """
    if model is not None and not configurable_fields:
        return _made(model, model_provider, settings)
    if model is not None:
        settings["model"] = model
    if model_provider is not None:
        settings["model_provider"] = model_provider
    fields = configurable_fields or ("model", "model_provider")
    return ConfigurableModel(settings, fields, prefix=config_prefix or "", make=_configured)


def _configured(settings: dict[str, Any]) -> BaseChatModel:
    """The model for the settings of one call."""
    model = settings.pop("model", None)
    return _made(model, settings.pop("model_provider", None), settings)


def _made(model: Any, given: str | None, settings: dict[str, Any]) -> BaseChatModel:
    if not isinstance(model, str) or not model:
        raise InvalidArgument("init_chat_model needs a model name, such as 'openai:gpt-4o'.")
    provider, name = _split(model, given)
    if provider in COMPATIBLE:
        return compatible_model(provider)(model=name, **settings)
    if provider not in _BUILT:
        raise (Unsupported if provider in _KNOWN else InvalidArgument)(
            f"There is no model for the provider {provider!r} ({model!r}); there is one for "
            f"{', '.join(sorted({*_BUILT, *COMPATIBLE}))}. "
            + ("Google's own API has Gemini as well: 'google_genai:...'. " if provider.startswith("google") else "")
            + "If its server speaks OpenAI's chat completions: ChatOpenAI(model=..., base_url=...)."
        )
    module, cls = _BUILT[provider]
    made: BaseChatModel = getattr(import_module(f"{__package__}.{module}"), cls)(model=name, **settings)
    return made


def _split(model: str, given: str | None) -> tuple[str, str]:
    """The provider and the name. A colon may also belong to the name."""
    if given is not None:
        provider = _normal(given)
        prefix, colon, rest = model.partition(":")
        return (provider, rest) if colon and rest and _normal(prefix) == provider else (provider, model)
    prefix, colon, rest = model.partition(":")
    if colon and rest and _normal(prefix) in _KNOWN:
        return _normal(prefix), rest
    lowered = model.lower()
    for start, provider in _PREFIXES.items():
        if lowered.startswith(start):
            return provider, model
    raise InvalidArgument(
        f"The provider of {model!r} cannot be told from its name; write 'provider:{model}' (such as 'openai:gpt-4o'), "
        "or give `model_provider`."
    )


def _normal(provider: str) -> str:
    return provider.strip().lower().replace("-", "_")
