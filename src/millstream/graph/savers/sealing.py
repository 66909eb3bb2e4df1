"""Checksums of what is stored, so that damaged bytes are found and not believed.

A seal covers the bytes and the place where they were stored, so a row that turns up under another thread or id is found too.
"""

from __future__ import annotations

from typing import Any
from zlib import crc32

from ...errors import CorruptCheckpoint
from .log import Chain, Row, damaged

__all__ = ["columns", "row_of", "sealed", "unsealed"]


def sealed(data: bytes, *place: object) -> bytes:
    """`data` with a checksum of it and of its place before it."""
    return crc32(data, crc32(repr(place).encode("utf-8", "surrogatepass"))).to_bytes(4, "little") + data


def unsealed(data: bytes, *place: object) -> bytes:
    """What was sealed.

    Raises:
        CorruptCheckpoint: it is damaged, or was sealed for another place.
    """
    kept = memoryview(data)[4:]
    if int.from_bytes(data[:4], "little") != crc32(kept, crc32(repr(place).encode("utf-8", "surrogatepass"))):
        raise CorruptCheckpoint("the stored bytes are damaged: their checksum is wrong.")
    return bytes(kept)


def columns(thread: str, ns: str, row: Row) -> tuple[Any, ...]:
    """A row as it is stored in a database: id, parent, base, since, size, step, once, delta, snapshot."""
    chain = row.chain
    head = (row.id, row.parent, chain.base, chain.since, chain.size, row.step, int(row.once))
    delta = sealed(row.delta, thread, ns, *head)
    return (*head, delta, None if row.snapshot is None else sealed(row.snapshot, thread, ns, row.id))


def row_of(thread: str, ns: str, stored: tuple[Any, ...]) -> Row:
    """A row from its columns.

    Raises:
        CorruptCheckpoint: it is damaged. The error names the thread, the checkpoint and its step.
    """
    id, parent, base, since, size, step, once, delta, snapshot = stored
    try:
        return Row(
            id,
            parent,
            Chain(base, since, size),
            step,
            bool(once),
            unsealed(delta, thread, ns, id, parent, base, since, size, step, int(once)),
            None if snapshot is None else unsealed(snapshot, thread, ns, id),
        )
    except (CorruptCheckpoint, TypeError, ValueError) as error:  # columns may have lost their types
        raise damaged(thread, ns, id, step, error) from error
