"""Many inputs at once: what `batch` and `abatch` add to each."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Any

from cases import Budget, case, floor, size

N = size(2_000, 50)
LIMIT = 100
INPUTS = list(range(N))
OUTPUTS = [number + 1 for number in INPUTS]


def plus_one(number: int) -> int:
    return number + 1


async def plus_one_later(number: int) -> int:
    await asyncio.sleep(0)
    return number + 1


def per_input(start: float, outputs: list[Any]) -> float:
    """Microseconds."""
    assert outputs == OUTPUTS
    return (perf_counter() - start) / N * 1e6


@case("batch, in threads", "µs/input", Budget(1 / 3))
def batch() -> float:
    from names import RunnableLambda

    it = RunnableLambda(plus_one)
    start = perf_counter()
    return per_input(start, it.batch(INPUTS))


@case(f"abatch, max_concurrency={LIMIT}", "µs/input", Budget(1 / 13))
def abatch() -> float:
    from names import RunnableLambda

    it = RunnableLambda(plus_one_later)

    async def main() -> float:
        start = perf_counter()
        return per_input(start, await it.abatch(INPUTS, {"max_concurrency": LIMIT}))

    return asyncio.run(main())


@floor(batch)
def batch_floor() -> float:
    start = perf_counter()
    with ThreadPoolExecutor() as pool:
        return per_input(start, list(pool.map(plus_one, INPUTS)))


@floor(abatch)
def abatch_floor() -> float:
    async def main() -> float:
        start, waiting, outputs = perf_counter(), iter(INPUTS), [0] * N

        async def work() -> None:
            for number in waiting:
                outputs[number] = await plus_one_later(number)

        await asyncio.gather(*(work() for _ in range(LIMIT)))
        return per_input(start, outputs)

    return asyncio.run(main())
