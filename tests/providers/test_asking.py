from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import Callable
from functools import reduce
from typing import Any

import pytest
from promptness import closes_soon, promptly

from millstream import (
    AIMessageChunk,
    AuthenticationError,
    BadRequestError,
    ProviderConnectionError,
    ProviderError,
    ProviderInterrupted,
    ProviderStatusError,
    ProviderTimeout,
    RateLimitError,
    Timeouts,
)
from millstream.errors import InvalidArgument
from millstream.flow.step import step
from millstream.providers.asking import StreamAsking, read_async, read_sync
from millstream.providers.http import Post
from millstream.providers.http_async import AsyncLink
from millstream.providers.http_sync import SyncLink
from millstream.providers.openai_answer import answer_chunk
from millstream.providers.openai_chat import OpenAIChatDecoder
from millstream.testing import Reply, StandInProvider, chat_answer, chat_error, chat_frame, chat_stream

TEXT = "The mill 🐎 grinds slowly."
STREAM = chat_stream(TEXT)
TOOL = chat_stream(tool_calls=[{"name": "add", "args": {"a": 1, "b": "žluť"}}])


class Asker:
    """Reads one stream, in either colour, and notes how long it would have slept."""

    def __init__(self, colour: str, *, retries: int = 2, **limits: float) -> None:
        self.colour = colour
        self.slept: list[float] = []
        self.chunks: list[AIMessageChunk] = []
        self.limits = Timeouts(**limits)
        self.asking = StreamAsking(retries, ["sk-secret"], OpenAIChatDecoder, answer_chunk)

    def post(self, url: str) -> Post:
        return Post(
            f"{url}/chat/completions", {"authorization": "Bearer sk-secret"}, b'{"stream":true}', self.limits, "openai"
        )

    def read(self, url: str) -> AIMessageChunk:
        self.chunks = []
        if self.colour == "sync":
            link = SyncLink(sleep=self.slept.append)
            for chunk in read_sync(lambda: step(self.asking.begin(link, self.post(url)))):
                self.chunks.append(chunk)
        else:
            asyncio.run(self._read(url))
        return self.merged()

    async def _read(self, url: str) -> None:
        async for chunk in self.stream(url):
            self.chunks.append(chunk)

    def stream(self, url: str) -> Any:
        return read_async(lambda: self.asking.begin(AsyncLink(sleep=self._sleep), self.post(url)))

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def merged(self) -> AIMessageChunk:
        return reduce(lambda a, b: a + b, self.chunks)


@pytest.fixture(params=["sync", "async"])
def asker(request: pytest.FixtureRequest) -> Callable[..., Asker]:
    return lambda **options: Asker(request.param, **options)


MakeAsker = Callable[..., Asker]


@pytest.mark.parametrize("chunk", [None, 1, 13, "frame"])
def test_a_stream_over_real_http(asker: MakeAsker, chunk: Any) -> None:
    with StandInProvider([Reply(STREAM, chunk=chunk)]) as provider:
        assert asker().read(provider.base_url).content == TEXT


def test_a_connection_is_used_again() -> None:
    async def main(provider: StandInProvider) -> None:
        asker = Asker("async")
        for _ in range(3):
            await asker._read(provider.base_url)

    with StandInProvider([STREAM] * 6) as provider:
        asyncio.run(main(provider))
        assert len(provider.connections) == 1
        for _ in range(3):
            Asker("sync").read(provider.base_url)
        assert len(provider.connections) == 2


def test_two_event_loops_one_after_the_other() -> None:
    with StandInProvider([STREAM] * 2) as provider:
        for _ in range(2):
            assert Asker("async").read(provider.base_url).content == TEXT
        assert provider.wait_until(lambda it: all(c.closed_at for c in it.connections))


