"""Users' own forms of the public methods, honoured wherever their runnable is composed."""

from __future__ import annotations

import contextvars
import copy
import pickle
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from colours import Colour, colour
from recorder import Recorder

from millstream import Runnable, RunnableGenerator, RunnableLambda

__all__ = ["colour"]


class Together(Runnable[Any, Any]):
    """Takes whole batches."""

    def __init__(self) -> None:
        self.batches: list[Any] = []

    def invoke(self, input: Any, config: Any = None, **kwargs: Any) -> Any:
        raise AssertionError("one by one")

    def batch(self, inputs: Any, config: Any = None, *, return_exceptions: bool = False, **kwargs: Any) -> Any:
        self.batches.append((list(inputs), [each["tags"] for each in config], return_exceptions))
        if return_exceptions:
            return [ValueError(f"no {x}") if x == 2 and len(self.batches) < 2 else x * 10 for x in inputs]
        if 99 in inputs:
            raise ValueError("all or nothing")
        return [x * 10 for x in inputs]

    async def abatch(self, inputs: Any, config: Any = None, *, return_exceptions: bool = False, **kwargs: Any) -> Any:
        return self.batch(inputs, config, return_exceptions=return_exceptions, **kwargs)


def test_a_batch_of_the_users_own(colour: Colour) -> None:
    async def batch(c: Colour, runnable: Any, inputs: Any, **kwargs: Any) -> Any:
        return runnable.batch(inputs, **kwargs) if c.sync else await runnable.abatch(inputs, **kwargs)

    async def body(c: Colour) -> None:
        together = Together()
        plus_one = RunnableLambda(c.function(lambda x: x + 1))
        tagged = plus_one | together.with_config(tags=["t"])
        assert await batch(c, tagged, [1, 2]) == [20, 30]
        assert await c.invoke(together.map(), [3, 4]) == [30, 40]
        assert together.batches == [([2, 3], [["t"], ["t"]], False), ([3, 4], [[], []], False)]
        assert await batch(c, plus_one | together, []) == []
        together = Together()
        retried = together.with_retry(wait_exponential_jitter=False)
        assert await batch(c, retried, [1, 2, 3]) == [10, 20, 30]
        assert [inputs for inputs, *_ in together.batches] == [[1, 2, 3], [2]]
        together = Together()
        fallen = together.with_fallbacks([plus_one])
        assert await batch(c, fallen, [1, 2, 3]) == [10, 3, 30]
        together = Together()
        recorder = Recorder()
        with pytest.raises(ValueError, match="all or nothing"):
            await batch(c, plus_one | together, [1, 98], config={"callbacks": [recorder]})
        assert recorder.told()[-2:] == ["RunnableSequence error"] * 2

    colour.run(body)


def test_only_the_form_of_the_colour_counts_for_batches(run_async: Any) -> None:
    class OnlySync(Runnable[Any, Any]):
        def invoke(self, input: Any, config: Any = None, **kwargs: Any) -> Any:
            return "one"

        def batch(self, inputs: Any, config: Any = None, *, return_exceptions: bool = False, **kwargs: Any) -> Any:
            return ["many" for _ in inputs]

    chain = RunnableLambda(str) | OnlySync()
    assert chain.batch([1, 2]) == ["many"] * 2
    assert run_async(chain.abatch([1, 2])) == ["one"] * 2


