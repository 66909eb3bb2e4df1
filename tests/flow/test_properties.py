"""Laws that hold for whatever is composed: both colours tell the same, in order, and watching changes nothing.

A composition is drawn as a plain value (`Shape`) and built from it, so that a failing one can be read.
"""

from __future__ import annotations

import asyncio
import copy
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millstream import (
    AIMessage,
    AIMessageChunk,
    BaseChatModel,
    BaseMessage,
    ChatGeneration,
    ChatResult,
    Runnable,
    RunnableBranch,
    RunnableConfig,
    RunnableGenerator,
    RunnableLambda,
    RunnableParallel,
    RunnablePassthrough,
    StrOutputParser,
    add,
    merge_configs,
)
from millstream.data.addable import fold_chunks
from millstream.spine.events import END, ERROR, EVERYTHING, MISSING, START, STREAM, Event
from millstream.spine.run import Run

Shape: TypeAlias = tuple[Any, ...]
Any_: TypeAlias = Runnable[Any, Any]


class Broken(Exception):
    """What a drawn composition fails with."""


# -- compositions, all of them from text to text ---------------------------------------------------------------------


def both(function: Callable[[Any], Any], name: str) -> Any_:
    """A function in both forms."""

    async def afunction(value: Any) -> Any:
        return function(value)

    return RunnableLambda(function, afunction, name=name)


def pieces(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def cutter(size: int) -> Any_:
    """Takes all of its input and gives it in pieces."""

    def cut(chunks: Iterator[str]) -> Iterator[str]:
        yield from pieces(add(chunks) or "", size)

    async def acut(chunks: AsyncIterator[str]) -> AsyncIterator[str]:
        for piece in pieces("".join([chunk async for chunk in chunks]), size):
            yield piece

    return RunnableGenerator(cut, acut)


def upper() -> Any_:
    """Works piece by piece."""

    def up(chunks: Iterator[str]) -> Iterator[str]:
        for chunk in chunks:
            yield chunk.upper()

    async def aup(chunks: AsyncIterator[str]) -> AsyncIterator[str]:
        async for chunk in chunks:
            yield chunk.upper()

    return RunnableGenerator(up, aup)


class Echo(BaseChatModel):
    """Says what was said to it, two letters a token."""

    @property
    def _llm_type(self) -> str:
        return "echo"

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage(messages[-1].text))])

    def _stream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[Any]:
        for piece in pieces(messages[-1].text, 2):
            yield AIMessageChunk(piece)

    async def _astream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[Any]:
        for piece in pieces(messages[-1].text, 2):
            yield AIMessageChunk(piece)


def written(value: dict[str, str]) -> str:
    return ",".join(f"{key}={value[key]}" for key in sorted(value))


def fail(_: Any) -> Any:
    raise Broken


def build(shape: Shape) -> Any_:
    kind, *parts = shape
    match kind:
        case "lambda":
            return both(lambda text: f"{text}{parts[0]}", f"say_{parts[0]}")
        case "cut":
            return cutter(parts[0])
        case "upper":
            return upper()
        case "model":
            return Echo() | StrOutputParser()
        case "same":
            return RunnablePassthrough()
        case "sequence":
            return build(parts[0]) | build(parts[1])
        case "parallel":
            return RunnableParallel(a=build(parts[0]), b=build(parts[1])) | both(written, "written")
        case "assign":
            part = both(lambda whole: whole["text"], "text_of") | build(parts[0])
            wrap = both(lambda text: {"text": text}, "wrap")
            return wrap | RunnablePassthrough.assign(more=part) | both(written, "written")
        case "branch":
            is_short = both(lambda text: len(text) < 4, "is_short")
            return RunnableBranch((is_short, build(parts[0])), build(parts[1]))
        case "fallback":
            return both(fail, "fail").with_fallbacks([build(parts[0])])
        case "fail":
            return both(fail, "fail")
    raise AssertionError(kind)


LEAVES: st.SearchStrategy[Shape] = st.one_of(
    st.tuples(st.just("lambda"), st.sampled_from("xyz")),
    st.tuples(st.just("cut"), st.integers(1, 3)),
    st.tuples(st.just("upper")),
    st.tuples(st.just("model")),
    st.tuples(st.just("same")),
)


