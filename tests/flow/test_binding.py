"""Bound configs: what lies under a call's config, and what stands in its place."""

from __future__ import annotations

from typing import Any

import pytest
from colours import Colour, colour

from millstream import RunnableBinding, RunnableConfig, RunnableLambda

__all__ = ["colour"]


def shown(x: Any, config: RunnableConfig) -> Any:
    return sorted(config["tags"]), config["metadata"]


look = RunnableLambda(shown)
OUTER: RunnableConfig = {"tags": ["outer"], "metadata": {"o": 1}}


@pytest.mark.parametrize(
    ("bound", "given", "seen"),
    [
        ({"tags": ["b"]}, None, (["b"], {"o": 1})),
        ({"metadata": {"b": 1}}, None, (["outer"], {"b": 1})),
        ({"tags": ["b"]}, {"metadata": {"g": 1}}, (["b", "outer"], {"o": 1, "g": 1})),
        ({"run_name": "b"}, None, (["outer"], {"o": 1})),
    ],
)
def test_a_call_without_config_has_the_bound_one_instead(colour: Colour, bound: Any, given: Any, seen: Any) -> None:
    inner = look.with_config(bound)
    retried = inner.with_retry(stop_after_attempt=2)

    async def body(c: Colour) -> None:
        if c.sync:
            calls = [
                lambda x: inner.invoke(x, given),
                lambda x: next(iter(inner.stream(x, given))),
                lambda x: inner.batch([x], given)[0],
                lambda x: retried.invoke(x, given),
            ]
            assert [RunnableLambda(call).invoke(1, OUTER) for call in calls] == [seen] * 4
        else:

            async def streamed(x: Any) -> Any:
                return await anext(aiter(inner.astream(x, given)))

            async def invoked(x: Any) -> Any:
                return await inner.ainvoke(x, given)

            assert [await RunnableLambda(call).ainvoke(1, OUTER) for call in (streamed, invoked)] == [seen] * 2

    colour.run(body)


def test_a_step_is_called_with_the_config_of_its_sequence(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        chain = RunnableLambda(lambda x: x) | look.with_config(tags=["b"])
        assert await c.invoke(chain, 1, OUTER) == (["b", "outer"], {"o": 1})

    colour.run(body)


def test_factories_add_to_the_config() -> None:
    def factory(config: RunnableConfig) -> RunnableConfig:
        return {"tags": ["made", *config["tags"]], "metadata": {"n": len(config["tags"])}}

    binding: RunnableBinding[Any, Any] = RunnableBinding(look, config={"tags": ["b"]}, config_factories=[factory])
    assert binding.invoke(1, {"tags": ["call"]}) == (["b", "call", "made"], {"n": 2})


def test_a_forwarded_function_keeps_its_name() -> None:
    assert look.with_config(tags=["b"]).func.__name__ == "shown"


def test_what_is_mapped_is_configured_item_by_item(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        told: list[Any] = []
        mapped = RunnableLambda(str, name="one").map().with_config(tags=["t"])
        listened = mapped.with_listeners(on_end=lambda run: told.append((run.name, run.outputs, run.tags)))
        assert await c.invoke(listened, [1, 2], {"max_concurrency": 1}) == ["1", "2"]
        assert told == [("one", {"output": "1"}, ["t"]), ("one", {"output": "2"}, ["t"])]

    colour.run(body)
