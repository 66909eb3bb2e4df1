from __future__ import annotations

import socket
from typing import Any

import pytest
from colours import Colour, colour  # noqa: F401 - a fixture
from hypothesis import given
from hypothesis import strategies as st

from millstream import (
    AIMessage,
    BaseMessage,
    FakeListChatModel,
    HumanMessage,
    RunnableLambda,
    SystemMessage,
    ToolMessage,
    convert_to_openai_messages,
    get_buffer_string,
    trim_messages,
)

CONVERSATION: list[Any] = [
    SystemMessage("be brief", id="s"),
    HumanMessage("one two", id="1"),
    AIMessage("three", id="2"),
    HumanMessage("four five six", id="3"),
    AIMessage("", id="4", tool_calls=[{"name": "f", "args": {}, "id": "c"}]),
    ToolMessage("seven", tool_call_id="c", id="5"),
    AIMessage("eight nine", id="6"),
]


def words(messages: list[Any]) -> int:
    return sum(max(1, len(message.text.split())) for message in messages)


def ids(**options: Any) -> list[str | None]:
    options.setdefault("token_counter", words)
    return [message.id for message in trim_messages(CONVERSATION, **options)]


def test_the_last_that_fit() -> None:
    assert ids(max_tokens=4) == ["4", "5", "6"]
    assert ids(max_tokens=100) == ["s", "1", "2", "3", "4", "5", "6"]


def test_the_first_that_fit() -> None:
    assert ids(max_tokens=5, strategy="first") == ["s", "1", "2"]
    assert ids(max_tokens=5, strategy="first", end_on=HumanMessage) == ["s", "1"]


def test_no_room_keeps_nothing() -> None:
    assert ids(max_tokens=0) == []
    assert ids(max_tokens=0, strategy="first") == []
    # Even what costs nothing.
    assert trim_messages(CONVERSATION, max_tokens=0, token_counter=lambda messages: 0) == []


def test_a_leading_system_message_may_be_kept_whatever_it_costs() -> None:
    assert ids(max_tokens=6, include_system=True) == ["s", "4", "5", "6"]
    assert ids(max_tokens=1, include_system=True) == ["s"]


def test_what_the_kept_part_must_start_and_end_on() -> None:
    assert ids(max_tokens=9, start_on="human") == ["3", "4", "5", "6"]
    assert ids(max_tokens=9, start_on=["human", "system"], end_on=("human", ToolMessage)) == ["1", "2", "3", "4", "5"]
    assert ids(max_tokens=4, start_on="human", include_system=True) == ["s"]
    assert ids(max_tokens=4, end_on="function") == []


def test_options_that_contradict_the_strategy() -> None:
    with pytest.raises(ValueError, match="include_system"):
        ids(max_tokens=3, strategy="first", include_system=True)
    with pytest.raises(ValueError, match="start_on"):
        ids(max_tokens=3, strategy="first", start_on="human")
    with pytest.raises(ValueError, match="strategy"):
        ids(max_tokens=3, strategy="middle")


def of_one(message: BaseMessage) -> int:
    return len(message.text.split())


def test_every_kind_of_counter() -> None:
    assert ids(max_tokens=2, token_counter=len) == ["5", "6"]
    assert ids(max_tokens=3, token_counter=of_one) == ["4", "5", "6"]
    assert ids(max_tokens=9, token_counter="approximate") == ["6"]
    assert ids(max_tokens=9, token_counter=FakeListChatModel(responses=[])) == ["6"]
    for wrong in ("exact", 7):
        with pytest.raises(ValueError, match="token_counter"):
            ids(max_tokens=9, token_counter=wrong)


@pytest.mark.parametrize(("strategy", "expected"), [("first", "a b\nc\n"), ("last", "d e\nf")])
def test_a_message_cut_between_lines(strategy: Any, expected: str) -> None:
    message = HumanMessage("a b\nc\nd e\nf", id="x")
    (kept,) = trim_messages([message], max_tokens=3, token_counter=words, strategy=strategy, allow_partial=True)
    assert (kept.content, kept.id) == (expected, "x")
    assert message.content == "a b\nc\nd e\nf"