# -- before the first token ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503])
def test_what_may_pass_is_asked_again(asker: MakeAsker, status: int) -> None:
    script = [Reply.json(chat_error("wait"), status=status)] * 2 + [Reply(STREAM)]
    with StandInProvider(script) as provider:
        it = asker()
        assert it.read(provider.base_url).content == TEXT
    assert len(provider.requests) == 3
    assert len(it.slept) == 2
    assert 0.25 <= it.slept[0] <= 0.5 <= it.slept[1] <= 1.0


@pytest.mark.parametrize(("header", "low", "high"), [("7", 7, 7.7), ("-1", 0, 0), ("100000", 60, 60), ("x", 0.25, 0.5)])
def test_the_wait_that_the_server_asks_for(asker: MakeAsker, header: str, low: float, high: float) -> None:
    script = [Reply.json(chat_error("wait"), status=429, headers={"Retry-After": header}), Reply(STREAM)]
    with StandInProvider(script) as provider:
        it = asker()
        it.read(provider.base_url)
    assert len(it.slept) == 1 and low <= it.slept[0] <= high


def test_no_more_attempts_than_allowed(asker: MakeAsker) -> None:
    with StandInProvider(lambda _: Reply.json(chat_error("no", code="busy"), status=429)) as provider:
        for retries in (0, 1, 2):
            before = len(provider.requests)
            with pytest.raises(RateLimitError) as caught:
                asker(retries=retries).read(provider.base_url)
            assert len(provider.requests) - before == retries + 1
    assert (caught.value.status, caught.value.code) == (429, "busy")


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, BadRequestError), (401, AuthenticationError), (404, BadRequestError), (302, ProviderStatusError)],
)
def test_what_cannot_pass_is_not_asked_again(asker: MakeAsker, status: int, kind: type[Exception]) -> None:
    with StandInProvider([Reply.json(chat_error("bad key sk-secret"), status=status)] * 3) as provider:
        with pytest.raises(kind, match="bad key") as caught:
            asker().read(provider.base_url)
        assert len(provider.requests) == 1
    assert "sk-secret" not in str(caught.value)


@pytest.mark.parametrize("ending", ["close", "reset"])
@pytest.mark.parametrize("sent", [0, 10])
def test_a_connection_that_breaks_before_the_first_token(asker: MakeAsker, ending: Any, sent: int) -> None:
    broken = Reply(STREAM, stop_after=sent, ending=ending)
    with StandInProvider([broken, broken, Reply(STREAM)]) as provider:
        it = asker()
        assert it.read(provider.base_url).content == TEXT
        assert len(it.slept) == 2
    with StandInProvider([broken] * 3) as provider, pytest.raises(ProviderConnectionError):
        asker().read(provider.base_url)


def test_a_server_that_is_not_there(asker: MakeAsker) -> None:
    with StandInProvider([]) as provider:
        gone = provider.base_url
    it = asker()
    with pytest.raises(ProviderConnectionError, match="could not be reached"):
        it.read(gone)
    assert len(it.slept) == 2


def test_a_body_that_ends_before_the_first_token(asker: MakeAsker) -> None:
    for body in (b"", b": comment\n\n", STREAM[:50]):
        with (
            StandInProvider([Reply(body)] * 3) as provider,
            pytest.raises(ProviderConnectionError, match="before its first token"),
        ):
            asker().read(provider.base_url)


@pytest.mark.parametrize(
    "reply",
    [
        Reply.json({"error": {"message": "busy", "code": 503}}),
        Reply(b'data: {"error":{"message":"busy","type":"server_error"}}\n\n'),
        Reply(b': x\n\nevent: error\ndata: {"error":{"message":"busy","code":529}}\n\ndata: [DONE]\n\n'),
    ],
)
def test_an_error_body_under_a_good_status(asker: MakeAsker, reply: Reply) -> None:
    with StandInProvider([reply, Reply(STREAM)]) as provider:
        assert asker().read(provider.base_url).content == TEXT
    with StandInProvider([reply] * 3) as provider, pytest.raises(ProviderStatusError, match="busy"):
        asker().read(provider.base_url)


