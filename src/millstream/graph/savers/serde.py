"""Values as typed bytes, for savers of your own; and the same encrypted.

Savers of millstream's store by the codec in any case. Given an `EncryptedSerializer` they encrypt what they store with its cipher.
"""

from __future__ import annotations

import os
from typing import Any, Final, Protocol, runtime_checkable

from ...errors import CorruptCheckpoint, InvalidArgument, InvalidType, Unsupported
from .codec import decode, encode

__all__ = ["CipherProtocol", "EncryptedSerializer", "JsonPlusSerializer", "SerializerProtocol"]

KEY_VARIABLE: Final = "LANGGRAPH_AES_KEY"
_NONCE: Final = 12


@runtime_checkable
class SerializerProtocol(Protocol):
    """Turns a value into a type and bytes, and back."""

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """The kind of the bytes, and the bytes."""
        ...

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """The value of what `dumps_typed` gave."""
        ...


class CipherProtocol(Protocol):
    """Encrypts bytes; what it gives says by which cipher."""

    def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
        """The name of the cipher, and the encrypted bytes."""
        ...

    def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
        """The bytes that were encrypted."""
        ...


class JsonPlusSerializer:
    """The codec of checkpoints as a serialiser: data only, with the types of the registry (see `register_type`).

    Errors are stored as their text. There is no fallback to pickle: bytes never choose code.
    """

    def __init__(self, *, pickle_fallback: bool = False) -> None:
        if pickle_fallback:
            raise Unsupported(
                "there is no pickle here; name the class in the state schema, or call register_type() with it."
            )

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """The kind of the bytes (`"null"`, `"bytes"`, `"bytearray"` or `"msgpack"`), and the bytes.

        Raises:
            InvalidType: (a TypeError) the value holds something that cannot be stored.
        """
        if obj is None:
            return "null", b""
        if type(obj) is bytes:
            return "bytes", obj
        if type(obj) is bytearray:
            return "bytearray", bytes(obj)
        return "msgpack", encode(obj)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """The value of typed bytes.

        Raises:
            CorruptCheckpoint: they cannot be read.
        """
        kind, stored = data
        if kind == "null":
            return None
        if kind == "bytes":
            return bytes(stored)
        if kind == "bytearray":
            return bytearray(stored)
        if kind != "msgpack":
            raise CorruptCheckpoint(
                f"stored bytes of the kind {kind!r} cannot be read; 'msgpack' is what is written here."
            )
        return decode(bytes(stored))


class EncryptedSerializer:
    """A serialiser whose bytes are encrypted. Bytes that are not are read as they are, so a thread may go on under encryption.

    ```python no-run
    saver = SqliteSaver(connection, serde=EncryptedSerializer.from_pycryptodome_aes(key=key))
    ```
    """

    def __init__(self, cipher: CipherProtocol, serde: SerializerProtocol | None = None) -> None:
        self.cipher = cipher
        self.serde: SerializerProtocol = JsonPlusSerializer() if serde is None else serde

    @classmethod
    def from_pycryptodome_aes(
        cls, serde: SerializerProtocol | None = None, *, key: bytes | str | None = None
    ) -> EncryptedSerializer:
        """With AES (GCM, by the `cryptography` package); `key` has 16, 24 or 32 bytes, else `LANGGRAPH_AES_KEY` is read.

        Raises:
            InvalidArgument: (a ValueError) there is no key, or one of another length.
        """
        return cls(_Aes(key), serde)

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """The kind of the bytes with the cipher's name after a plus sign, and the encrypted bytes."""
        kind, plain = self.serde.dumps_typed(obj)
        name, data = self.cipher.encrypt(plain)
        return f"{kind}+{name}", data

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """The value of typed bytes, encrypted or not.

        Raises:
            CorruptCheckpoint: they cannot be decrypted or read.
        """
        kind, stored = data
        if "+" not in kind:
            return self.serde.loads_typed(data)
        kind, name = kind.split("+", 1)
        return self.serde.loads_typed((kind, self.cipher.decrypt(name, stored)))


class _Aes:
    """AES-GCM with a fresh nonce for each value, which stands before the bytes."""

    name = "aes"

    def __init__(self, key: bytes | str | None) -> None:
        if key is None:
            key = os.environ.get(KEY_VARIABLE)
        if key is None:
            raise InvalidArgument(f"encryption needs a key: pass `key=`, or set {KEY_VARIABLE}.")
        key = key.encode() if isinstance(key, str) else key
        if len(key) not in (16, 24, 32):
            raise InvalidArgument(f"the key of AES has 16, 24 or 32 bytes, and this one has {len(key)}.")
        try:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        except ImportError as error:
            raise ImportError(
                "encryption needs the cryptography package: pip install 'millstream[encryption]'"
            ) from error

        self._aead = AESGCM(key)

    def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
        nonce = os.urandom(_NONCE)
        return self.name, nonce + self._aead.encrypt(nonce, plaintext, None)

    def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
        from cryptography.exceptions import InvalidTag

        if ciphername != self.name:
            raise CorruptCheckpoint(f"stored bytes are encrypted by {ciphername!r}, and this cipher is {self.name!r}.")
        try:
            return self._aead.decrypt(ciphertext[:_NONCE], ciphertext[_NONCE:], None)
        except (InvalidTag, ValueError) as error:
            raise CorruptCheckpoint(
                "stored bytes cannot be decrypted: the key is another one, or they are damaged."
            ) from error


def cipher_of(serde: Any) -> CipherProtocol | None:
    """The cipher with which a saver of millstream's encrypts what it stores, by the serialiser that it was given.

    Raises:
        InvalidType: (a TypeError) a serialiser of the user's own, which the log cannot be stored by.
    """
    if isinstance(serde, EncryptedSerializer):
        return serde.cipher
    if serde is None or type(serde) is JsonPlusSerializer:
        return None
    raise InvalidType(
        f"savers of millstream's store by their own codec, so `serde` is a JsonPlusSerializer or an EncryptedSerializer, not {serde!r}; "
        "for types of your own see register_type()."
    )
