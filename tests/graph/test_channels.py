"""Channels alone: folding, empty reads, what changed as data."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream import (
    AnyValue,
    BinaryOperatorAggregate,
    DeltaChannel,
    EphemeralValue,
    InvalidUpdateError,
    LastValue,
    Overwrite,
    Topic,
    UntrackedValue,
)
from millstream.graph.constants import ABSENT


def test_last_value_takes_one_write_and_says_what_to_do_with_two() -> None:
    assert LastValue(int).fold("k", 1, [2]) == 2
    with pytest.raises(InvalidUpdateError, match=r"'k'.*one value per step.*reducer") as caught:
        LastValue(int).fold("k", 1, [2, 3])
    assert isinstance(caught.value, ValueError)


def test_any_value_takes_the_last_and_is_cleared_by_a_step_without_one() -> None:
    channel = AnyValue(int)
    assert channel.fold("k", ABSENT, [1, 1]) == 1
    assert channel.volatile
    assert channel.idle(1) is ABSENT


def test_ephemeral_value_lives_one_step_and_guards() -> None:
    channel = EphemeralValue(int)
    assert channel.fold("k", ABSENT, [1]) == 1
    assert channel.idle(1) is ABSENT
    with pytest.raises(InvalidUpdateError):
        channel.fold("k", ABSENT, [1, 2])
    assert EphemeralValue(int, guard=False).fold("k", ABSENT, [1, 2]) == 2


def test_untracked_value_stays_and_is_not_stored() -> None:
    channel = UntrackedValue(int)
    assert not channel.stored
    assert not channel.volatile
    assert channel.fold("k", 1, [2]) == 2


def test_topic_flattens_lists_and_accumulates_when_told() -> None:
    assert Topic(int).fold("k", [9], [1, [2, 3]]) == [1, 2, 3]
    assert Topic(int).volatile
    kept = Topic(int, accumulate=True)
    assert kept.fold("k", [9], [1, [2]]) == [9, 1, 2]
    assert not kept.volatile
    assert kept.logged("k", [9], [1, [2]]) == ([9, 1, 2], [("append", [1, 2])])


@pytest.mark.parametrize(
    ("typ", "start"), [(list, []), (int, 0), (dict, {}), (str, ""), (Sequence[int], []), (set[int], set())]
)
def test_a_reducer_starts_from_an_empty_value_of_its_type(typ: Any, start: Any) -> None:
    assert BinaryOperatorAggregate(typ, operator.add).initial() == start


def test_a_reducer_of_a_type_that_needs_arguments_takes_the_first_write_as_it_is() -> None:
    class Money:
        def __init__(self, amount: int) -> None:
            self.amount = amount

    channel = BinaryOperatorAggregate(Money, lambda a, b: Money(a.amount + b.amount))
    assert channel.initial() is ABSENT
    first = Money(1)
    assert channel.fold("k", ABSENT, [first]) is first
    assert channel.fold("k", first, [Money(2), Money(3)]).amount == 6


@pytest.mark.parametrize("write", [Overwrite([7]), {"__overwrite__": [7]}, {"type": "__overwrite__", "value": [7]}])
def test_overwrite_replaces_and_drops_the_plain_writes_of_its_step(write: Any) -> None:
    channel = BinaryOperatorAggregate(list, operator.add)
    assert channel.fold("k", [1], [[2], write, [3]]) == [7]
    assert channel.logged("k", [1], [[2], write, [3]]) == ([7], [("set", [7])])
    with pytest.raises(InvalidUpdateError, match="two Overwrite"):
        channel.fold("k", [1], [write, write])


def test_a_delta_channel_folds_all_writes_of_a_step_at_once() -> None:
    channel = DeltaChannel(lambda state, writes: [*state, len(writes)], list)
    assert channel.fold("k", [], ["a", "b", "c"]) == [3]


@given(st.lists(st.lists(st.lists(st.integers(), max_size=3), min_size=1, max_size=3), max_size=6))
def test_what_a_channel_logs_rebuilds_what_it_folded(steps: list[list[list[int]]]) -> None:
    channel = BinaryOperatorAggregate(list, operator.add)
    value: list[int] = []
    rebuilt: list[int] = []
    for writes in steps:
        value, ops = channel.logged("k", value, writes)
        for name, payload in ops:
            assert name == "append"  # never the whole value: its cost would grow with the thread
            rebuilt = [*rebuilt, *payload]
    assert rebuilt == value


def test_a_reducer_that_nobody_knows_is_stored_whole() -> None:
    channel = BinaryOperatorAggregate(list, lambda a, b: a + b)
    assert channel.logged("k", [1], [[2]]) == ([1, 2], [("set", [1, 2])])
