"""The whole of a streamed message, gathered chunk by chunk, and which of its tool calls are complete."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from .ai_chunk import AIMessageChunk
from .calls import calls_of_chunks
from .chunks import merge_chunks
from .lazy import Lazy
from .messages import BaseMessage
from .types import ToolCall, ToolCallChunk

if TYPE_CHECKING:
    from . import partial_json
else:
    partial_json = Lazy(".partial_json", globals())

__all__ = ["Accumulator"]

# How many chunks are held before they are summed.
_HELD = 8
_NO_CALLS: dict[Any, Any] = {}


class Accumulator:
    """Feed it the chunks of one message; ask for the whole when you need it.

    Feeding a chunk of text costs one append. Every tool call of the whole is told exactly once, by `feed` as soon as
    its arguments are a closed JSON object, else by `finish`; none with `calls=False`, which is for those who only want
    the whole: the text of calls is not looked at then.

    ```python
    whole = Accumulator()
    for chunk in chunks:
        for call in whole.feed(chunk):
            print("may run", call["name"])
    message = whole.message()
    ```
    """

    __slots__ = ("_arriving", "_by_index", "_calls", "_chunks", "_place", "_tags", "_texts")

    def __init__(self, chunks: Iterable[Any] = (), *, calls: bool = True) -> None:
        self._calls = calls
        self._chunks: list[Any] = []
        # The texts of the chunks behind the last of `_chunks` that hold nothing else. A long answer is held as strings,
        # not as thousands of objects that the garbage collector looks at again and again.
        self._texts: list[str] = []
        # The index of the text block that they are of; None where they are plain content.
        self._place: Any = None
        # Metadata that chunks repeat and the sum has once.
        self._tags: dict[str, Any] = {}
        # Made for the first tool call: most messages have none.
        self._arriving: list[_Arriving] | None = None
        self._by_index: dict[Any, list[_Arriving]] = _NO_CALLS
        for chunk in chunks:
            self.feed(chunk)

    def __len__(self) -> int:
        """How many pieces are held; 0 when nothing was fed."""
        return len(self._chunks) + len(self._texts)

    def feed(self, chunk: Any) -> Sequence[ToolCall]:
        """Take the next chunk (any message), and give the tool calls that it completed."""
        chunks = self._chunks
        if chunk.__class__ is not AIMessageChunk or chunk._tool_chunks is not None or chunk._log is not None:
            self._hold(chunk)
            return self._follow(chunk) if self._calls else ()
        if (
            chunks
            and chunk.id == chunks[0].id
            and not chunk.additional_kwargs
            and (not chunk.response_metadata or chunk.response_metadata == self._tags)
            and chunk.usage_metadata is None
            and chunk.chunk_position is None
        ):
            content = chunk._content
            if content.__class__ is str:
                if self._place is not None:
                    self._settle()
                self._texts.append(content)
                return ()
            if content.__class__ is list and len(content) == 1 and _is_text(content[0]):
                block = content[0]
                if self._place != block["index"]:
                    self._settle()
                    self._place = block["index"]
                self._texts.append(block["text"])
                return ()
        self._hold(chunk)
        return ()

    def _hold(self, chunk: BaseMessage) -> None:
        self._settle()
        if not self._chunks and "model_provider" in chunk.response_metadata:
            self._tags = {"model_provider": chunk.response_metadata["model_provider"]}
        if len(self._chunks) >= _HELD:
            self._chunks = [merge_chunks(self._chunks)]
        self._chunks.append(chunk)

    def _settle(self) -> None:
        """Make a chunk of the texts."""
        if self._texts:
            text, place = "".join(self._texts), self._place
            content: Any = text if place is None else [{"type": "text", "text": text, "index": place}]
            self._chunks.append(AIMessageChunk(content, id=self._chunks[0].id))
            self._texts = []
        self._place = None

    def message(self) -> Any:
        """The whole so far: the chunks joined, or the one message that was fed. Not to be changed while feeding goes on.

        Raises:
            InvalidArgument: (ValueError) nothing was fed.
            InvalidType: (TypeError) the chunks cannot be joined.
        """
        self._settle()
        whole = merge_chunks(self._chunks)
        self._chunks = [whole]
        return whole

    def finish(self) -> Sequence[ToolCall]:
        """No more chunks come: give the tool calls that were not told yet, their arguments as far as they arrived.

        Where a chunk has said that it is the last, calls whose arguments are not whole are none.
        """
        calls: list[ToolCall] = []
        whole = bool(self._chunks) and getattr(self._chunks[-1], "chunk_position", None) == "last"
        for call in self._arriving or ():
            if not call.told:
                call.told = True
                calls += calls_of_chunks([call.chunk()], whole=whole)[0]
        return calls

    def _follow(self, chunk: BaseMessage) -> Sequence[ToolCall]:
        """Keep track of the tool calls in a chunk, grouping their pieces as the sum does."""
        pieces: Iterable[ToolCallChunk] | None = getattr(chunk, "tool_call_chunks", None)
        if pieces is None:
            calls: list[ToolCall] = getattr(chunk, "tool_calls", [])
            return list(calls)
        if self._arriving is None:
            self._arriving, self._by_index = [], {}
        complete: list[ToolCall] = []
        joining = len(self._chunks) > 1
        for piece in pieces:
            index, id = piece["index"], piece["id"]
            alone = not (isinstance(index, int) or (index is not None and index.startswith("lc_")))
            same = [] if alone else self._by_index.setdefault(index, [])
            call = next((call for call in same if not call.id or not id or call.id == id), None) if joining else None
            if call is None:
                call = _Arriving(index)
                same.append(call)
                self._arriving.append(call)
            if call.add(piece) and not call.told:
                told = call.parsed()
                if told is not None:
                    call.told = True
                    complete.append(told)
        return complete


def _is_text(block: Any) -> bool:
    """It is the next piece of a numbered text block, and nothing else."""
    return (
        block.__class__ is dict
        and len(block) == 3
        and block.get("type") == "text"
        and block.get("text").__class__ is str
        and block.get("index").__class__ is int
    )


_MARK = re.compile(r'[{}\[\]"\\]')


class _Arriving:
    """A tool call, and how far its JSON text is from being closed."""

    __slots__ = ("args", "depth", "escaped", "id", "in_string", "index", "names", "told")

    def __init__(self, index: int | str | None) -> None:
        self.index = index
        self.id: str | None = None
        self.names: list[str] = []
        self.args: list[str] = []
        self.depth = 0
        self.in_string = False
        self.escaped = False
        self.told = False

    def add(self, piece: ToolCallChunk) -> bool:
        """Take a piece; true when it closes the outermost bracket."""
        self.id = piece["id"] or self.id
        name, args = piece["name"], piece["args"]
        if name:
            self.names.append(name)
        if not args:
            return False
        self.args.append(args)
        return self._scan(args)

    def _scan(self, text: str) -> bool:
        at, closed = 0, False
        if self.escaped:
            self.escaped = False
            at = 1
        while (found := _MARK.search(text, at)) is not None:
            at = found.end()
            mark = found.group()
            if self.in_string:
                if mark == '"':
                    self.in_string = False
                elif mark == "\\":
                    self.escaped = at == len(text)
                    at += 1
            elif mark == '"':
                self.in_string = True
            elif mark in "{[":
                self.depth += 1
            elif mark != "\\":
                self.depth -= 1
                closed = closed or self.depth == 0
        return closed

    def parsed(self) -> ToolCall | None:
        """The call, where its arguments are a whole JSON object."""
        try:
            args = partial_json.parse_lenient("".join(self.args))
        except (ValueError, RecursionError):
            return None
        if not isinstance(args, dict) or not self.names:
            return None
        return {"name": "".join(self.names), "args": args, "id": self.id, "type": "tool_call"}

    def chunk(self) -> ToolCallChunk:
        return {"name": "".join(self.names), "args": "".join(self.args), "id": self.id, "index": self.index}
