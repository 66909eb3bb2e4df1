"""A runnable offered as a tool."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel

from millstream import InvalidArgument, RunnableLambda, tool
from millstream.chat.runnable_tool import convert_runnable_to_tool
from millstream.spine.events import START, Event, Tap


class In(BaseModel):
    a: int
    b: int = 2


adder = RunnableLambda(lambda d: d["a"] + d["b"], name="adder")


def test_the_arguments_may_be_named() -> None:
    made = convert_runnable_to_tool(adder, description="Adds", arg_types={"a": int, "b": int})
    assert (made.name, made.description) == ("adder", "Adds")
    assert made.args == {"a": {"title": "A", "type": "integer"}, "b": {"title": "B", "type": "integer"}}
    assert made.invoke({"a": "1", "b": 2}) == 3
    assert asyncio.run(made.ainvoke({"a": 1, "b": 2})) == 3


def test_by_a_schema() -> None:
    made = convert_runnable_to_tool(adder, In, name="plus")
    assert (made.name, made.description) == ("plus", "plus: takes a, b.")
    assert made.invoke({"a": 1}) == 3
    assert tool("other", adder, args_schema=In, description="D").invoke({"a": 1}) == 3


def test_nothing_known_of_the_arguments() -> None:
    with pytest.raises(InvalidArgument, match="what 'adder' takes is not known"):
        convert_runnable_to_tool(RunnableLambda(lambda d: d, name="adder"), arg_types={})


def test_the_runnable_runs_below_the_tool() -> None:
    events: list[Event] = []
    config: Any = {"callbacks": [Tap(lambda run: START, events.append)]}
    convert_runnable_to_tool(adder, In, name="plus").invoke({"a": 1}, config)
    outer, inner = (event.run for event in events)
    assert (outer.name, outer.type, inner.name, inner.type) == ("plus", "tool", "adder", "chain")
    assert inner.parent is outer
