from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from colours import Colour, colour  # noqa: F401 - a fixture
from pydantic import BaseModel

from millstream import (
    AIMessage,
    BaseCache,
    BaseChatModel,
    ChatGeneration,
    ChatOpenAI,
    ChatResult,
    HumanMessage,
    InMemoryCache,
    get_llm_cache,
    set_llm_cache,
)
from millstream.chat import caches
from millstream.chat.cached_call import key_of
from millstream.testing import ScriptedChatModel

USAGE = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}


class Counting(BaseChatModel):
    """Answers with the number of the call."""

    calls: int = 0
    temperature: float | None = None
    usage: dict[str, int] | None = None

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        self.calls += 1
        content = [{"type": "text", "text": str(self.calls)}]
        return ChatResult(generations=[ChatGeneration(message=AIMessage(content, usage_metadata=self.usage))])


@pytest.fixture(autouse=True)
def no_cache_for_all() -> Iterator[None]:
    yield
    set_llm_cache(None)


def test_the_same_call_is_answered_once(colour: Colour) -> None:  # noqa: F811
    async def body(c: Colour) -> None:
        model = Counting(cache=InMemoryCache(), usage=USAGE)
        first, again, other = [await c.invoke(model, text) for text in ("q", "q", "p")]
        assert [first.text, again.text, other.text] == ["1", "1", "2"]
        assert again.id == first.id
        assert (first.usage_metadata, again.usage_metadata) == (USAGE, {**USAGE, "total_cost": 0})

    colour.run(body)


def test_an_answer_without_usage_says_that_it_cost_nothing() -> None:
    model = Counting(cache=InMemoryCache())
    model.invoke("q")
    hit = model.invoke("q")
    assert hit.usage_metadata == {"total_cost": 0}
    assert AIMessage.model_validate(hit.model_dump()) == hit


def test_what_is_given_out_cannot_change_what_is_kept() -> None:
    model = Counting(cache=InMemoryCache(), usage=USAGE)
    for _ in range(3):
        answer = model.invoke("q")
        assert answer.content == [{"type": "text", "text": "1"}]
        answer.content[0]["text"] = "changed"  # type: ignore[index]
        answer.additional_kwargs["x"] = 1


def test_what_tells_calls_apart() -> None:
    model = Counting(cache=InMemoryCache())

    def asked(value: Any, **kwargs: Any) -> int:
        before = model.calls
        model.invoke(value, **kwargs)
        return model.calls - before

    assert asked("q") == 1
    assert asked([HumanMessage("q", id="another")]) == 0
    assert asked([HumanMessage("q", name="ann")]) == 1
    assert asked("q", stop=["x"]) == 1
    assert asked("q", tools=[{"name": "f"}]) == 1
    assert asked("q", tools=[{"name": "f"}]) == 0
    model.temperature = 0.5
    assert asked("q") == 1
    assert asked([HumanMessage([{"type": "image", "data": b"1"}])]) == 1
    assert asked([HumanMessage([{"type": "image", "data": b"1"}])]) == 0


def test_what_earlier_answers_cost_does_not_count() -> None:
    model = Counting(cache=InMemoryCache(), usage=USAGE)
    for _ in range(2):
        talk: list[Any] = [HumanMessage("a")]
        for question in ("b", "c"):
            talk += [model.invoke(talk), HumanMessage(question)]
    assert model.calls == 2


class Form(BaseModel):
    a: int


def test_a_call_without_a_text_for_it_is_not_cached() -> None:
    model = Counting(cache=InMemoryCache())
    for _ in range(2):
        model.invoke("q", client=object())
    assert model.calls == 2
    for _ in range(2):
        model.invoke("q", form=Form, example=Form(a=1))
    assert model.calls == 3
    model.invoke("q", form=Form, example=Form(a=2))
    assert model.calls == 4


def test_models_that_answer_differently_do_not_share() -> None:
    class Other(Counting):
        pass

    keys = {
        key_of(model, [HumanMessage("q")], None, {})
        for model in (
            Counting(),
            Counting(temperature=0.1),
            Other(),
            ChatOpenAI(model="a", api_key="sk-1"),
            ChatOpenAI(model="a", api_key="sk-1", top_p=0.5),
            ChatOpenAI(model="a", api_key="sk-1", base_url="http://localhost:1"),
        )
    }
    assert len(keys) == 6
    assert None not in keys
    assert "sk-1" not in str(keys)
    same = [ChatOpenAI(model="a", api_key=key, timeout=9, max_retries=n) for n, key in enumerate(["sk-1", "sk-2"])]
    assert len({key_of(model, [HumanMessage("q")], None, {}) for model in same}) == 1


