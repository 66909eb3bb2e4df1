"""`astream_events`: filters, the rule on the root's input, and what a failure looks like."""

from __future__ import annotations

import asyncio
import datetime
import json
import re
from typing import Any

import pytest

from millstream import (
    BaseCallbackHandler,
    ChatPromptTemplate,
    GenericFakeChatModel,
    RunnableGenerator,
    RunnableLambda,
    RunnableParallel,
    RunnablePassthrough,
    StrOutputParser,
    adispatch_custom_event,
)
from millstream.errors import Unsupported
from millstream.spine.views.events import EventFilter


def told(chain: Any, value: Any = 1, **filters: Any) -> list[dict[str, Any]]:
    async def collect() -> list[dict[str, Any]]:
        return [event async for event in chain.astream_events(value, **filters)]

    return asyncio.run(collect())


async def plus(x: int) -> int:
    await adispatch_custom_event("note", {"x": x})
    return x + 1


CHAIN = RunnableLambda(plus, name="first").with_config(tags=["t1"]) | RunnableLambda(plus, name="second")


def test_the_keys_of_an_event() -> None:
    event = told(CHAIN)[0]
    assert sorted(event) == ["data", "event", "metadata", "name", "parent_ids", "run_id", "tags"]
    assert event["data"] == {"input": 1} and event["parent_ids"] == []
    assert json.loads(json.dumps(event))["name"] == "RunnableSequence"


def test_every_event_says_when_it_happened() -> None:
    before = datetime.datetime.now(datetime.UTC)
    events = told(CHAIN)
    times = [event["created_at"] for event in events]
    assert all(event.get("created_at") is not None and "created_at" in event for event in events)
    assert times == sorted(times) and before <= times[0] <= times[-1] <= datetime.datetime.now(datetime.UTC)
    assert times[0].tzinfo is datetime.UTC
    with pytest.raises(KeyError):
        events[0]["created"]


@pytest.mark.parametrize("filters", [{}, {"include_types": ["chat_model"]}, {"include_types": ["parser"]}])
def test_a_stream_heard_by_others_too_has_the_same_events(filters: dict[str, Any]) -> None:
    # With one listener chunks are told without an event each.
    def shown(config: Any) -> list[str]:
        model = GenericFakeChatModel(messages=iter(["flour and water"]))
        chain = ChatPromptTemplate.from_template("{x}").with_config(tags=["t"]) | model | StrOutputParser()
        events = told(chain, {"x": "bread"}, config=config, **filters)
        ids: dict[str, str] = {}
        return [
            re.sub(
                "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
                lambda id: ids.setdefault(id[0], str(len(ids))),
                repr(event),
            )
            for event in events
        ]

    alone = shown(None)
    assert alone == shown({"callbacks": [BaseCallbackHandler()]})
    assert sum("_stream'" in event for event in alone) >= 5


def test_events_share_nothing_that_a_consumer_may_change() -> None:
    async def spoil() -> list[dict[str, Any]]:
        seen = []
        async for event in RunnableLambda(pieces).with_config(tags=["t"], metadata={"m": 1}).astream_events(3):
            seen.append({**event, "tags": list(event["tags"]), "metadata": dict(event["metadata"])})
            event["tags"].clear()
            event["metadata"].clear()
            event["data"].clear()
        return seen

    events = asyncio.run(spoil())
    assert len(events) == 5
    assert all(event["tags"] == ["t"] and event["metadata"] == {"m": 1} for event in events)


async def pieces(x: int) -> Any:
    for each in range(x):
        yield each


def test_includes_are_a_union_and_excludes_all_count() -> None:
    assert {e["name"] for e in told(CHAIN, include_names=["second"], include_tags=["t1"])} == {
        "first",
        "second",
        "note",
    }
    assert {e["name"] for e in told(CHAIN, include_names=["first", "second"], exclude_tags=["t1"])} == {"second"}
    assert told(CHAIN, include_names=[]) == []
    assert {e["name"] for e in told(CHAIN, include_types=["note"])} == {"note"}


def test_match_all_is_the_intersection() -> None:
    names = {e["name"] for e in told(CHAIN, include_types=["chain"], include_tags=["t1"], match="all")}
    assert names == {"first"}


