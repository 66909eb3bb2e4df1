from __future__ import annotations

import asyncio
from typing import Any

import pytest
from colours import Colour, colour  # noqa: F401 - a fixture

from millstream import BaseRateLimiter, InMemoryCache, InMemoryRateLimiter
from millstream.chat import rate_limiters
from millstream.testing import ScriptedChatModel


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 50.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(rate_limiters, "time", clock)
    return clock


def test_turns_come_at_the_rate(clock: Clock) -> None:
    limiter = InMemoryRateLimiter(requests_per_second=4)
    times = []
    for _ in range(3):
        assert limiter.acquire()
        times.append(clock.now - 50)
    assert times == [0.25, 0.5, 0.75]


def test_unused_turns_are_saved_up_to_the_size(clock: Clock) -> None:
    limiter = InMemoryRateLimiter(requests_per_second=4, max_bucket_size=2)
    assert not limiter.acquire(blocking=False)
    clock.now += 100
    assert [limiter.acquire(blocking=False) for _ in range(3)] == [True, True, False]


def test_async_turns_are_given_in_order() -> None:
    async def main() -> None:
        limiter = InMemoryRateLimiter(requests_per_second=200)
        order: list[int] = []

        async def ask(n: int) -> None:
            assert await limiter.aacquire()
            order.append(n)

        start = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as group:
            for n in range(5):
                group.create_task(ask(n))
        assert order == [0, 1, 2, 3, 4]
        assert asyncio.get_running_loop().time() - start >= 0.02
        # One that fills so slowly that no delay of this process can give it a token.
        assert not await InMemoryRateLimiter(requests_per_second=0.001).aacquire(blocking=False)

    asyncio.run(main())


def test_who_stops_waiting_gives_the_turn_back() -> None:
    async def main() -> None:
        limiter = InMemoryRateLimiter(requests_per_second=0.001)
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await limiter.aacquire()
        assert -0.1 < limiter._tokens < 1

    asyncio.run(main())


def test_an_interrupted_thread_gives_the_turn_back(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(clock, "sleep", interrupted)
    limiter = InMemoryRateLimiter()
    with pytest.raises(KeyboardInterrupt):
        limiter.acquire()
    assert limiter._tokens == 0


@pytest.mark.parametrize("wrong", [{"requests_per_second": 0}, {"requests_per_second": -1}, {"max_bucket_size": 0.5}])
def test_numbers_that_would_stop_everything(wrong: Any) -> None:
    with pytest.raises(ValueError, match="max_bucket_size"):
        InMemoryRateLimiter(**wrong)


class Noting(BaseRateLimiter):
    def __init__(self) -> None:
        self.asked: list[str] = []

    def acquire(self, *, blocking: bool = True) -> bool:
        self.asked.append(f"sync {blocking}")
        return True

    async def aacquire(self, *, blocking: bool = True) -> bool:
        self.asked.append(f"async {blocking}")
        return True


def test_a_model_waits_for_its_turn(colour: Colour) -> None:  # noqa: F811
    async def body(c: Colour) -> None:
        limiter = Noting()
        model = ScriptedChatModel(["a"], rate_limiter=limiter, cache=InMemoryCache())
        await c.invoke(model, "q")
        await c.invoke(model, "q")  # a hit asks nobody
        await c.collect(model, "q")
        assert limiter.asked == (["sync True"] if c.sync else ["async True"]) * 2

    colour.run(body)
