"""A stand-in for a language model, for machines that can reach none. It is not one: it follows fixed rules.

It behaves like a model that calls tools, so that everything around it is real: the calls, their results, the tokens as
they come, the counts of what went in and out.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any
from uuid import uuid4

from ...chat.function_calling import convert_to_openai_tool
from ...chat.models import BaseChatModel
from ...data.ai_chunk import AIMessageChunk
from ...data.chunks import merge_chunks, message_chunk_to_message
from ...data.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from ...data.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from ...flow.runnable import Runnable
from .intents import Intent, intents

__all__ = ["OfflineModel"]

NAME = "offline rules"
# Its own tokens: words with the blanks before them. A whole call counts as its name and its arguments.
_TOKEN = re.compile(r"\s*\S+|\s+$")
_NO_TOOLS = (
    "I am the built-in offline model: a handful of rules, not a language model. I can use this demo's tools: ask me for "
    "arithmetic (`12 * 7`, `square root of 2`), for the time somewhere (*what time is it in Tokyo?*), or about "
    "Millstream (*how do checkpoints work?*), or for several of these at once.\n\n"
    "To talk to a real model, set `OPENAI_API_KEY`, `ANTHROPIC_API_KEY` or `MILLSTREAM_MODEL`, or start a local server such as Ollama, and "
    "start the demo again."
)


class OfflineModel(BaseChatModel):
    """Rules that look like a chat model. `pace` seconds pass before each token."""

    pace: float = 0.035
    model_name: str = NAME

    @property
    def _llm_type(self) -> str:
        return "millstream-offline"

    def bind_tools(self, tools: Sequence[Any], *, tool_choice: Any = None, **kwargs: Any) -> Runnable[Any, AIMessage]:
        """This model, told of the tools that it may call."""
        return self.bind(tools=[convert_to_openai_tool(each) for each in tools], **kwargs)

    async def _astream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[Any]:
        for chunk in _chunks(messages, kwargs.get("tools") or ()):
            await asyncio.sleep(self.pace)
            yield ChatGenerationChunk(message=chunk)

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        whole = merge_chunks(list(_chunks(messages, kwargs.get("tools") or ())))
        return ChatResult(generations=[ChatGeneration(message=message_chunk_to_message(whole))])


def _chunks(messages: list[BaseMessage], tools: Sequence[dict[str, Any]]) -> Iterator[AIMessageChunk]:
    """The answer to a conversation: calls where the last message asks for tools, else text."""
    id = f"offline-{uuid4()}"
    names = {each["function"]["name"] for each in tools}
    asked, results = _last_turn(messages)
    calls = [] if results else [intent for intent in intents(asked) if intent.tool in names]
    written = 0
    if calls:
        for index, intent in enumerate(calls):
            for piece in _call_pieces(index, intent):
                written += 1
                yield AIMessageChunk(content="", id=id, tool_call_chunks=[piece])
    else:
        for token in _TOKEN.findall(_answer(messages, results)):
            written += 1
            yield AIMessageChunk(content=token, id=id)
    read = sum(_size(message) for message in messages)
    yield AIMessageChunk(
        content="",
        id=id,
        usage_metadata={"input_tokens": read, "output_tokens": written, "total_tokens": read + written},
        response_metadata={"model_name": NAME, "finish_reason": "tool_calls" if calls else "stop"},
        chunk_position="last",
    )


def _last_turn(messages: list[BaseMessage]) -> tuple[str, list[ToolMessage]]:
    """What the person said last, and the tool results since."""
    results: list[ToolMessage] = []
    for message in reversed(messages):
        if isinstance(message, HumanMessage):
            return message.text, results[::-1]
        if isinstance(message, ToolMessage):
            results.append(message)
    return "", results[::-1]


def _call_pieces(index: int, intent: Intent) -> Iterator[Any]:
    """A call as models stream it: the name first, then the arguments bit by bit."""
    args = json.dumps(intent.args, ensure_ascii=False)
    yield {"type": "tool_call_chunk", "index": index, "id": f"call-{uuid4()}", "name": intent.tool, "args": ""}
    for at in range(0, len(args), 12):
        yield {"type": "tool_call_chunk", "index": index, "id": None, "name": None, "args": args[at : at + 12]}


def _answer(messages: list[BaseMessage], results: list[ToolMessage]) -> str:
    if not results:
        return _NO_TOOLS
    args = {call["id"]: call["args"] for message in messages for call in getattr(message, "tool_calls", ())}
    told = [_sentence(result, args.get(result.tool_call_id, {})) for result in results]
    return "\n\n".join(told)


def _sentence(result: ToolMessage, args: dict[str, Any]) -> str:
    text = result.text
    if result.status == "error":
        return f"The `{result.name}` tool could not help: {text}"
    match result.name:
        case "calculator":
            return f"`{args.get('expression', '')}` is **{text}**."
        case "clock":
            return f"It is {text}."
        case "search_docs":
            return _found(text, args.get("query", ""))
    return text


def _found(text: str, query: str) -> str:
    try:
        sections = json.loads(text)
        first, *others = sections
        answer = f"On *{query}*, the documentation says in **{first['section']}** (`{first['page']}`):\n\n{_quoted(first['text'])}"
    except (ValueError, TypeError, KeyError):
        return text
    if others:
        more = "\n".join(f"- {each['section']} (`{each['page']}`)" for each in others)
        answer += f"\n\nSee also:\n\n{more}"
    return answer


def _quoted(text: str) -> str:
    # Tables and code stay what they are; prose is quoted.
    if text.lstrip().startswith(("|", "```")) or "\n```" in text or "\n|" in text:
        return text
    return "\n".join(f"> {line}" for line in text.splitlines())


def _size(message: BaseMessage) -> int:
    calls = getattr(message, "tool_calls", ())
    return len(_TOKEN.findall(message.text)) + sum(len(json.dumps(call["args"])) // 12 + 2 for call in calls)