def grown(inner: st.SearchStrategy[Shape]) -> st.SearchStrategy[Shape]:
    pairs = st.sampled_from(["sequence", "sequence", "parallel", "branch"])
    singles = st.sampled_from(["assign", "fallback"])
    return st.tuples(pairs, inner, inner) | st.tuples(singles, inner)


SHAPES = st.recursive(LEAVES, grown, max_leaves=6)
FAILING = st.recursive(LEAVES | st.just(("fail",)), grown, max_leaves=6)
TEXTS = st.text("abc", min_size=1, max_size=5)
MODES = pytest.mark.parametrize("mode", ["invoke", "stream"])
drawn = settings(max_examples=40, deadline=None)


# -- what is told of a run --------------------------------------------------------------------------------------------


class Recorder:
    """A listener that wants everything and keeps it."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def interest(self, run: Run) -> int:
        return EVERYTHING

    def feed(self, event: Event) -> None:
        self.events.append(event)


def frozen(value: Any) -> Any:
    """A value by which outputs are compared: dicts without their order, messages without their ids, errors by class."""
    if value is MISSING:
        return "missing"
    if isinstance(value, BaseMessage):
        return type(value).__name__, value.content
    if isinstance(value, list):
        return tuple(frozen(each) for each in value)
    if isinstance(value, dict):
        return frozenset((key, frozen(each)) for key, each in value.items())
    return type(value).__name__ if isinstance(value, BaseException) else value


def path(run: Run | None) -> tuple[str, ...]:
    return () if run is None else (*path(run.parent), run.name)


def told(events: list[Event]) -> Counter[Any]:
    return Counter((path(each.run), each.kind, tuple(sorted(each.run.tags)), frozen(each.data)) for each in events)


def run_sync(chain: Any_, text: str, mode: str, recorder: Recorder | None) -> Any:
    config: Any = {"callbacks": [recorder]} if recorder else None
    return chain.invoke(text, config) if mode == "invoke" else list(chain.stream(text, config))


def run_async(chain: Any_, text: str, mode: str, recorder: Recorder | None) -> Any:
    config: Any = {"callbacks": [recorder]} if recorder else None

    async def collect() -> Any:
        return await chain.ainvoke(text, config) if mode == "invoke" else [c async for c in chain.astream(text, config)]

    return asyncio.run(collect())


def assert_ordered(events: list[Event]) -> None:
    """Start, then chunks, then one end; a parent's start before, and its end after, those of what it runs."""
    seen: dict[Run, int] = {}
    for event in events:
        run, kind = event.run, event.kind
        if kind == START:
            assert run not in seen, "started twice"
            assert run.parent is None or seen.get(run.parent) == START, "the parent was not running"
            seen[run] = START
        elif kind == STREAM:
            assert seen[run] == START, "a chunk outside of the run"
        elif kind in (END, ERROR):
            assert seen[run] == START, "ended twice, or before its start"
            assert not [each for each in seen if each.parent is run and seen[each] == START], "a child still runs"
            seen[run] = kind
    assert seen and START not in seen.values(), "a run has not ended"


@MODES
@drawn
@given(shape=SHAPES, text=TEXTS)
def test_both_colours_tell_the_same_in_order(mode: str, shape: Shape, text: str) -> None:
    chain = build(shape)
    sync, coloured = Recorder(), Recorder()
    run_sync(chain, text, mode, sync)
    run_async(chain, text, mode, coloured)
    assert_ordered(sync.events)
    assert_ordered(coloured.events)
    assert told(sync.events) == told(coloured.events)


@drawn
@given(shape=SHAPES, text=TEXTS)
def test_watching_changes_no_result(shape: Shape, text: str) -> None:
    chain = build(shape)
    whole = chain.invoke(text)
    for run in (run_sync, run_async):
        assert run(chain, text, "invoke", None) == run(chain, text, "invoke", Recorder()) == whole
        plain, watched = run(chain, text, "stream", None), run(chain, text, "stream", Recorder())
        assert Counter(plain) == Counter(watched)
        assert fold_chunks(plain) == fold_chunks(watched) == whole

    async def events() -> list[dict[str, Any]]:
        return [event async for event in chain.astream_events(text)]

    last = asyncio.run(events())[-1]
    assert last["event"] == "on_chain_end" and last["parent_ids"] == []
    assert last["data"]["output"] == whole


