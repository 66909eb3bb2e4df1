"""Asking a provider until an answer has begun, and reading it to its end.

Up to the first token an attempt that fails may be made again; after it never, because its tokens are with the user.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from pydantic import SecretStr

from ..data.ai_chunk import AIMessageChunk
from ..errors import ProviderConnectionError, ProviderError, ProviderInterrupted
from ..flow.step import step
from .endpoint import key_header
from .http import Answer, Link, Post, reraise
from .http_async import AsyncAnswer
from .http_sync import SyncAnswer
from .retry import wait_before_retry
from .status import error_in_body, status_error
from .wire_json import dumps, loads

__all__ = ["Asking", "Begun", "Decoder", "StreamAsking", "read_async", "read_sync"]

A = TypeVar("A", bound=Answer)
T = TypeVar("T")

_log = logging.getLogger("millstream.providers")
_LONGEST_ERROR = 65_536
# Seconds of silence after which a stream that has said all, but does not end, is taken to have ended.
_MORE_MAY_COME = 10.0


class Decoder(Protocol):
    """Turns the bytes of one stream into message chunks; see `OpenAIChatDecoder`."""

    reported: Any
    """The error that the server reported inside the stream, as it came."""
    complete: bool
    """All that the server must say has been said; more may come."""

    @property
    def finished(self) -> bool:
        """Nothing that still comes can matter."""
        ...

    def feed(self, data: bytes) -> list[AIMessageChunk]:
        """The chunks that are complete with these bytes."""
        ...

    def close(self) -> list[AIMessageChunk]:
        """The chunks that were waiting for the end; raises where the stream did not end well."""
        ...

    def interrupted(self, message: str, *, code: str | None = None) -> ProviderInterrupted:
        """The error for a stream that ends here, with the message so far."""
        ...


@dataclass(slots=True)
class Begun(Generic[A]):
    """A stream whose first chunks are here. Without a decoder they are all."""

    answer: A
    post: Post
    chunks: list[AIMessageChunk]
    decoder: Decoder | None


@dataclass(slots=True)
class Asking:
    """How a provider is asked for whole answers. `secrets` are kept out of every message."""

    retries: int
    secrets: list[str] = field(repr=False)

    async def ask(self, link: Link, post: Post) -> Any:
        """Ask for an answer that is one JSON value, again where that may help."""
        return await self._attempts(link, post, self._ask_once)

    async def _attempts(self, link: Link, post: Post, once: Callable[[Link, Post], Awaitable[T]]) -> T:
        self.secrets += post.secrets
        attempt = 0
        while True:
            try:
                async with link.limit(post):
                    return await once(link, post)
            except ProviderError as error:
                wait = wait_before_retry(error, attempt, retries=self.retries)
                if wait is None or (post.ends is not None and time.monotonic() + wait >= post.ends):
                    raise
                attempt += 1
                _log.info("%s Asking again in %.1f s (%d of %d).", error, wait, attempt, self.retries)
            await link.sleep(wait)

    async def _open(self, link: Link, post: Post) -> Answer:
        if post.key is not None:
            self._use(post, post.key.header, await link.key(post.key))
        return await link.open(post)

    def _use(self, post: Post, header: str, given: Any) -> None:
        # Apart from `_open`, whose variables a stack trace may show.
        key = str(given.get_secret_value() if isinstance(given, SecretStr) else given)
        self.secrets.append(key)
        post.headers |= key_header(header, key)

    async def _ask_once(self, link: Link, post: Post) -> Any:
        answer = await self._open(link, post)
        try:
            await self._check_status(answer, post)
            return await self._json(answer, post, b"")
        finally:
            await answer.close()

    async def _check_status(self, answer: Answer, post: Post) -> None:
        if 200 <= answer.status < 300:
            return
        body = await _read(answer, b"", most=_LONGEST_ERROR)
        raise status_error(answer.status, body, answer.headers, provider=post.provider, secrets=self.secrets)

    async def _json(self, answer: Answer, post: Post, begun: bytes) -> Any:
        body = await _read(answer, begun)
        try:
            value = loads(body)
        except ValueError:
            raise ProviderError(
                f"{post.provider} answered with {_content_type(answer) or 'something'} where JSON was expected; "
                "does base_url lead to the API?",
                provider=post.provider,
            ) from None
        if error_in_body(value, answer.status) is not None:
            raise self._error(answer, post, value)
        return value

    def _error(self, answer: Answer, post: Post, reported: Any) -> ProviderError:
        """The error for one that was reported in a body, under a status that says all is well."""
        value = reported if isinstance(reported, dict) and "error" in reported else {"error": reported}
        status = error_in_body(value, answer.status) or answer.status
        return status_error(status, dumps(value), answer.headers, provider=post.provider, secrets=self.secrets)


@dataclass(slots=True)
class StreamAsking(Asking):
    """How a provider is asked for streams too."""

    decoder: Callable[[], Decoder]
    whole: Callable[[Any], AIMessageChunk]
    """Makes the chunk for an answer that came whole although a stream was asked for."""

    async def begin(self, link: Link, post: Post) -> Begun[Any]:
        """Ask for a stream, again where that may help, until its first chunk has come. Who gets it closes its answer."""
        return await self._attempts(link, post, self._begin_once)

    async def _begin_once(self, link: Link, post: Post) -> Begun[Any]:
        answer = await self._open(link, post)
        try:
            await self._check_status(answer, post)
            data = await answer.next()
            kind = _kind(answer, data)
            if kind == "json":
                return Begun(answer, post, [self.whole(await self._json(answer, post, data or b""))], None)
            if kind == "other":
                raise _not_a_stream(answer, post)
            decoder = self.decoder()
            while data is not None:
                chunks = decoder.feed(data)
                if decoder.reported is not None and not chunks:
                    raise self._error(answer, post, decoder.reported)
                if chunks or decoder.finished or decoder.complete:
                    return Begun(answer, post, chunks, decoder)
                data = await answer.next()
            return Begun(answer, post, _rest(decoder, post), None)
        except BaseException:
            await answer.close()
            raise


async def read_async(begin: Callable[[], Awaitable[Begun[AsyncAnswer]]]) -> AsyncGenerator[AIMessageChunk, None]:
    """The chunks of a stream, from its first. Closing this closes the provider's connection at once.

    Raises:
        ProviderInterrupted: the stream was cut, fell silent or reported an error; the message so far is attached.
    """
    begun = await begin()
    answer, decoder = begun.answer, begun.decoder
    now = time.monotonic
    try:
        for chunk in begun.chunks:
            yield chunk
        if decoder is not None and not decoder.finished:
            watch = answer.watch()
            over = False
            try:
                if decoder.complete:
                    over = watch.allow(_MORE_MAY_COME)
                async for data in answer.pieces:
                    watch.seen = None  # what the reader does with a chunk is no silence of the provider's
                    for chunk in decoder.feed(data):
                        yield chunk
                    if decoder.finished:
                        break
                    watch.seen = now()
                    if decoder.complete is not over:
                        over = watch.allow(None if over else _MORE_MAY_COME)
            except Exception as error:
                _broken(error, begun.post, decoder, watch.expired)
        if decoder is not None:
            for chunk in decoder.close():
                yield chunk
        await answer.farewell()
    finally:
        await answer.close()


def read_sync(begin: Callable[[], Begun[SyncAnswer]]) -> Generator[AIMessageChunk, None, None]:
    """`read_async` on the caller's thread."""
    begun = begin()
    answer, decoder = begun.answer, begun.decoder
    try:
        yield from begun.chunks
        if decoder is not None and not decoder.finished:
            answer.watch()
            over = False
            try:
                if decoder.complete:
                    over = answer.allow(_MORE_MAY_COME)
                for data in answer.pieces:
                    yield from decoder.feed(data)
                    if decoder.finished:
                        break
                    answer.check_total()
                    if decoder.complete is not over:
                        over = answer.allow(None if over else _MORE_MAY_COME)
            except Exception as error:
                _broken(error, begun.post, decoder, answer.expired(error))
        if decoder is not None:
            yield from decoder.close()
        answer.farewell()
    finally:
        step(answer.close())


