"""Channels as objects, rules that users write so, and those whose value is there only later."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Annotated, Any, TypedDict

import pytest
from graph_helpers import graph_of, thread

from millstream import (
    AnyValue,
    BaseChannel,
    BinaryOperatorAggregate,
    EmptyChannelError,
    EphemeralValue,
    InMemorySaver,
    InvalidUpdateError,
    LastValue,
    LastValueAfterFinish,
    NamedBarrierValue,
    NamedBarrierValueAfterFinish,
    Topic,
)

__all__: list[str] = []


def test_channels_take_updates_by_themselves() -> None:
    last: Any = LastValue(int)
    with pytest.raises(EmptyChannelError):
        last.get()
    assert not last.is_available()
    assert last.update([1])
    assert not last.update([])
    assert last.get() == last.checkpoint() == 1
    with pytest.raises(InvalidUpdateError):
        last.update([1, 2])
    total: Any = BinaryOperatorAggregate(int, operator.add)
    assert total.get() == 0
    assert total.update([1, 2])
    assert total.get() == 3
    again = total.from_checkpoint(total.checkpoint())
    again.update([4])
    assert (total.get(), again.get()) == (3, 7)
    for gone in (EphemeralValue(int), AnyValue(int), Topic(int)):
        gone.update([1])
        assert gone.is_available()
        assert gone.update([])
        assert not gone.is_available()
    assert (last.ValueType, last.UpdateType) == (int, int)


def test_barriers_wait_for_all_names_and_for_the_finish() -> None:
    barrier = NamedBarrierValue(str, {"a", "b"})
    assert barrier.update(["a"])
    assert not barrier.is_available()
    barrier.update(["b"])
    assert barrier.get() is None
    assert barrier.consume()
    assert not barrier.is_available()
    with pytest.raises(InvalidUpdateError, match="'c'"):
        barrier.update(["c"])
    late = NamedBarrierValueAfterFinish(str, {"a"})
    late.update(["a"])
    assert not late.is_available()
    assert late.finish()
    assert late.is_available()
    value = LastValueAfterFinish(int)
    value.update([1])
    assert not value.is_available()
    assert value.finish()
    assert not value.finish()
    assert value.get() == 1


class Largest(BaseChannel):
    """The largest value, and how many there were: what it keeps is not what it shows."""

    def __init__(self, typ: Any, key: str = "") -> None:
        super().__init__(typ, key)
        self.seen: list[int] = []

    def update(self, values: Sequence[Any]) -> bool:
        self.seen = [*self.seen, *values]
        return bool(values)

    def get(self) -> int:
        if not self.seen:
            raise EmptyChannelError
        return max(self.seen)

    def checkpoint(self) -> Any:
        return self.seen

    def from_checkpoint(self, checkpoint: Any) -> Largest:
        new = Largest(self.typ, self.key)
        new.seen = list(checkpoint or ())
        return new


class State(TypedDict, total=False):
    top: Annotated[int, Largest]
    last: Annotated[str, LastValueAfterFinish(str)]
    both: Annotated[Any, NamedBarrierValue(str, {"a", "b"})]


def test_a_graph_keeps_what_a_channel_keeps_and_shows_what_it_shows() -> None:
    seen: list[Any] = []

    def node(name: str, top: int) -> Any:
        def run(state: Any) -> Any:
            seen.append(dict(state))
            return {"top": top, "last": name, "both": name}

        return run

    app = graph_of(("a", "b"), a=node("a", 5), b=node("b", 3), state=State).compile(checkpointer=InMemorySaver())
    chunks = list(app.stream({"top": 1}, thread(), stream_mode="values"))
    assert seen == [{"top": 1}, {"top": 5}]
    assert chunks == [{"top": 1}, {"top": 5}, {"top": 5, "last": "b", "both": None}]
    assert app.get_state(thread()).values == chunks[-1]
    assert app.checkpointer.get_tuple(thread()).checkpoint["channel_values"]["top"] == [1, 5, 3]
    assert app.invoke({"top": 9}, thread())["top"] == 9
