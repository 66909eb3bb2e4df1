"""Which model the demo runs with: what is asked for, else what there is."""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...chat.models import BaseChatModel
from ...errors import InvalidArgument
from .offline_model import NAME, OfflineModel

__all__ = ["Choice", "choose"]

_OLLAMA = ("127.0.0.1", 11434)
_PATIENCE = 0.5
OFFLINE_NOTICE = (
    "No language model is running. Answers come from the built-in offline model, which is not an LLM: it follows fixed "
    "rules to call the three tools. Set OPENAI_API_KEY, ANTHROPIC_API_KEY or MILLSTREAM_MODEL, or start Ollama, and restart "
    "for a real one."
)


@dataclass(slots=True)
class Choice:
    """A model, what to call it, and what has to be said about it."""

    model: BaseChatModel
    name: str
    notice: str | None = None


def choose(environment: Mapping[str, str] = os.environ, *, ollama: tuple[str, int] = _OLLAMA) -> Choice:
    """The model that MILLSTREAM_MODEL names; else OpenAI's or Anthropic's if there is a key; else a local server's; else rules.

    Raises:
        InvalidArgument: MILLSTREAM_MODEL names no model that can be used.
    """
    named = environment.get("MILLSTREAM_MODEL")
    if named:
        return _named(named, ollama)
    if environment.get("OPENAI_API_KEY"):
        model = environment.get("OPENAI_MODEL") or "gpt-4o-mini"
        return Choice(_openai(model=model), f"OpenAI {model}")
    if environment.get("ANTHROPIC_API_KEY"):
        return _anthropic(environment.get("ANTHROPIC_MODEL") or "claude-haiku-4-5")
    local = _local_models(*ollama)
    if local:
        return _local(local[0], ollama)
    return Choice(OfflineModel(), f"{NAME}, not an LLM", OFFLINE_NOTICE)


def _named(named: str, ollama: tuple[str, int]) -> Choice:
    provider, colon, model = named.partition(":")
    if colon and model:
        match provider:
            case "openai":
                return Choice(_openai(model=model), f"OpenAI {model}")
            case "ollama":
                return _local(model, ollama)
            case "anthropic":
                return _anthropic(model)
    if named == "offline":
        return Choice(OfflineModel(), f"{NAME}, not an LLM", OFFLINE_NOTICE)
    raise InvalidArgument(
        f"MILLSTREAM_MODEL={named}: write openai:MODEL (such as openai:gpt-4o), anthropic:MODEL, ollama:MODEL, or offline."
    )


def _openai(**settings: Any) -> BaseChatModel:
    from ...providers.openai import ChatOpenAI

    return ChatOpenAI(**settings)


def _anthropic(model: str) -> Choice:
    from ...providers.anthropic import ChatAnthropic

    return Choice(ChatAnthropic(model=model), f"Anthropic {model}")


def _local(model: str, address: tuple[str, int]) -> Choice:
    host, port = address
    return Choice(
        _openai(model=model, base_url=f"http://{host}:{port}/v1", api_key="none"), f"{model}, on this machine"
    )


def _local_models(host: str, port: int) -> list[str]:
    """The models of an OpenAI-compatible server on this machine; none if there is no server or no answer at once."""
    connection = http.client.HTTPConnection(host, port, timeout=_PATIENCE)
    try:
        connection.request("GET", "/v1/models")
        answer = connection.getresponse()
        listing = json.loads(answer.read(1_000_000)) if answer.status == 200 else {}
        names = [each["id"] for each in listing["data"] if isinstance(each["id"], str)]
    except (OSError, ValueError, http.client.HTTPException, KeyError, TypeError):
        return []
    finally:
        connection.close()
    # Embedding models cannot chat.
    return [name for name in names if "embed" not in name]
