"""What a client may ask for: the body of `POST /runs`, read with a limit and checked part by part.

Whatever is not named here or allowed by the developer is refused: a config from outside that chose the model, a
checkpoint or a key would choose for the server.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import orjson
from starlette.requests import ClientDisconnect, Request

from .limits import Limits
from .problems import Problem
from .runs import OnDisconnect

__all__ = ["Allowed", "RunRequest", "check_thread_id", "parse_run", "read_json"]

_THREAD_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:@-]{0,127}")
_KEYS = frozenset({"config", "input", "on_disconnect", "thread_id"})
_MESSAGE_KEYS = frozenset({"content", "id", "name", "role", "status", "tool_call_id", "tool_calls", "type"})
_ROLES = {"human": "user", "ai": "assistant"}
_MAX_MESSAGES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """What the developer lets clients choose.

    `input_keys`: the parts of the state that a run may be started with. `configurable`: keys of
    `config["configurable"]`. `roles`: of the messages in the input; a `system` message would be an order to the model.
    """

    input_keys: Collection[str] = ("messages",)
    configurable: Collection[str] = ()
    roles: Collection[str] = ("user", "assistant", "tool")


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A checked request for a run."""

    input: dict[str, Any]
    thread_id: str
    config: dict[str, Any]
    on_disconnect: OnDisconnect | None


async def read_json(request: Request, limits: Limits) -> Any:
    """The JSON body of a request, never more than the limit held in memory.

    Raises:
        Problem: wrong type (415), too large (413), too slow (408), or not JSON (422).
    """
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/json" and not media.endswith("+json"):
        # A page of another site can send anything else without being asked first.
        raise Problem(415, "not_json", "Send the body as JSON, with the header `Content-Type: application/json`.")
    try:
        async with asyncio.timeout(limits.body_seconds):
            body = await _bounded(request, limits.body_bytes)
    except TimeoutError:
        raise Problem(408, "slow_body", "The body took too long to arrive.") from None
    except ClientDisconnect:
        raise Problem(400, "cut_body", "The body was cut off.") from None
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Problem(422, "not_json", "The body is not valid JSON.", path="") from None


async def _bounded(request: Request, limit: int) -> bytes:
    too_large = Problem(413, "too_large", f"The body is larger than {limit:,} bytes.")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > limit:
        raise too_large
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > limit:
            raise too_large
    return bytes(body)


def parse_run(body: Any, allowed: Allowed, limits: Limits) -> RunRequest:
    """Check the body of `POST /runs`.

    Raises:
        Problem: 422, naming the part that is wrong.
    """
    if not isinstance(body, dict):
        raise _bad("", 'The body must be an object such as {"input": "Hello"}.')
    for key in body:
        if key not in _KEYS:
            raise _bad(_shown(key), f"Unknown key; the body takes {', '.join(sorted(_KEYS))}.")
    on_disconnect = body.get("on_disconnect")
    if on_disconnect not in (None, "cancel", "continue"):
        raise _bad("on_disconnect", "Must be `cancel` or `continue`.")
    thread_id = body.get("thread_id")
    return RunRequest(
        _input(body.get("input"), allowed),
        str(uuid4()) if thread_id is None else check_thread_id(thread_id),
        _config(body.get("config"), allowed, limits),
        on_disconnect,
    )


def check_thread_id(thread_id: Any) -> str:
    """`thread_id` if it has the shape of one.

    Raises:
        Problem: 422.
    """
    if not isinstance(thread_id, str) or _THREAD_ID.fullmatch(thread_id) is None:
        raise _bad("thread_id", "A thread id has 1 to 128 letters, digits or `_.:@-`, a letter or digit first.")
    return thread_id


def _input(value: Any, allowed: Allowed) -> dict[str, Any]:
    if isinstance(value, str):
        if not value.strip():
            raise _bad("input", "The input is empty.")
        value = {"messages": [{"role": "user", "content": value}]}
    if not isinstance(value, dict) or not value:
        raise _bad("input", 'Must be text, or an object such as {"messages": [{"role": "user", "content": "Hello"}]}.')
    for key in value:
        if key not in allowed.input_keys:
            raise _bad(f"input.{_shown(key)}", f"Not accepted here; the input takes {_names(allowed.input_keys)}.")
    if "messages" in value:
        return {**value, "messages": _messages(value["messages"], allowed)}
    return dict(value)


