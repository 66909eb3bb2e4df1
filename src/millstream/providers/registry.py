"""Models by name: `init_chat_model("openai:gpt-4o")`."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ..chat.models import BaseChatModel
from ..errors import InvalidArgument, Unsupported

__all__ = ["init_chat_model"]

_BUILT = {"anthropic": ("anthropic", "ChatAnthropic"), "openai": ("openai", "ChatOpenAI")}

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
_KNOWN = {*_BUILT, *_PREFIXES.values(), "azure_openai", "google_genai", "groq", "huggingface", "ollama", "openrouter", "together"}  # fmt: skip


def init_chat_model(model: str, *, model_provider: str | None = None, **settings: Any) -> BaseChatModel:
    """The chat model of that name, made with `settings`.

    `model` is "provider:name", or a name that says whose it is ("gpt-4o"); else give `model_provider`.

    ```python
    model = init_chat_model("openai:gpt-4o", temperature=0)
    ```

    Raises:
        InvalidArgument: (ValueError) the provider is not given and cannot be told from the name.
        Unsupported: (NotImplementedError) there is no model for this provider.
    """
    if not isinstance(model, str) or not model:
        raise InvalidArgument("init_chat_model needs a model name, such as 'openai:gpt-4o'.")
    for name in ("configurable_fields", "config_prefix"):
        if settings.pop(name, None) is not None:
            raise Unsupported(
                f"init_chat_model has no `{name}`; make a model for each setting and choose between them."
            )
    provider, name = _split(model, model_provider)
    if provider not in _BUILT:
        raise Unsupported(
            f"There is no model for the provider {provider!r} ({model!r}); there is one for {', '.join(sorted(_BUILT))}. "
            "If its server speaks OpenAI's chat completions: ChatOpenAI(model=..., base_url=...)."
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