@pytest.mark.parametrize(("strategy", "expected"), [("first", ["a b", "c"]), ("last", ["c", "d e"])])
def test_a_message_cut_between_blocks(strategy: Any, expected: list[str]) -> None:
    message = AIMessage(
        [{"type": "text", "text": "a b"}, {"type": "text", "text": "c"}, {"type": "text", "text": "d e"}]
    )
    count: Any = lambda messages: sum(len(block["text"].split()) for m in messages for block in m.content)  # noqa: E731
    (kept,) = trim_messages([message], max_tokens=4, token_counter=count, strategy=strategy, allow_partial=True)
    assert [block["text"] for block in kept.content] == expected  # type: ignore[index]


def test_a_block_that_does_not_fit_is_cut_between_lines() -> None:
    message = AIMessage([{"type": "text", "text": "a b\nc d"}, {"type": "text", "text": "e f g"}])
    (kept,) = trim_messages([message], max_tokens=2, token_counter=words, strategy="first", allow_partial=True)
    assert kept.content == "a b\n"
    assert trim_messages([message], max_tokens=1, token_counter=words, strategy="first", allow_partial=True) == []


class Splitter:
    def split_text(self, text: str) -> list[str]:
        return [word + " " for word in text.split()]


@pytest.mark.parametrize("splitter", [Splitter(), Splitter().split_text])
def test_texts_are_cut_as_the_splitter_says(splitter: Any) -> None:
    kept = trim_messages(
        [HumanMessage("a b c")], max_tokens=2, token_counter=words, allow_partial=True, text_splitter=splitter
    )
    assert [message.content for message in kept] == ["b c "]


def test_as_a_step_of_a_chain(colour: Colour) -> None:  # noqa: F811
    async def body(c: Colour) -> Any:
        trimmer = trim_messages(max_tokens=2, token_counter=words)
        assert trimmer.get_name() == "trim_messages"
        return await c.invoke(RunnableLambda(lambda _: CONVERSATION) | trimmer, None)

    assert [message.id for message in colour.run(body)] == ["6"]


def test_messages_in_any_accepted_form() -> None:
    assert trim_messages([("human", "a"), "b"], max_tokens=1, token_counter=len) == [HumanMessage("b")]


def test_the_counter_is_asked_about_few_lists() -> None:
    asked = 0

    def count(messages: list[BaseMessage]) -> int:
        nonlocal asked
        asked += 1
        return len(messages)

    kept = trim_messages([HumanMessage(str(n)) for n in range(1000)], max_tokens=700, token_counter=count)
    assert (len(kept), kept[0].content) == (700, "300")
    assert asked < 15


@given(st.lists(st.integers(1, 5), max_size=12), st.integers(0, 30), st.booleans())
def test_what_is_kept_fits_and_one_more_would_not(sizes: list[int], room: int, first: bool) -> None:
    messages = [HumanMessage("w " * size) for size in sizes]
    strategy: Any = "first" if first else "last"
    kept = trim_messages(messages, max_tokens=room, token_counter=words, strategy=strategy)
    n = len(kept)
    assert kept == (messages[:n] if first else messages[len(messages) - n :])
    assert words(kept) <= room
    if n < len(messages):
        assert words(messages[: n + 1] if first else messages[len(messages) - n - 1 :]) > room


def test_a_model_counts_tokens() -> None:
    model = FakeListChatModel(responses=[])
    assert model.get_num_tokens("12345") == 2
    assert model.get_num_tokens_from_messages([HumanMessage("abcd" * 5)]) == 9
    assert model.get_num_tokens_from_messages([HumanMessage("abcd" * 5)], tools=[of_text]) > 30
    exact = FakeListChatModel(responses=[], custom_get_token_ids=lambda text: [ord(c) for c in text])
    assert exact.get_num_tokens("12345") == 5
    assert exact.get_num_tokens_from_messages(["ab"]) == len("Human: ab")


def of_text(text: str) -> str:
    """Say it."""
    return text


def test_an_image_is_never_fetched() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x.png"
        message = HumanMessage(
            [{"type": "image_url", "image_url": {"url": url}}, {"type": "image", "url": url}, "text"]
        )
        trim_messages([message, message], max_tokens=200, token_counter="approximate", allow_partial=True)
        FakeListChatModel(responses=[]).get_num_tokens_from_messages([message])
        assert url in str(convert_to_openai_messages([message]))
        assert all((get_buffer_string([message]), message.pretty_repr(), message.content_blocks))
        with pytest.raises(BlockingIOError):
            server.accept()