def test_the_cache_for_all(colour: Colour) -> None:  # noqa: F811
    async def body(c: Colour) -> None:
        everybodys = InMemoryCache()
        set_llm_cache(everybodys)
        assert get_llm_cache() is everybodys
        for options, calls in (({}, 1), ({"cache": True}, 0), ({"cache": False}, 2), ({"cache": InMemoryCache()}, 1)):
            model = Counting(**options)  # type: ignore[arg-type]
            for _ in range(2):
                await c.invoke(model, "q")
            assert model.calls == calls
        set_llm_cache(None)
        with pytest.raises(ValueError, match="set_llm_cache"):
            await c.invoke(Counting(cache=True), "q")
        with pytest.raises(ValueError, match="must be a bool or a cache"):
            await c.invoke(Counting(cache={}), "q")

    colour.run(body)


def test_streams_pass_the_cache_by(colour: Colour) -> None:  # noqa: F811
    async def body(c: Colour) -> None:
        cache = InMemoryCache()
        model = ScriptedChatModel([["a", "b"], ["c", "d"]], cache=cache)
        for text in ("ab", "cd"):
            assert "".join([chunk.text async for chunk in c.stream(model, "q")]) == text
        assert cache._answers == {}

    colour.run(body)


def test_a_watched_call_finds_what_an_unwatched_one_left() -> None:
    model = ScriptedChatModel([["o", "ne"], ["tw", "o"]], cache=InMemoryCache())

    async def watched() -> list[str]:
        from millstream import RunnableLambda

        async def ask(value: Any) -> Any:
            return await model.ainvoke(value)

        return [event["event"] async for event in RunnableLambda(ask).astream_events("q", include_types=["chat_model"])]

    streamed = asyncio.run(watched())
    assert streamed.count("on_chat_model_stream") > 1
    assert model.invoke("q").text == "one"
    assert asyncio.run(watched()) == ["on_chat_model_start", "on_chat_model_end"]


class Minimal(BaseCache):
    """As a user writes it, over something slow."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], Sequence[Any]] = {}

    def lookup(self, prompt: str, llm_string: str) -> Sequence[Any] | None:
        return self.kept.get((prompt, llm_string))

    def update(self, prompt: str, llm_string: str, return_val: Sequence[Any]) -> None:
        self.kept[prompt, llm_string] = return_val

    def clear(self, namespaces: Any = None, **kwargs: Any) -> None:
        self.kept.clear()


def test_a_users_cache(colour: Colour) -> None:  # noqa: F811
    async def body(c: Colour) -> None:
        cache = Minimal()
        model = Counting(cache=cache)
        for _ in range(2):
            assert (await c.invoke(model, "q")).text == "1"
        if c.sync:
            cache.clear()
        else:
            await cache.aclear()
        assert (await c.invoke(model, "q")).text == "2"
        with pytest.raises(NotImplementedError, match="no cache for graphs"):
            cache.get([])

    colour.run(body)


def test_a_cache_that_fails_fails_the_run(colour: Colour) -> None:  # noqa: F811
    async def body(c: Colour) -> None:
        with pytest.raises(NotImplementedError, match="lookup"):
            await c.invoke(Counting(cache=BaseCache()), "q")

    colour.run(body)


def test_the_oldest_answer_makes_room() -> None:
    cache = InMemoryCache(maxsize=2)
    for prompt in ("a", "b", "a", "c"):
        cache.update(prompt, "m", [prompt])
    assert [cache.lookup(prompt, "m") for prompt in ("a", "b", "c")] == [None, ["b"], ["c"]]
    cache.clear()
    assert cache.lookup("c", "m") is None
    with pytest.raises(ValueError, match="maxsize"):
        InMemoryCache(maxsize=0)


def test_values_of_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(caches.time, "monotonic", lambda: now)

    async def main(cache: InMemoryCache, sync: bool) -> None:
        nonlocal now

        async def get(*keys: Any) -> Any:
            return cache.get(keys) if sync else await cache.aget(keys)

        value = [1]
        pairs: Any = {(("n", "a"), "k"): (value, None), (("n", "b"), "k"): (value, 5)}
        cache.set(pairs) if sync else await cache.aset(pairs)
        value.append(2)
        found = await get((("n", "a"), "k"), (("n", "b"), "k"), (("n", "c"), "k"))
        assert found == {(("n", "a"), "k"): [1], (("n", "b"), "k"): [1]}
        found[("n", "a"), "k"].append(3)
        now += 5
        assert await get((("n", "a"), "k"), (("n", "b"), "k")) == {(("n", "a"), "k"): [1]}
        cache.update("p", "m", ["kept"])
        cache.clear([("n", "a")]) if sync else await cache.aclear([("n", "a")])
        assert await get((("n", "a"), "k")) == {}
        assert cache.lookup("p", "m") == ["kept"]

    for sync in (True, False):
        asyncio.run(main(InMemoryCache(), sync))