def test_an_error_body_that_is_final(asker: MakeAsker) -> None:
    with StandInProvider([Reply.json(chat_error("bad", type="invalid_request_error"))] * 2) as provider:
        with pytest.raises(BadRequestError, match="bad"):
            asker().read(provider.base_url)
        assert len(provider.requests) == 1


@pytest.mark.parametrize("body", [b"<html>hi</html>", b"hello there"])
@pytest.mark.parametrize("kind", ["text/html", "text/plain"])
def test_a_body_that_is_no_stream(asker: MakeAsker, body: bytes, kind: str) -> None:
    reply = Reply(body, headers={"content-type": kind})
    with StandInProvider([reply]) as provider, pytest.raises(ProviderError, match=f"{kind}.*base_url"):
        asker().read(provider.base_url)


@pytest.mark.parametrize("kind", ["text/plain", "application/json", "application/octet-stream", ""])
def test_a_stream_under_another_name(asker: MakeAsker, kind: str) -> None:
    with StandInProvider([Reply(STREAM, headers={"content-type": kind} if kind else {})]) as provider:
        assert asker().read(provider.base_url).content == TEXT


def test_an_answer_that_came_whole(asker: MakeAsker) -> None:
    with StandInProvider([chat_answer("whole", tool_calls=[{"name": "f", "args": {"a": 1}}])]) as provider:
        got = asker().read(provider.base_url)
    assert got.content == "whole"
    assert got.tool_calls == [{"name": "f", "args": {"a": 1}, "id": "call_1", "type": "tool_call"}]


def test_a_compressed_stream(asker: MakeAsker) -> None:
    headers = {"content-type": "text/event-stream", "content-encoding": "gzip"}
    with StandInProvider([Reply(gzip.compress(STREAM), headers=headers, chunk=20)]) as provider:
        assert asker().read(provider.base_url).content == TEXT
    with (
        StandInProvider([Reply(b"no gzip at all", headers=headers)]) as provider,
        pytest.raises(ProviderError, match="decompressed"),
    ):
        asker().read(provider.base_url)


def test_no_first_token_in_time(asker: MakeAsker) -> None:
    silent = [Reply(b"", ending="silent"), Reply(b": still here\n\n" * 50, pause=0.1), Reply(STREAM, delay=30)]
    for reply in silent:
        with StandInProvider([reply] * 3) as provider:
            start = time.monotonic()
            with pytest.raises(ProviderTimeout, match=r"no token within 0\.2 s"):
                asker(first_token=0.2).read(provider.base_url)
            assert time.monotonic() - start < 10
            assert len(provider.requests) == 1


def test_the_total_limit_covers_the_attempts(asker: MakeAsker) -> None:
    with StandInProvider([Reply.json(chat_error("wait"), status=429, headers={"retry-after": "9"})] * 2) as provider:
        it = asker(total=5)
        with pytest.raises(RateLimitError):
            it.read(provider.base_url)
        assert it.slept == []


# -- after the first token -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [STREAM, TOOL], ids=["text", "tool"])
@pytest.mark.parametrize("ending", ["close", "clean"])
def test_cut_anywhere_it_is_never_silent_and_never_repeated(asker: MakeAsker, stream: bytes, ending: Any) -> None:
    first = stream.index(b"\n\n") + 2
    cuts = [*range(first, len(stream) - 1, 97), stream.index("🐎".encode()) + 2 if stream is STREAM else first]
    replies = [Reply(stream, stop_after=cut, ending=ending) for cut in cuts]
    with StandInProvider(replies) as provider:
        for cut in cuts:
            it = asker()
            try:
                whole = it.read(provider.base_url)
            except ProviderInterrupted as error:
                start = time.monotonic()
                assert error.partial.content == it.merged().content
                assert error.partial.tool_call_chunks == it.merged().tool_call_chunks
                assert it.slept == []
                sent_at = provider.requests[-1].sent[-1][0]
                assert start - sent_at < 10
            else:
                assert ending == "clean" and b'"finish_reason":"' in stream[:cut], cut
                assert whole.content == (TEXT if stream is STREAM else "")
    assert len(provider.requests) == len(cuts)


