"""A stand-in for a provider, in a process of its own: streams one prepared chat completion to every request.

    python provider.py CHUNKS PAUSE_MS      (0: in bursts)

prints its port. Plain asyncio, so that it is the same for every client.
"""

from __future__ import annotations

import asyncio
import json
import sys

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
END = b"data: [DONE]\n\n"


def frames(chunks: int) -> list[bytes]:
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


def chunked(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


async def main(chunks: int, pause: float) -> None:
    prepared = [chunked(frame) for frame in frames(chunks)]
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
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2]) / 1000))