@pytest.mark.parametrize("kind", ["names", "types", "tags"])
def test_filter_without_anything_passes_everything(kind: str) -> None:
    assert EventFilter().passes("n", "chain", [])
    assert not EventFilter(**{f"exclude_{kind}": ["n", "chain", "t"]}).passes("n", "chain", ["t"])


def test_the_first_event_delivered_shows_the_root_input_and_its_end_has_none() -> None:
    events = told(CHAIN, include_names=["second"])
    assert events[0]["data"] == {"input": 1}
    assert "input" not in events[-1]["data"]


def test_a_failure_ends_in_one_error_event_and_raises() -> None:
    def fail(x: int) -> int:
        raise ValueError("no")

    chain = RunnableLambda(plus, name="first") | RunnableLambda(fail)
    seen: list[dict[str, Any]] = []

    async def collect() -> None:
        async for event in chain.astream_events(1, include_names=["nobody"]):
            seen.append(event)

    with pytest.raises(ValueError, match="no") as caught:
        asyncio.run(collect())
    (error,) = seen
    assert (error["event"], error["name"], error["parent_ids"]) == ("on_error", "RunnableSequence", [])
    assert error["data"]["error"] is caught.value
    assert caught.value.__notes__ == ["while running 'fail' (chain)"]


def test_other_versions() -> None:
    async def read(version: str) -> None:
        with pytest.raises(Unsupported, match=f"not '{version}'; leave `version` out"):
            [event async for event in CHAIN.astream_events(1, version=version)]

    async def awaited() -> None:
        with pytest.raises(Unsupported, match="not 'v3'"):
            await CHAIN.astream_events(1, version="v3")  # type: ignore[misc]

    asyncio.run(read("v1"))
    asyncio.run(awaited())
    with pytest.raises(TypeError, match="write `async for item in"):
        for _ in CHAIN.astream(1):  # type: ignore[attr-defined]
            pass


def short(events: list[dict[str, Any]]) -> list[str]:
    return [f"{event['event'].split('_')[-1]} {event['name']}" for event in events]


async def same(x: Any) -> Any:
    return x


def test_a_mapper_begins_behind_the_first_chunk_and_is_pulled_when_all_has_passed() -> None:
    async def letters(chunks: Any) -> Any:
        async for chunk in chunks:
            yield chunk["q"]
            yield "!"

    mapper = RunnableGenerator(letters)
    chain = RunnableLambda(same, name="before") | RunnablePassthrough.assign(a=mapper) | RunnableLambda(same, name="y")
    assert short(told(chain, {"q": "w"})) == [
        "start RunnableSequence",
        "start before",
        "stream before",
        "start RunnableAssign<a>",
        "stream RunnableAssign<a>",
        "start RunnableParallel<a>",
        "start y",
        "start letters",
        "stream letters",
        "stream RunnableParallel<a>",
        "end before",
        "stream RunnableAssign<a>",
        "stream letters",
        "stream RunnableParallel<a>",
        "stream RunnableAssign<a>",
        "end letters",
        "end RunnableParallel<a>",
        "end RunnableAssign<a>",
        "stream y",
        "stream RunnableSequence",
        "end y",
        "end RunnableSequence",
    ]


def test_a_branch_ends_after_its_last_chunk_was_passed_on() -> None:
    both = RunnableParallel(a=RunnableLambda(same, name="a"), b=RunnablePassthrough())
    assert short(told(both)) == [
        "start RunnableParallel<a,b>",
        "start a",
        "stream a",
        "start RunnablePassthrough",
        "stream RunnablePassthrough",
        "stream RunnableParallel<a,b>",
        "stream RunnableParallel<a,b>",
        "end a",
        "end RunnablePassthrough",
        "end RunnableParallel<a,b>",
    ]


@pytest.mark.parametrize("nothing", [None, 0, "", []])
def test_the_input_of_a_step_at_its_end(nothing: Any) -> None:
    async def source(_: Any) -> Any:
        yield nothing

    async def ends(given: Any) -> list[Any]:
        chain = RunnableGenerator(source, name="source") | RunnableLambda(lambda x: 1, name="next")
        events = [event async for event in chain.astream_events(given)]
        return [event["data"]["input"] for event in events if event["event"] == "on_chain_end" and event["parent_ids"]]

    # The source reads nothing of its input, and had one all the same.
    assert asyncio.run(ends("given")) == ["given", {}]
    assert asyncio.run(ends(nothing)) == [{}, {}]
