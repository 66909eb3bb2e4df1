"""A stand-in for a provider, in a process of its own: streams one prepared answer to every request.

    python provider.py CHUNKS PAUSE_MS [chat|responses|anthropic] [cut]      (0: in bursts)

prints its port. A stream that is cut ends between two frames, half-way, as a proxy ends it that gives up. Plain asyncio, so that it is the same for every client.
"""

from __future__ import annotations

import asyncio
import json
import sys

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
END = b"data: [DONE]\n\n"


def chat(chunks: int) -> list[bytes]:
    base = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-4o",
        "system_fingerprint": "fp_1",
    }

    def frame(delta: dict[str, str], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return b"data: " + json.dumps({**base, "choices": [choice]}).encode() + b"\n\n"

    usage = {
        **base,
        "choices": [],
        "usage": {"prompt_tokens": 9, "completion_tokens": chunks, "total_tokens": chunks + 9},
    }
    tokens = [frame({"content": f"tok{n % 10} "}) for n in range(chunks)]
    last = [frame({}, "stop"), b"data: " + json.dumps(usage).encode() + b"\n\n", END]
    return [frame({"role": "assistant", "content": ""}), *tokens, *last]


def event(kind: str, **rest: object) -> bytes:
    return f"event: {kind}\ndata: ".encode() + json.dumps({"type": kind, **rest}).encode() + b"\n\n"


def responses(chunks: int) -> list[bytes]:
    base = {"id": "resp_1", "object": "response", "created_at": 1, "model": "gpt-4o", "output": []}
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    item = {"type": "message", "id": "msg_1", "role": "assistant", "content": []}
    usage = {"input_tokens": 9, "output_tokens": chunks, "total_tokens": chunks + 9}
    tokens = [
        event(
            "response.output_text.delta",
            **place,
            delta=f"tok{n % 10} ",
            logprobs=[],
            obfuscation="kO4BVQ8v",
            sequence_number=n,
        )
        for n in range(chunks)
    ]
    return [
        event("response.created", response={**base, "status": "in_progress"}),
        event("response.output_item.added", output_index=0, item=item),
        *tokens,
        event("response.output_item.done", output_index=0, item={**item, "status": "completed"}),
        event("response.completed", response={**base, "output": [item], "status": "completed", "usage": usage}),
    ]


def anthropic(chunks: int) -> list[bytes]:
    usage = {"input_tokens": 9, "output_tokens": 1}
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-x",
        "content": [],
        "usage": usage,
    }
    tokens = [
        event("content_block_delta", index=0, delta={"type": "text_delta", "text": f"tok{n % 10} "})
        for n in range(chunks)
    ]
    return [
        event("message_start", message=message),
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        event("ping"),
        *tokens,
        event("content_block_stop", index=0),
        event(
            "message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": chunks}
        ),
        event("message_stop"),
    ]


WIRES = {"chat": chat, "responses": responses, "anthropic": anthropic}


def chunked(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


async def main(chunks: int, pause: float, wire: str = "chat", cut: str = "") -> None:
    prepared = [chunked(frame) for frame in WIRES[wire](chunks)]
    if cut:
        prepared = prepared[: len(prepared) // 2]
    bursts = [b"".join(prepared[i : i + 50]) for i in range(0, len(prepared), 50)]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next((int(h[15:]) for h in head.lower().split(b"\r\n") if h.startswith(b"content-length:")), 0)
                await reader.readexactly(length)
                writer.write(HEAD)
                for piece in prepared if pause else bursts:
                    writer.write(piece)
                    await writer.drain()
                    if pause:
                        await asyncio.sleep(pause)
                writer.write(b"0\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2]) / 1000, *sys.argv[3:]))