def test_the_tag_of_a_place_stays_with_the_run_in_that_place(colour: Colour) -> None:
    class Wrapped(Runnable[Any, Any]):
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        def invoke(self, input: Any, config: Any = None, **kwargs: Any) -> Any:
            assert config["tags"] == ["mine"]
            return self.inner.invoke(input, config)

        async def ainvoke(self, input: Any, config: Any = None, **kwargs: Any) -> Any:
            return await self.inner.ainvoke(input, config)

    async def body(c: Colour) -> None:
        recorder = Recorder()
        leaf = RunnableLambda(c.function(lambda x: x), name="leaf")
        chain = leaf | Wrapped(leaf | leaf)
        await c.invoke(chain, 1, {"callbacks": [recorder], "tags": ["mine"]})
        assert [line for line in recorder.told(tags=True) if line.endswith("start")] == [
            "RunnableSequence['mine'] start",
            "leaf['seq:step:1', 'mine'] start",
            "RunnableSequence['seq:step:2', 'mine'] start",
            "leaf['seq:step:1', 'mine'] start",
            "leaf['seq:step:2', 'mine'] start",
        ]

    colour.run(body)


variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


def test_a_transform_of_the_users_own_keeps_its_context_to_itself(colour: Colour) -> None:
    seen: list[str] = []

    class Setting(Runnable[Any, Any]):
        def invoke(self, input: Any, config: Any = None, **kwargs: Any) -> Any:
            raise AssertionError("whole")

        def transform(self, input: Iterator[Any], config: Any = None, **kwargs: Any) -> Any:
            variable.set("set downstream")
            yield from input

        async def atransform(self, input: AsyncIterator[Any], config: Any = None, **kwargs: Any) -> Any:
            variable.set("set downstream")
            async for item in input:
                yield item

    def sync_looking(inputs: Any) -> Any:
        for _ in range(2):
            seen.append(variable.get())
            yield 1

    async def async_looking(inputs: Any) -> Any:
        for item in sync_looking(inputs):
            yield item

    async def body(c: Colour) -> None:
        looking = RunnableGenerator(sync_looking if c.sync else async_looking)
        assert await c.collect(looking | Setting(), None) == [1, 1]
        assert seen == ["unset"] * 2

    contextvars.copy_context().run(colour.run, body)


def test_closing_what_was_made_of_the_users_own_stream_closes_that(colour: Colour) -> None:
    log: list[str] = []

    class Own(Runnable[Any, Any]):
        def invoke(self, input: Any, config: Any = None, **kwargs: Any) -> Any:
            raise AssertionError("whole")

        def stream(self, input: Any, config: Any = None, **kwargs: Any) -> Any:
            try:
                yield from range(9)
            finally:
                log.append("closed")

        async def astream(self, input: Any, config: Any = None, **kwargs: Any) -> Any:
            try:
                for n in range(9):
                    yield n
            finally:
                log.append("closed")

    async def given() -> AsyncIterator[str]:
        yield "a"

    async def body(c: Colour) -> None:
        if c.sync:
            with Own().transform(iter("a")) as stream:
                assert next(stream) == 0
        else:
            async with Own().atransform(given()) as stream:
                assert await anext(stream) == 0
        assert log == ["closed"]

    colour.run(body)


class Doubled(Runnable[Any, Any]):
    def __init__(self, by: int = 2) -> None:
        self.by = by

    def invoke(self, input: Any, config: Any = None, **kwargs: Any) -> Any:
        return input * self.by

    def about(self, detail: str, config: Any = None) -> Any:
        return detail, sorted(config["tags"]) if config else None


def test_compositions_of_the_users_own_can_be_pickled_and_copied() -> None:
    chain = Doubled() | Doubled(5).with_config(tags=["t"])
    assert pickle.loads(pickle.dumps(chain)).invoke(3) == 30
    twin = copy.deepcopy(chain)
    twin.steps[0].by = 0
    assert (twin.invoke(3), chain.invoke(3)) == (0, 30)


def test_a_binding_hands_its_config_to_methods_that_take_one() -> None:
    bound = Doubled().with_config(tags=["bound"])
    assert bound.about("a") == ("a", ["bound"])
    assert bound.about("a", {"tags": ["call"]}) == ("a", ["bound", "call"])
    assert bound.about(detail="a", config={"tags": ["call"]}) == ("a", ["bound", "call"])
    assert Doubled().bind(x=1).about("a") == ("a", None)
    assert bound.by == 2