def test_a_reset_after_the_first_token(asker: MakeAsker) -> None:
    with StandInProvider([Reply(STREAM, stop_after=1000, chunk=500, pause=0.05, ending="reset")]) as provider:
        with pytest.raises(ProviderInterrupted, match="broke off") as caught:
            asker().read(provider.base_url)
        assert caught.value.partial is not None
        assert len(provider.requests) == 1


def test_an_error_after_the_first_token(asker: MakeAsker) -> None:
    stream = chat_frame({"content": "so far"}) + chat_frame(choices=[], error={"message": "Overloaded sk-secret"})
    with StandInProvider([Reply(stream)] * 2) as provider:
        it = asker()
        it.asking.decoder = lambda: OpenAIChatDecoder(secrets=["sk-secret"])
        with pytest.raises(ProviderInterrupted, match="Overloaded") as caught:
            it.read(provider.base_url)
        assert caught.value.partial.content == "so far"
        assert it.merged().content == "so far"
        assert "sk-secret" not in str(caught.value)
        assert len(provider.requests) == 1


def test_silence_after_the_first_token(asker: MakeAsker) -> None:
    it = asker(idle=0.2)
    cut = STREAM.index(b"mill") + 200
    with StandInProvider([Reply(STREAM, stop_after=cut, ending="silent")]) as provider:
        start = time.monotonic()
        with pytest.raises(ProviderInterrupted) as caught:
            it.read(provider.base_url)
        assert time.monotonic() - start < 10
        assert caught.value.partial.content == it.merged().content != ""
        assert provider.wait_until(lambda it: it.connections[0].closed_at is not None)
        assert len(provider.requests) == 1


def test_comments_end_a_silence_and_a_slow_reader_makes_none() -> None:
    async def main(url: str) -> str:
        asker = Asker("async", idle=1.0)
        text = ""
        async for chunk in asker.stream(url):
            text += str(chunk.content)
            if text == "a":
                await asyncio.sleep(1.5)
        return text

    frames = [
        chat_frame({"content": "a"}),
        *[b": still here\n\n"] * 10,
        chat_frame({"content": "b"}),
        b"data: [DONE]\n\n",
    ]
    with StandInProvider([Reply(b"".join(frames), pause=0.15)]) as provider:
        assert asyncio.run(main(provider.base_url)) == "ab"


def test_the_total_limit_of_a_stream_that_goes_on(asker: MakeAsker) -> None:
    endless = chat_frame({"content": "x"}) * 4000
    with StandInProvider([Reply(endless, pause=0.01)]) as provider:
        start = time.monotonic()
        with pytest.raises(ProviderInterrupted) as caught:
            asker(total=0.3).read(provider.base_url)
        assert time.monotonic() - start < 10
        assert "xxx" in caught.value.partial.content
        assert "total limit" in str(caught.value)


def test_a_server_that_does_not_end_the_body_after_its_end_mark(asker: MakeAsker) -> None:
    with StandInProvider([Reply(STREAM, ending="silent"), Reply(STREAM)]) as provider:
        start = time.monotonic()
        assert asker().read(provider.base_url).content == TEXT
        assert time.monotonic() - start < 8  # and not the ten seconds that more may be waited for
        assert asker().read(provider.base_url).content == TEXT


