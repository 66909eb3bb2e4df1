"""Server-sent events, read: bytes cut anywhere in, the `data` of each event out.

Only `data` matters to the providers we read (`event:` lines repeat what the data says), so an event is its
payload: bytes, with several `data` lines joined by a line feed.
"""

from __future__ import annotations

__all__ = ["SSEDecoder"]

_BOM = b"\xef\xbb\xbf"


class SSEDecoder:
    """Splits a stream of bytes into event payloads, whatever the boundaries of the pieces.

    ```python
    decoder = SSEDecoder()
    decoder.feed(b'data: {"a"')  # []
    decoder.feed(b": 1}\\n\\n")  # [b'{"a": 1}']
    decoder.close()  # None: nothing was left over
    ```

    Lines may end in LF, CRLF or CR. Work is linear in the bytes, also when they come one at a time: what is
    not yet complete is kept in one growing buffer and never looked at twice.
    """

    __slots__ = ("_after_cr", "_buffer", "_started")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._after_cr = False
        self._started = False

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes and return the payloads that are now complete, in order."""
        if not self._started:
            data = self._skip_bom(data)
        if self._after_cr or b"\r" in data:
            data = self._plain_line_ends(data)
        buffer = self._buffer
        if not buffer and data.endswith(b"\n\n"):
            # The usual case: what arrives is whole frames, or just one. No copy into the buffer.
            if data.startswith(b"data: ") and data.find(b"\n") == len(data) - 2:
                return [data[6:-2]]
            return _payloads(data)
        if not data:
            return []
        seen = len(buffer)
        buffer += data
        end = buffer.rfind(b"\n\n", max(seen - 1, 0))
        if end < 0:
            return []
        whole = bytes(buffer[: end + 2])
        del buffer[: end + 2]
        return _payloads(whole)

    def close(self) -> bytes | None:
        """Say that no more bytes will come.

        Returns the payload of an event that lacks its closing blank line (it may be cut anywhere inside), or
        None when the stream ended between events. Fields other than `data` and comments do not count.
        """
        rest = bytes(self._buffer)
        self._buffer.clear()
        lines = [line for line in rest.split(b"\n") if line and not line.startswith(b":")]
        if not lines:
            return None
        return _payload(rest) or (lines[-1] if b"data".startswith(lines[-1][:4]) else None)

    def _skip_bom(self, data: bytes) -> bytes:
        data = bytes(self._buffer) + data
        self._buffer.clear()
        if len(data) < len(_BOM) and _BOM.startswith(data):
            self._buffer += data
            return b""
        self._started = True
        return data.removeprefix(_BOM)

    def _plain_line_ends(self, data: bytes) -> bytes:
        # A CR is taken for a whole line end at once, so that an event closed by one is not held back; if its LF
        # comes first in the next piece, that LF is dropped.
        if not data:
            return data
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]
            self._after_cr = False
        if data:
            self._after_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _payloads(whole: bytes) -> list[bytes]:
    """The payloads of complete frames."""
    out: list[bytes] = []
    for frame in whole.split(b"\n\n"):
        if frame.startswith(b"data: ") and b"\n" not in frame:
            out.append(frame[6:])
        elif frame.startswith(b"event: ") and frame.count(b"\n") == 1 and (at := frame.find(b"\ndata: ")) > 0:
            # The frames of those who name their events: two lines, of which the last is the data.
            out.append(frame[at + 7 :])
        elif frame and (payload := _payload(frame)) is not None:
            out.append(payload)
    return out


def _payload(frame: bytes) -> bytes | None:
    """The joined `data` lines of one frame; None when it has none."""
    found: list[bytes] = []
    for line in frame.split(b"\n"):
        if line.startswith(b"data:"):
            found.append(line[6:] if line.startswith(b"data: ") else line[5:])
        elif line == b"data":
            found.append(b"")
    return b"\n".join(found) if found else None