@MODES
@drawn
@given(shape=FAILING, text=TEXTS)
def test_a_failure_is_the_same_however_it_is_run(mode: str, shape: Shape, text: str) -> None:
    chain = build(shape)

    def outcome(run: Any, recorder: Recorder | None) -> str:
        try:
            run(chain, text, mode, recorder)
        except Broken:
            return "broken"
        return "fine"

    recorders = Recorder(), Recorder()
    outcomes = {outcome(run_sync, None), outcome(run_async, None)}
    outcomes |= {outcome(run_sync, recorders[0]), outcome(run_async, recorders[1])}
    assert len(outcomes) == 1
    for recorder in recorders:
        assert_ordered(recorder.events)
        assert recorder.events[-1].kind == (ERROR if outcomes == {"broken"} else END)


@drawn
@given(shape=FAILING, text=TEXTS)
def test_a_stream_of_events_ends_in_one_way(shape: Shape, text: str) -> None:
    chain = build(shape)
    seen: list[str] = []

    async def collect() -> bool:
        try:
            async for event in chain.astream_events(text):
                seen.append(event["event"])
        except Broken:
            return False
        return True

    fine = asyncio.run(collect())
    assert seen.count("on_error") == (0 if fine else 1)
    assert seen[-1] == ("on_chain_end" if fine else "on_error")


@drawn
@given(shape=FAILING, texts=st.lists(TEXTS, max_size=4), limit=st.sampled_from([None, 1, 2]))
def test_a_batch_is_each_by_itself(shape: Shape, texts: list[str], limit: int | None) -> None:
    chain = build(shape)
    config: Any = {"max_concurrency": limit}

    def alone(text: str) -> Any:
        try:
            return chain.invoke(text)
        except Broken as error:
            return error

    async def completed() -> dict[int, Any]:
        return dict([each async for each in chain.abatch_as_completed(texts, config, return_exceptions=True)])

    def shown(outputs: Iterable[Any]) -> list[Any]:
        return [frozen(each) for each in outputs]

    expected = shown(map(alone, texts))
    assert shown(chain.batch(texts, config, return_exceptions=True)) == expected
    assert shown(asyncio.run(chain.abatch(texts, config, return_exceptions=True))) == expected
    for found in (dict(chain.batch_as_completed(texts, config, return_exceptions=True)), asyncio.run(completed())):
        assert shown(found[index] for index in range(len(texts))) == expected and len(found) == len(texts)


# -- configs ----------------------------------------------------------------------------------------------------------

KEYS = st.sampled_from("pqr")
CONFIGS: st.SearchStrategy[RunnableConfig] = st.fixed_dictionaries(  # type: ignore[assignment]
    {},
    optional={
        "tags": st.lists(KEYS, max_size=3),
        "metadata": st.dictionaries(KEYS, st.integers(), max_size=2),
        "configurable": st.dictionaries(KEYS, st.integers(), max_size=2),
        "recursion_limit": st.sampled_from([7, 25, 40]),
        "max_concurrency": st.none() | st.integers(1, 4),
        "run_name": st.sampled_from(["n", "m"]),
    },
)


@given(CONFIGS, CONFIGS, CONFIGS)
def test_merging_configs_is_associative(a: Any, b: Any, c: Any) -> None:
    assert merge_configs(merge_configs(a, b), c) == merge_configs(a, merge_configs(b, c)) == merge_configs(a, b, c)


@given(CONFIGS)
def test_nothing_merged_changes_nothing(config: Any) -> None:
    whole = merge_configs(config)
    assert merge_configs(whole) == merge_configs(None, config) == merge_configs(config, None, {}) == whole
    assert merge_configs(config, config) == whole


@given(CONFIGS, CONFIGS)
def test_merging_unites_and_lets_the_later_win(a: Any, b: Any) -> None:
    before = copy.deepcopy((a, b))
    merged = merge_configs(a, b)
    assert (a, b) == before
    assert merged["tags"] == sorted({*a.get("tags", ()), *b.get("tags", ())})
    for key in ("metadata", "configurable"):
        assert merged[key] == {**a.get(key, {}), **b.get(key, {})}  # type: ignore[literal-required]
    for key in ("max_concurrency", "run_name"):
        assert merged.get(key) == (b.get(key) or a.get(key))
    limits = [each["recursion_limit"] for each in (b, a) if "recursion_limit" in each]
    expected = next((limit for limit in limits if limit != 25), 25 if limits else None)
    assert merged.get("recursion_limit") == expected
