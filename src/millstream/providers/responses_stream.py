"""The stream of OpenAI's responses API, decoded: bytes in, message chunks out. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from ..data.ai_chunk import AIMessageChunk
from ..data.types import UsageMetadata
from .frame_decoder import FrameDecoder
from .free_text import CLOSE, OPEN, free_piece
from .openai_usage import usage_metadata
from .responses_part import Part

__all__ = ["ResponsesDecoder"]

_Out = list[AIMessageChunk]
_TOLD = ("service_tier", "status", "incomplete_details", "created_at", "conversation", "object", "model", "metadata")
# What is streamed of the tools that the server runs: the event's name, and the item's key.
_STREAMED = {"code_interpreter_call": "code", "mcp_call": "arguments"}


class ResponsesDecoder(FrameDecoder):
    """Turns the bytes of one streamed response into `AIMessageChunk`s, however the bytes are cut.

    Content is a list of indexed blocks: `text` with its annotations, `refusal`, `reasoning`, `function_call`, and the items of
    the tools that the server runs, as they came. The last chunk, marked so, tells the response's id, the model, usage and how
    it ended. Several responses in one body (a proxy that runs tools puts them there) are read as one.
    """

    __slots__ = (
        "_frame",
        "_items",
        "_number",
        "_offset",
        "_parts",
        "_response",
        "_tags",
        "_texts",
        "_with_usage",
        "started",
    )
    wire: ClassVar[str] = "OpenAI's responses"
    _missing: ClassVar[str] = "`response.completed`"

    def __init__(self, *, provider: str = "openai", secrets: Sequence[str] = (), usage: bool = True) -> None:
        super().__init__(provider=provider, secrets=secrets)
        self._with_usage = usage
        self._tags: dict[str, Any] = {"model_provider": provider}
        self.started = False
        """At least one chunk has been handed out."""
        self._response: dict[str, Any] = {}
        # By the places of the protocol; ids are not used: some gateways change them between events.
        self._items: dict[int, dict[str, Any]] = {}
        self._texts: dict[tuple[int, int], Part] = {}
        self._parts: dict[tuple[int, Any], Part] = {}
        self._offset = 0
        self._number: Any = None
        self._frame: Any = None

    # -- reading -----------------------------------------------------------------------------------------------------

    def _read(self, frame: Any, out: _Out) -> None:
        if frame.get("sequence_number") == self._number and self._number and frame == self._frame:
            # The same frame under the same number was repeated on the way. (Some servers number all their frames 0.)
            return
        self._number, self._frame = frame.get("sequence_number"), frame
        kind = frame["type"] if "type" in frame else _untyped(frame)
        if kind == "response.output_text.delta":
            # Nearly every frame.
            part = self._texts.get((frame["output_index"] + self._offset, frame["content_index"]))
            if part is None:
                part = self._text_part(frame["output_index"], frame["content_index"])
            if frame["delta"]:
                if logprobs := frame.get("logprobs"):
                    out.append(part.text("text", frame["delta"], logprobs={"content": list(logprobs)}))
                else:
                    out.append(part.said(frame["delta"]))
                self.started = True
            return
        reader = _READERS.get(kind)
        if reader is not None:
            reader(self, frame, out)
            self.started = self.started or bool(out)

    def _text_part(self, output: int, content: int) -> Part:
        part = self._part(output, ("text", content), "text")
        self._texts[output + self._offset, content] = part
        return part

    def _part(self, output: int, place: Any, kind: str) -> Part:
        key = output + self._offset, place
        part = self._parts.get(key)
        if part is None:
            part = self._parts[key] = Part(len(self._parts), kind, self._tags)
        return part

    def _read_response(self, frame: Mapping[str, Any], out: _Out) -> None:
        if self.complete:
            # Another response in the same body goes on with this one.
            self.complete = False
            self._offset = 1 + max([place[0] for place in self._parts], default=-1)
            self._items = {}
        self._response = dict(frame["response"])

    def _read_item(self, frame: Mapping[str, Any], out: _Out) -> None:
        output, item = frame["output_index"], dict(frame["item"])
        self._items[output] = item
        kind = item["type"]
        if kind in ("function_call", "custom_tool_call"):
            told = {key: item[key] for key in ("id", "call_id", "name", "namespace") if item.get(key)}
            part = self._part(output, None, kind)
            out.append(part.call(told, str(item.get("name") or ""), str(item.get("call_id") or item.get("id") or "")))
            if given := item.get("arguments" if kind == "function_call" else "input"):
                self._add_arguments(output, given, out)
        elif kind != "message":
            told = {"id": item["id"]} if item.get("id") else {}
            out.append(self._part(output, None, str(kind)).tell(told))

    def _read_item_done(self, frame: Mapping[str, Any], out: _Out) -> None:
        output, item = frame["output_index"], frame["item"]
        if output not in self._items:
            # Some calls, and all that some gateways send, come only when they are done.
            begun = {**item, "arguments": "", "input": ""}
            self._read_item({"output_index": output, "item": begun}, out)
        kind = item["type"]
        if kind == "message":
            self._end_message(output, item, out)
            return
        part = self._part(output, None, str(kind))
        if kind in ("function_call", "custom_tool_call"):
            key = "arguments" if kind == "function_call" else "input"
            if not part.has(key) and item.get(key):
                self._add_arguments(output, item[key], out)
            if kind == "custom_tool_call":
                out.append(part.arguments(None, "", CLOSE if part.has(key) else OPEN + CLOSE))
            return
        rest = {key: value for key, value in item.items() if key != "type" and value is not None and not part.has(key)}
        if kind == "reasoning":
            rest = {key: value for key, value in rest.items() if value != [] or key == "summary"}
        if rest:
            out.append(part.tell(rest))

    def _end_message(self, output: int, item: Mapping[str, Any], out: _Out) -> None:
        """What of a message was not streamed; and what belongs to each of its texts."""
        for content, said in enumerate(item.get("content") or ()):
            refused = said["type"] == "refusal"
            kind = "refusal" if refused else "text"
            part = self._part(output, (kind, content), kind)
            if not part.has(kind) and said.get(kind):
                out.append(self._refused(part, said[kind]) if refused else part.text("text", said[kind]))
            annotations: list[Any] = list(said.get("annotations") or [])
            for annotation in annotations[part.annotations :]:
                out.append(part.annotation(_unnumbered(annotation)))
            told = {key: item[key] for key in ("id", "phase") if item.get(key) and not part.has(key)}
            if told and part.begun:
                out.append(part.tell(told))

    def _read_annotation(self, frame: Mapping[str, Any], out: _Out) -> None:
        part = self._part(frame["output_index"], ("text", frame["content_index"]), "text")
        out.append(part.annotation(_unnumbered(frame["annotation"])))

    def _read_refusal(self, frame: Mapping[str, Any], out: _Out) -> None:
        part = self._part(frame["output_index"], ("refusal", frame["content_index"]), "refusal")
        out.append(self._refused(part, frame["delta"]))

    def _refused(self, part: Part, piece: str) -> AIMessageChunk:
        chunk = part.text("refusal", piece)
        chunk.additional_kwargs = {"refusal": piece}
        return chunk

    def _read_summary(self, frame: Mapping[str, Any], out: _Out) -> None:
        part = self._part(frame["output_index"], None, "reasoning")
        out.append(part.listed("summary", int(frame["summary_index"]), "summary_text", frame["delta"]))

    def _read_reasoning(self, frame: Mapping[str, Any], out: _Out) -> None:
        part = self._part(frame["output_index"], None, "reasoning")
        out.append(part.listed("content", int(frame.get("content_index") or 0), "reasoning_text", frame["delta"]))

    def _read_arguments(self, frame: Mapping[str, Any], out: _Out) -> None:
        if frame["output_index"] not in self._items:
            raise KeyError(frame["output_index"])
        if frame["delta"]:
            self._add_arguments(frame["output_index"], frame["delta"], out)

    def _add_arguments(self, output: int, piece: str, out: _Out) -> None:
        kind = self._items[output]["type"]
        part = self._part(output, None, kind)
        if kind == "function_call":
            out.append(part.arguments("arguments", piece, piece))
        else:
            opening = "" if part.has("input") else OPEN
            out.append(part.arguments("input", piece, opening + free_piece(piece)))

    def _read_server_tool(self, frame: Mapping[str, Any], out: _Out) -> None:
        kind = frame["type"].split(".")[1].removesuffix("_arguments").removesuffix("_code")
        if frame["delta"]:
            out.append(self._part(frame["output_index"], None, kind).text(_STREAMED[kind], frame["delta"]))

    def _read_end(self, frame: Mapping[str, Any], out: _Out) -> None:
        self._response = {**self._response, **frame["response"]}
        for output, item in enumerate(frame["response"].get("output") or ()):
            if output not in self._items:
                self._read_item_done({"output_index": output, "item": item}, out)
        self.complete = True

    def _read_failure(self, frame: Mapping[str, Any], out: _Out) -> None:
        response = frame.get("response") or {}
        error = response.get("error") or frame.get("error")
        if error is None:
            error = {key: frame.get(key) for key in ("code", "message", "param")}
        self._report(error)

    # -- ends --------------------------------------------------------------------------------------------------------

    def _finish(self, out: _Out) -> None:
        for (reader, output, place), text in self._joiner.rest().items():
            frame = {
                "type": reader,
                "output_index": output,
                "content_index": place,
                "summary_index": place,
                "delta": text,
            }
            self._read(frame, out)
        self.started = True
        metadata = {**self._tags, **self._told()}
        usage = self._usage_so_far()
        if usage is not None:
            metadata["token_usage"] = self._response["usage"]
        out.append(AIMessageChunk([], response_metadata=metadata, usage_metadata=usage, chunk_position="last"))

    def _told(self) -> dict[str, Any]:
        response = self._response
        told = {key: response[key] for key in _TOLD if response.get(key) is not None}
        return {
            **{ours: response[key] for key, ours in (("id", "id"), ("model", "model_name")) if response.get(key)},
            **told,
        }

    def _may_end(self) -> bool:
        return self.complete

    def _ends_well(self, rest: bytes) -> bool:
        return self.complete and rest.strip() == b"[DONE]"

    def _partial(self) -> AIMessageChunk | None:
        if not self.started:
            return None
        parts = self._parts.values()
        content = [block for part in parts if (block := part.content()) is not None]
        calls = [call for part in parts if (call := part.tool_call()) is not None]
        refusal = "".join(block["refusal"] for block in content if block["type"] == "refusal")
        return AIMessageChunk(
            content,
            additional_kwargs={"refusal": refusal} if refusal else {},
            response_metadata={**self._tags, **self._told()},
            tool_call_chunks=calls,
        )

    def _usage_so_far(self) -> UsageMetadata | None:
        usage = self._response.get("usage")
        return usage_metadata(usage) if isinstance(usage, dict) and usage and self._with_usage else None

    def _join_texts(self, frame: Any) -> None:
        kind, delta = frame.get("type"), frame.get("delta")
        if isinstance(delta, str) and (kind in _READERS or kind == "response.output_text.delta"):
            place = frame.get("summary_index", frame.get("content_index"))
            frame["delta"] = self._joiner.join((kind, frame["output_index"], place), delta)


def _unnumbered(annotation: Any) -> Any:
    """An annotation whose `index`, which is a place in the text, is not taken for the number of a block."""
    if not isinstance(annotation, Mapping) or "index" not in annotation:
        return annotation
    told = {key: value for key, value in annotation.items() if key != "index"}
    return {**told, "file_index": annotation["index"]}


def _untyped(frame: Mapping[str, Any]) -> str:
    """The type of a frame that names none: some gateways report an error so. A KeyError for all else."""
    if frame.get("error"):
        return "error"
    raise KeyError("type")


def whole_response(response: Any, *, provider: str = "openai") -> list[AIMessageChunk]:
    """The chunks of a response that came whole: what its stream would have given, in fewer pieces."""
    decoder = ResponsesDecoder(provider=provider)
    out: _Out = []
    decoder._read_end({"response": response}, out)
    decoder._finish(out)
    return out


_Reader = Callable[[ResponsesDecoder, Mapping[str, Any], _Out], None]
_READERS: dict[str, _Reader] = {
    "response.created": ResponsesDecoder._read_response,
    "response.queued": ResponsesDecoder._read_response,
    "response.in_progress": ResponsesDecoder._read_response,
    "response.output_item.added": ResponsesDecoder._read_item,
    "response.output_item.done": ResponsesDecoder._read_item_done,
    "response.output_text.annotation.added": ResponsesDecoder._read_annotation,
    "response.refusal.delta": ResponsesDecoder._read_refusal,
    "response.reasoning_summary_text.delta": ResponsesDecoder._read_summary,
    "response.reasoning_text.delta": ResponsesDecoder._read_reasoning,
    "response.function_call_arguments.delta": ResponsesDecoder._read_arguments,
    "response.custom_tool_call_input.delta": ResponsesDecoder._read_arguments,
    "response.mcp_call_arguments.delta": ResponsesDecoder._read_server_tool,
    "response.code_interpreter_call_code.delta": ResponsesDecoder._read_server_tool,
    "response.completed": ResponsesDecoder._read_end,
    "response.incomplete": ResponsesDecoder._read_end,
    "response.failed": ResponsesDecoder._read_failure,
    "error": ResponsesDecoder._read_failure,
}
