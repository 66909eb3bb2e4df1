"""`chain.abatch` with `max_concurrency`: a hundred inputs, never more than five of them at once."""

import asyncio

from millstream import RunnableLambda

running = most = 0


async def shout(word: str) -> str:
    """Stands for a call of a service that allows five at a time."""
    global running, most
    running += 1
    most = max(most, running)
    await asyncio.sleep(0.001)
    running -= 1
    return word.upper()


async def main() -> None:
    words = [f"word {number}" for number in range(100)]
    shouted = await RunnableLambda(shout).abatch(words, config={"max_concurrency": 5})
    print(f"{len(shouted)} results, from {shouted[0]} to {shouted[-1]}")
    print(f"at most {most} at once")


asyncio.run(main())
