"""A relay between a client and a server on TCP, in a thread of the test process, that can lose an answer.

What the server said last before a cut never reaches the client: it cannot know whether what it sent was done.
"""

from __future__ import annotations

import random
import select
import socket
import struct
import threading
from collections.abc import Callable

__all__ = ["Relay", "sometimes"]


class Relay:
    """Listens on loopback and passes bytes on to `target`, for as long as its `with` block lasts.

    Each time the client has sent something that holds `mark` (empty: anything) and the server answers, `loses()` says whether the
    answer is lost: then both connections are reset, and `lost` is called.
    """

    def __init__(
        self,
        target: int,
        loses: Callable[[], bool],
        *,
        mark: bytes = b"",
        lost: Callable[[], None] | None = None,
    ) -> None:
        self.target = target
        self.loses = loses
        self.mark = mark
        self.lost = lost
        self.cuts = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._stop, self._wake = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name="relay")

    def __enter__(self) -> Relay:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._wake.send(b"x")
        self._thread.join()
        for each in (self._listener, self._stop, self._wake):
            each.close()

    def _serve(self) -> None:
        peers: dict[socket.socket, socket.socket] = {}
        clients: set[socket.socket] = set()
        marked: set[socket.socket] = set()
        try:
            while True:
                ready, _, _ = select.select([self._stop, self._listener, *peers], [], [])
                if self._stop in ready:
                    return
                if self._listener in ready:
                    client, _ = self._listener.accept()
                    try:
                        server = socket.create_connection(("127.0.0.1", self.target))
                    except OSError:
                        client.close()
                        continue
                    peers[client], peers[server] = server, client
                    clients.add(client)
                for one in [each for each in ready if each in peers]:
                    if one not in peers:
                        continue  # cut in this round
                    other = peers[one]
                    data = _received(one)
                    if one in clients:
                        if data and self.mark in data:
                            marked.add(one)
                    elif data and other in marked:
                        marked.discard(other)
                        if self.loses():
                            self.cuts += 1
                            data = b""
                            _reset(other)
                            if self.lost is not None:
                                self.lost()
                    if not data or not _sent(other, data):
                        for end in (one, other):
                            del peers[end]
                            clients.discard(end)
                            marked.discard(end)
                            end.close()
        finally:
            for each in peers:
                each.close()


def _received(one: socket.socket) -> bytes:
    try:
        return one.recv(1 << 16)
    except OSError:
        return b""


def _sent(one: socket.socket, data: bytes) -> bool:
    try:
        one.sendall(data)
    except OSError:
        return False
    return True


def _reset(one: socket.socket) -> None:
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def sometimes(share: float, seed: int) -> Callable[[], bool]:
    """True for about that share of calls, by a seed that failures print."""
    chance = random.Random(seed)
    return lambda: chance.random() < share