def _messages(value: Any, allowed: Allowed) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not 0 < len(value) <= _MAX_MESSAGES:
        raise _bad("input.messages", f"Must be a list of 1 to {_MAX_MESSAGES:,} messages.")
    return [_message(item, f"input.messages.{index}", allowed) for index, item in enumerate(value)]


def _message(value: Any, path: str, allowed: Allowed) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _bad(path, 'A message is an object such as {"role": "user", "content": "Hello"}.')
    for key in value:
        if key not in _MESSAGE_KEYS:
            # An unknown key would travel on to the provider.
            raise _bad(f"{path}.{_shown(key)}", f"Unknown key; a message takes {_names(_MESSAGE_KEYS)}.")
    role = value.get("role", value.get("type"))
    role = _ROLES.get(role, role) if isinstance(role, str) else role
    if role not in tuple(allowed.roles):
        raise _bad(f"{path}.role", f"Must be one of {_names(allowed.roles)}.")
    content = value.get("content")
    if content is None and role == "assistant" and value.get("tool_calls"):
        content = ""
    if not isinstance(content, str) and not _is_blocks(content):
        raise _bad(f"{path}.content", "Must be text or a list of content blocks.")
    for key in ("id", "name", "tool_call_id"):
        if not isinstance(value.get(key, ""), (str, type(None))) or len(value.get(key) or "") > 256:
            raise _bad(f"{path}.{key}", "Must be a string of at most 256 characters.")
    if role == "tool" and not value.get("tool_call_id"):
        raise _bad(f"{path}.tool_call_id", "A tool message names the call that it answers.")
    message = {"role": role, "content": content}
    message.update({key: value[key] for key in ("id", "name") if value.get(key) is not None})
    if role == "tool":
        message["tool_call_id"] = value["tool_call_id"]
        message["status"] = _one_of(value.get("status", "success"), ("success", "error"), f"{path}.status")
    elif role == "assistant" and value.get("tool_calls"):
        message["tool_calls"] = _tool_calls(value["tool_calls"], f"{path}.tool_calls")
    return message


def _tool_calls(value: Any, path: str) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        raise _bad(path, "Must be a list of calls.")
    calls = []
    for index, call in enumerate(value):
        if not isinstance(call, dict) or not isinstance(call.get("name"), str) or not isinstance(call.get("id"), str):
            raise _bad(f"{path}.{index}", 'A call is {"id": "…", "name": "…", "args": {…}}.')
        if not isinstance(call.get("args"), dict):
            raise _bad(f"{path}.{index}.args", "Must be an object.")
        calls.append({"id": call["id"], "name": call["name"], "args": call["args"], "type": "tool_call"})
    return calls


def _config(value: Any, allowed: Allowed, limits: Limits) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _bad("config", "Must be an object.")
    caps = {"recursion_limit": limits.recursion_limit, "max_concurrency": limits.max_concurrency}
    config: dict[str, Any] = {}
    for key, given in value.items():
        if key in caps:
            if not isinstance(given, int) or isinstance(given, bool) or given < 1:
                raise _bad(f"config.{key}", "Must be a whole number of at least 1.")
            config[key] = min(given, caps[key])
        elif key == "configurable":
            config[key] = _configurable(given, allowed)
        else:
            raise _bad(f"config.{_shown(key)}", f"Not accepted here; config takes configurable, {_names(caps)}.")
    return config


def _configurable(value: Any, allowed: Allowed) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _bad("config.configurable", "Must be an object.")
    for key in value:
        if key == "thread_id":
            raise _bad("config.configurable.thread_id", "Give `thread_id` at the top of the body.")
        if key not in allowed.configurable:
            raise _bad(f"config.configurable.{_shown(key)}", "This server does not let clients set it.")
    return value


def _is_blocks(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(item, str) or (isinstance(item, dict) and isinstance(item.get("type"), str)) for item in value
    )


def _one_of(value: Any, choices: tuple[str, ...], path: str) -> str:
    if value not in choices:
        raise _bad(path, f"Must be one of {_names(choices)}.")
    return str(value)


def _bad(path: str, message: str) -> Problem:
    return Problem(422, "invalid", message, path=path)


def _shown(key: str) -> str:
    # Client text that goes back to the client, in JSON; kept short.
    return key if len(key) <= 64 else key[:64] + "…"


def _names(names: Collection[str] | Mapping[str, Any]) -> str:
    return ", ".join(sorted(names)) or "nothing"