# -- leaving ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", ["talking", "silent"])
@pytest.mark.parametrize("way", ["close", "cancel", "raise"])
def test_leaving_closes_the_providers_connection(phase: str, way: str) -> None:
    reply = Reply(STREAM * 50, pause=0.01) if phase == "talking" else Reply(STREAM, stop_after=900, ending="silent")

    async def read(url: str, begun: asyncio.Event) -> None:
        stream = Asker("async").stream(url)
        try:
            async for _ in stream:
                begun.set()
                if way != "cancel":
                    break
            if way == "raise":
                raise LookupError
        finally:
            await stream.aclose()

    async def main(provider: StandInProvider) -> float:
        begun = asyncio.Event()
        task = asyncio.create_task(read(provider.base_url, begun))
        await begun.wait()
        await asyncio.sleep(0.05)
        left = time.monotonic()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.sleep(0.3)
        return left

    closes_soon(lambda provider: asyncio.run(main(provider)), reply)


def test_leaving_before_the_first_token() -> None:
    async def main(provider: StandInProvider) -> float:
        task = asyncio.create_task(Asker("async")._read(provider.base_url))
        while not provider.requests:  # noqa: ASYNC110 - the server is in another thread
            await asyncio.sleep(0.005)
        left = time.monotonic()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.sleep(0.3)
        return left

    closes_soon(lambda provider: asyncio.run(main(provider)), Reply(b"", ending="silent"))


def test_leaving_a_synchronous_stream() -> None:
    def leave(provider: StandInProvider) -> float:
        it = Asker("sync")
        stream = read_sync(lambda: step(it.asking.begin(SyncLink(), it.post(provider.base_url))))
        next(stream)
        left = time.monotonic()
        stream.close()
        return left

    closes_soon(leave, Reply(STREAM * 50, pause=0.01))


def test_a_stream_that_is_never_begun_asks_for_nothing() -> None:
    async def main(url: str) -> None:
        await Asker("async").stream(url).aclose()

    with StandInProvider([STREAM]) as provider:
        asyncio.run(main(provider.base_url))
        assert provider.requests == []


def test_a_hundred_streams_at_once(run_async: Callable[..., Any]) -> None:
    async def read(url: str, all_begun: asyncio.Barrier) -> str:
        stream = Asker("async").stream(url)
        text = str((await anext(stream)).content)
        # Nobody goes on before all have their first token.
        await all_begun.wait()
        return "".join([text, *[str(chunk.content) async for chunk in stream]])

    async def main(url: str) -> list[str]:
        all_begun = asyncio.Barrier(100)
        return await asyncio.gather(*(read(url, all_begun) for _ in range(100)))

    with StandInProvider(lambda _: Reply(STREAM, pause=0.02)) as provider:
        assert run_async(main(provider.base_url)) == [TEXT] * 100


# -- settings -----------------------------------------------------------------------------------------------------------------


class HttpxLike:
    connect, read, write, pool = 1.0, 2.0, 3.0, 4.0


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, Timeouts()),
        (3, Timeouts(3, 3, 3)),
        ((1, 2.5), Timeouts(1, 2.5, 2.5)),
        (HttpxLike(), Timeouts(1.0, 2.0, 2.0)),
        (Timeouts(idle=None), Timeouts(idle=None)),
    ],
)
def test_timeouts_as_users_give_them(given: Any, expected: Timeouts) -> None:
    assert Timeouts.of(given) == expected


@pytest.mark.parametrize("given", [0, -1, "3", True, (1, 2, 3), (1, -2), object()])
def test_timeouts_that_are_none(given: Any) -> None:
    with pytest.raises(InvalidArgument, match="timeout="):
        Timeouts.of(given)


def test_the_key_is_in_no_repr() -> None:
    post = Asker("sync").post("http://x")
    assert "sk-secret" not in repr(post)


def test_control_what_is_late_each_time_is_not_prompt() -> None:
    late = iter([0.3, 0.2, 0.3, 0.3, 0.3, 0.3])
    promptly(lambda: next(late))
    with pytest.raises(AssertionError, match=r"0\.3, 0\.3, 0\.3, 0\.3"):
        promptly(lambda: next(late))