def _broken(error: Exception, post: Post, decoder: Decoder, expired: str | None) -> None:
    """Raise what ended a stream that had begun, unless the provider had said all."""
    why = f"the stream broke off: {expired}."
    if expired is None:
        try:
            reraise(error, post)
        except ProviderError as ours:
            why = f"the stream broke off. {ours}"
    if not decoder.complete:
        raise decoder.interrupted(f"{post.provider}: {why}") from error


def _rest(decoder: Decoder, post: Post) -> list[AIMessageChunk]:
    """What a body that ended before any chunk holds after all."""
    try:
        return decoder.close()
    except ProviderInterrupted as error:
        raise ProviderConnectionError(
            f"{post.provider} ended the stream before its first token.", provider=post.provider
        ) from error


async def _read(answer: Answer, begun: bytes, most: int | None = None) -> bytes:
    pieces = [begun]
    size = len(begun)
    while (most is None or size < most) and (data := await answer.next()) is not None:
        pieces.append(data)
        size += len(data)
    return b"".join(pieces)


def _kind(answer: Answer, data: bytes | None) -> str:
    """What the body is. A header that says "event stream" is believed; else the first bytes decide."""
    if _content_type(answer) == "text/event-stream":
        return "events"
    start = (data or b"").lstrip(b"\xef\xbb\xbf \r\n\t")[:6]
    if start.startswith((b"{", b"[")):
        return "json"
    return "events" if start.startswith((b"data", b"event", b"id", b"retry", b":")) else "other"


def _content_type(answer: Answer) -> str:
    return answer.headers.get("content-type", "").partition(";")[0].strip().lower()


def _not_a_stream(answer: Answer, post: Post) -> ProviderError:
    return ProviderError(
        f"{post.provider} answered with {_content_type(answer) or 'something'} where a stream of events was expected; "
        "does base_url lead to the API?",
        provider=post.provider,
    )
