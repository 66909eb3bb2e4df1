"""An agent without an engine: it says what it is told to, as events of the spine, so that the server is tested alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

from millstream.spine.events import END, STREAM
from millstream.spine.run import Run
from millstream.spine.scope import Scope, enter

Script = Callable[["Told"], Awaitable[Any]]


def message(content: Any = "", id: str | None = "m1", type: str = "ai", **fields: Any) -> SimpleNamespace:
    defaults = {"name": None, "tool_calls": [], "usage_metadata": None, "response_metadata": {}}
    return SimpleNamespace(content=content, id=id, type=type, **{**defaults, **fields})


class Told:
    """What a script is given: the input, the config, and ways to say something."""

    def __init__(self, input: Any, scope: Scope) -> None:
        self.input = input
        self.scope = scope
        self.model: Run = scope.begin("model", "chat_model", [])

    def say(self, text: str, id: str = "m1") -> None:
        if self.model.mask & STREAM:
            self.model.emit(STREAM, message(text, id, "AIMessageChunk"))

    def end(self, text: str = "", id: str = "m1", **fields: Any) -> None:
        if self.model.mask & END:
            self.model.end(message(text, id, **fields))


class ScriptedAgent:
    """Runs `script` for each run; counts what is under way and what was cancelled."""

    def __init__(self, script: Script, *, checkpointer: Any = None) -> None:
        self.script = script
        self.name = "scripted"
        self.checkpointer = checkpointer
        self.inputs: list[Any] = []
        self.configs: list[Any] = []
        self.active = 0
        self.cancelled = 0
        self.finished = 0

    async def ainvoke(self, input: Any, config: Any = None) -> Any:
        self.inputs.append(input)
        self.configs.append(config)
        self.active += 1
        try:
            output = await self.script(Told(input, enter(config)))
            self.finished += 1
            return output
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.active -= 1


def speaking(*words: str, pause: float = 0.0) -> Script:
    """A script that says these words, one a token, and tells its usage."""

    async def script(told: Told) -> Any:
        for word in words:
            told.say(word)
            await asyncio.sleep(pause)
        count = len(words)
        told.end("".join(words), usage_metadata={"input_tokens": 5, "output_tokens": count, "total_tokens": 5 + count})
        return {"messages": [message("".join(words))]}

    return script
