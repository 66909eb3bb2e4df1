"""Plans whose bytes are encrypted on their way to a database, and decrypted on their way back.

Only bytes are: ids, steps, the names of channels and of nodes stay readable, because statements ask for them.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

from ...errors import CorruptCheckpoint
from .serde import CipherProtocol

__all__ = ["ciphered", "is_ciphered"]

_MARK: Final = b"\xc1enc:"
"""What encrypted bytes begin with. Nothing that is only sealed does: its fifth byte is the codec's mark."""


def is_ciphered(data: bytes) -> bool:
    """Whether bytes were encrypted before they were stored."""
    return data[: len(_MARK)] == _MARK


def ciphered(plan: Generator[Any, Any, Any], cipher: CipherProtocol) -> Generator[Any, Any, Any]:
    """A plan of statements, one at a time or several, with `cipher` between it and whoever carries it out."""
    try:
        asked = next(plan)
        while True:
            try:
                rows = yield _each(asked, cipher, _hidden)
            except GeneratorExit:
                raise
            except BaseException as error:
                asked = plan.throw(error)
            else:
                asked = plan.send(_each(rows, cipher, _shown))
    except StopIteration as done:
        return done.value
    finally:
        plan.close()


def _each(value: Any, cipher: CipherProtocol, turn: Any) -> Any:
    """The same lists and tuples, with their bytes turned."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return turn(bytes(value), cipher)
    if type(value) in (list, tuple):
        return type(value)([_each(item, cipher, turn) for item in value])
    return value


def _hidden(data: bytes, cipher: CipherProtocol) -> bytes:
    name, encrypted = cipher.encrypt(data)
    return _MARK + len(name.encode()).to_bytes(1, "big") + name.encode() + encrypted


def _shown(data: bytes, cipher: CipherProtocol) -> bytes:
    if not is_ciphered(data):
        return data
    begin = len(_MARK) + 1
    end = begin + data[begin - 1]
    try:
        return cipher.decrypt(data[begin:end].decode(), data[end:])
    except UnicodeDecodeError as error:
        raise CorruptCheckpoint("stored bytes are damaged: the name of their cipher cannot be read.") from error
