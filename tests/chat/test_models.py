"""Chat models as users write them: fields, the forms they may have, ids, metadata, streaming switches, errors."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from colours import Colour, colour

from millstream import (
    AIMessage,
    AIMessageChunk,
    BaseChatModel,
    ChatGeneration,
    ChatGenerationChunk,
    ChatPromptTemplate,
    ChatResult,
    HumanMessage,
    InvalidArgument,
    RunnableLambda,
    SimpleChatModel,
    StringPromptValue,
    SystemMessage,
    Unsupported,
)
from millstream.spine.events import END, ERROR, START, STREAM, TOKENS, TOOL_CALL, Event, Tap
from millstream.testing import ScriptedChatModel


class Echo(BaseChatModel):
    """Tells how it was called."""

    greeting: str = "hi"
    seen: list[Any] = []  # noqa: RUF012 - the way users write it

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        self.seen.append({"messages": messages, "stop": stop, "kwargs": kwargs, "thread": threading.get_ident()})
        message = AIMessage(f"{self.greeting} {messages[-1].text}", response_metadata={"own": 1})
        generation = ChatGeneration(message=message, generation_info={"finish": "ok", "own": 0})
        return ChatResult(generations=[generation], llm_output={"tokens": 3, "finish": "no"})


class Watcher:
    """A listener that notes everything that it asked for."""

    def __init__(self, mask: int = START | STREAM | END | ERROR | TOOL_CALL) -> None:
        self.events: list[Event] = []
        self.tap = Tap(lambda run: mask if run.type == "chat_model" else 0, self.events.append)

    @property
    def config(self) -> Any:
        return {"callbacks": [self.tap]}

    def kinds(self) -> list[int]:
        return [event.kind for event in self.events]

    def of(self, kind: int) -> list[Any]:
        return [event.data for event in self.events if event.kind == kind]


__all__ = ["colour"]  # a fixture

CALLS = [
    AIMessageChunk("let me see"),
    AIMessageChunk("", tool_call_chunks=[{"name": "add", "args": '{"a": ', "id": "c1", "index": 0}]),
    AIMessageChunk("", tool_call_chunks=[{"name": None, "args": "1}", "id": None, "index": 0}]),
    AIMessageChunk("", tool_call_chunks=[{"name": "now", "args": "", "id": "c2", "index": 1}]),
    AIMessageChunk("", usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}),
]
ADD = {"name": "add", "args": {"a": 1}, "id": "c1", "type": "tool_call"}
NOW = {"name": "now", "args": {}, "id": "c2", "type": "tool_call"}


def test_fields_are_given_by_keyword_and_assigned_to() -> None:
    model = Echo(greeting="hey")
    assert model.invoke("you").content == "hey you"
    model.greeting = "bye"
    assert model.invoke("you").content == "bye you"
    assert Echo().seen is not Echo().seen


def test_a_model_without_generate_cannot_be_made() -> None:
    class Nothing(BaseChatModel):
        pass

    with pytest.raises(TypeError, match="_generate"):
        Nothing()  # type: ignore[abstract]


@pytest.mark.parametrize(
    ("given", "messages"),
    [
        ("text", [HumanMessage("text")]),
        ([("system", "s"), "h", AIMessage("a")], [SystemMessage("s"), HumanMessage("h"), AIMessage("a")]),
        (("human", "x"), [HumanMessage("human"), HumanMessage("x")]),
        (StringPromptValue("p"), [HumanMessage("p")]),
        (ChatPromptTemplate([("ai", "{x}")]).invoke({"x": 1}), [AIMessage("1")]),
    ],
)
def test_inputs(given: Any, messages: Any) -> None:
    model = Echo(seen=[])
    model.invoke(given)
    assert model.seen[0]["messages"] == messages


@pytest.mark.parametrize("given", [5, None, {"role": "user", "content": "x"}])
def test_bad_inputs(given: Any) -> None:
    with pytest.raises(InvalidArgument, match="a chat model takes"):
        Echo().invoke(given)


def test_the_input_is_not_changed() -> None:
    given = [HumanMessage("x")]
    Echo().invoke(given)
    assert given == [HumanMessage("x")]


def test_stop_and_other_keywords_reach_the_method(colour: Colour) -> None:
    model = Echo(seen=[])

    async def body(colour: Colour) -> None:
        await colour.invoke(model.bind(stop=["z"], k=2, stream=False, streaming=False), "x")

    colour.run(body)
    assert (model.seen[0]["stop"], model.seen[0]["kwargs"]) == (["z"], {"k": 2})


def test_ids_and_response_metadata(colour: Colour) -> None:
    async def body(colour: Colour) -> Any:
        return await colour.invoke(Echo(), "x", {"run_id": "11111111-1111-4111-8111-111111111111"})

    message = colour.run(body)
    assert message.id == "lc_run--11111111-1111-4111-8111-111111111111-0"
    assert message.response_metadata == {"tokens": 3, "finish": "ok", "own": 1}


def test_an_id_of_the_provider_is_kept() -> None:
    chunks = [AIMessageChunk("a", id="p1"), AIMessageChunk("b", id="p1")]
    model = ScriptedChatModel(turns=[chunks])
    assert model.invoke("x").id == "p1"
    streamed = list(model.stream("x"))
    assert [chunk.id for chunk in streamed[:2]] == ["p1", "p1"]
    assert (streamed[0] + streamed[1:]).id == "p1"


def test_the_same_message_given_again_gets_another_id() -> None:
    model = ScriptedChatModel(turns=[AIMessage("again")])
    assert model.invoke("x").id != model.invoke("x").id


def test_streaming_ends_with_an_empty_closing_chunk(colour: Colour) -> None:
    async def body(colour: Colour) -> Any:
        return await colour.collect(ScriptedChatModel(turns=["one two"]), "x")

    chunks = colour.run(body)
    assert [chunk.content for chunk in chunks] == ["one", " two", ""]
    assert [chunk.chunk_position for chunk in chunks] == [None, None, "last"]
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[0].id.startswith("lc_run--")


def test_no_closing_chunk_after_one_of_the_model() -> None:
    chunks = list(ScriptedChatModel(turns=[[AIMessageChunk("x", chunk_position="last")]]).stream("x"))
    assert [chunk.content for chunk in chunks] == ["x"]


def test_the_closing_chunk_has_the_form_of_the_content() -> None:
    chunks = list(ScriptedChatModel(turns=[[AIMessageChunk([{"type": "text", "text": "x", "index": 0}])]]).stream("x"))
    assert chunks[-1].content == []


def test_generation_info_of_a_chunk() -> None:
    class Telling(Echo):
        def _stream(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Iterator[Any]:
            yield ChatGenerationChunk(message=AIMessageChunk("a"), generation_info={"logprob": 1})

    assert next(iter(Telling().stream("x"))).response_metadata == {"logprob": 1}


def test_nothing_streamed_is_an_error(colour: Colour) -> None:
    async def body(colour: Colour) -> None:
        with pytest.raises(InvalidArgument, match="streamed nothing"):
            await colour.collect(ScriptedChatModel(turns=[[]]), "x")

    colour.run(body)


# -- which form is called ----------------------------------------------------------------------------------------


class OnlySync(Echo):
    def _stream(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Iterator[Any]:
        self.seen.append(threading.get_ident())
        yield from (AIMessageChunk("a"), AIMessageChunk("b"))


class OnlyAsyncStream(Echo):
    async def _astream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[Any]:
        for text in "ab":
            await asyncio.sleep(0)
            yield AIMessageChunk(text)


class OwnAsync(OnlySync):
    async def _agenerate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage("async"))])

    async def _astream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[Any]:
        yield AIMessageChunk("async")


def test_sync_forms_run_on_worker_threads_in_async_use() -> None:
    model = OnlySync(seen=[])

    async def main() -> list[str]:
        texts = [(await model.ainvoke("x")).content]
        return texts + [chunk.content async for chunk in model.astream("x")]

    assert asyncio.run(main()) == ["hi x", "a", "b", ""]
    assert threading.get_ident() not in {model.seen[0]["thread"], model.seen[1]}


def test_async_forms_are_preferred_in_async_use() -> None:
    async def main() -> list[str]:
        texts = [(await OwnAsync().ainvoke("x")).content]
        return texts + [chunk.content async for chunk in OwnAsync().astream("x")]

    assert asyncio.run(main()) == ["async", "async", ""]


def test_an_async_stream_is_not_there_for_sync_use() -> None:
    assert [chunk.content for chunk in OnlyAsyncStream().stream("x")] == ["hi x"]
    assert type(next(iter(OnlyAsyncStream().stream("x")))) is AIMessage

    async def main() -> list[str]:
        return [chunk.content async for chunk in OnlyAsyncStream().astream("x")]

    assert asyncio.run(main()) == ["a", "b", ""]


def test_the_default_async_forms_can_be_called_by_subclasses() -> None:
    class Calling(OnlySync):
        async def _agenerate(self, *args: Any, **kwargs: Any) -> ChatResult:
            return await super()._agenerate(*args, **kwargs)

        async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            async for chunk in super()._astream(*args, **kwargs):
                yield chunk

    async def main() -> list[str]:
        texts = [(await Calling().ainvoke("x")).content]
        return texts + [chunk.content async for chunk in Calling().astream("x")]

    assert asyncio.run(main()) == ["hi x", "a", "b", ""]


def test_a_simple_model_gives_a_text() -> None:
    class Simple(SimpleChatModel):
        def _call(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> str:
            return f"{len(messages)} {stop}"

    assert Simple().invoke("x", stop=["s"]).content == "1 ['s']"


# -- when invoke streams inside ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "keywords", "how"),
    [
        ({}, {}, "stream"),
        ({"disable_streaming": True}, {}, "generate"),
        ({"disable_streaming": "tool_calling"}, {}, "stream"),
        ({"disable_streaming": "tool_calling"}, {"tools": [{"name": "t"}]}, "generate"),
        ({}, {"stream": False}, "generate"),
        ({}, {"streaming": False}, "generate"),
    ],
)
def test_a_watched_invoke(colour: Colour, settings: Any, keywords: Any, how: str) -> None:
    model = ScriptedChatModel(turns=["a b"], **settings)
    watcher = Watcher(STREAM | END | TOKENS)

    async def body(colour: Colour) -> Any:
        return await colour.invoke(model.bind(**keywords), "x", watcher.config)

    message = colour.run(body)
    assert [call["how"] for call in model.calls] == [how]
    assert (type(message), message.content) == (AIMessage, "a b")
    assert [chunk.content for chunk in watcher.of(STREAM)] == (["a", " b", ""] if how == "stream" else [])
    assert watcher.of(END) == [message]
    assert message.id.endswith("-0") == (how == "generate")


def test_other_listeners_do_not_make_it_stream() -> None:
    model = ScriptedChatModel(turns=["a b"])
    model.invoke("x", Watcher(STREAM | END).config)
    assert model.calls[0]["how"] == "generate"


class Switched(ScriptedChatModel):
    streaming: bool = False


@pytest.mark.parametrize(
    ("settings", "keywords", "chunks", "invoked"),
    [
        ({}, {}, 2, "generate"),
        ({"streaming": True}, {}, 2, "stream"),
        ({"streaming": False}, {}, 1, "generate"),
        ({"streaming": False}, {"stream": True}, 2, "stream"),
        ({"streaming": True}, {"streaming": False}, 1, "generate"),
        ({"streaming": True, "disable_streaming": True}, {}, 1, "generate"),
        ({}, {"streaming": True}, 2, "stream"),
    ],
)
def test_the_streaming_field_and_keyword(settings: Any, keywords: Any, chunks: int, invoked: str) -> None:
    model = Switched(turns=["a"], **settings)
    assert len(list(model.stream("x", **keywords))) == chunks
    model.invoke("x", **keywords)
    assert model.calls[-1]["how"] == invoked
    assert model.calls[-1]["kwargs"] == {}


# -- what is told of a run ---------------------------------------------------------------------------------------


def test_the_events_of_a_stream(colour: Colour) -> None:
    watcher = Watcher()

    async def body(colour: Colour) -> Any:
        return await colour.collect(ScriptedChatModel(turns=["a b"]), "x", watcher.config)

    chunks = colour.run(body)
    assert watcher.kinds() == [START, STREAM, STREAM, STREAM, END]
    assert watcher.of(START) == [[HumanMessage("x")]]
    assert watcher.of(STREAM) == chunks
    end = watcher.of(END)[0]
    assert (type(end), end.content, end.chunk_position) == (AIMessageChunk, "a b", None)
    assert chunks[0].id == f"lc_run--{watcher.events[0].run.id}"


@pytest.mark.parametrize("how", ["stream", "invoke"])
def test_tool_calls_are_told_as_soon_as_they_are_whole(colour: Colour, how: str) -> None:
    watcher = Watcher(STREAM | TOOL_CALL | TOKENS)

    async def body(colour: Colour) -> Any:
        model = ScriptedChatModel(turns=[CALLS])
        if how == "invoke":
            return await colour.invoke(model, "x", watcher.config)
        return await colour.collect(model, "x", watcher.config)

    colour.run(body)
    assert watcher.kinds() == [STREAM, STREAM, STREAM, TOOL_CALL, STREAM, STREAM, TOOL_CALL, STREAM]
    assert watcher.of(TOOL_CALL) == [ADD, NOW]


def test_tool_calls_of_a_model_that_does_not_stream() -> None:
    watcher = Watcher(END | TOOL_CALL)
    message = ScriptedChatModel(turns=[CALLS]).invoke("x", watcher.config)
    assert watcher.kinds() == [TOOL_CALL, TOOL_CALL, END]
    assert message.tool_calls == watcher.of(TOOL_CALL) == [ADD, NOW]
    assert message.usage_metadata["total_tokens"] == 3


def test_a_whole_message_in_one_chunk() -> None:
    watcher = Watcher(TOOL_CALL)
    list(ScriptedChatModel(turns=[AIMessage("", tool_calls=[ADD, NOW])]).stream("x", watcher.config))
    assert watcher.of(TOOL_CALL) == [ADD, NOW]


def test_an_error_in_a_stream_keeps_what_had_come(colour: Colour) -> None:
    watcher = Watcher()
    got: list[str] = []

    async def body(colour: Colour) -> None:
        model = ScriptedChatModel(turns=[["a", "b", OSError("cut"), "c"]])
        with pytest.raises(OSError, match="cut"):
            async for chunk in colour.stream(model, "x", watcher.config):
                got.append(chunk.content)

    colour.run(body)
    assert got == ["a", "b"]
    assert watcher.kinds() == [START, STREAM, STREAM, ERROR]
    assert watcher.events[0].run.extra["partial"].content == "ab"


def test_an_error_of_an_invoke(colour: Colour) -> None:
    watcher = Watcher()

    async def body(colour: Colour) -> None:
        with pytest.raises(OSError, match="no"):
            await colour.invoke(ScriptedChatModel(turns=[OSError("no")]), "x", watcher.config)

    colour.run(body)
    assert watcher.kinds() == [START, ERROR]


def test_leaving_early_closes_the_model_and_ends_the_run(colour: Colour) -> None:
    closed: list[str] = []
    watcher = Watcher(START | END | ERROR)

    class Closing(Echo):
        def _stream(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Iterator[Any]:
            try:
                for n in range(1000):
                    yield AIMessageChunk(str(n))
            finally:
                closed.append("sync")

        async def _astream(
            self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
        ) -> AsyncIterator[Any]:
            try:
                for n in range(1000):
                    await asyncio.sleep(0)
                    yield AIMessageChunk(str(n))
            finally:
                closed.append("async")

    async def body(colour: Colour) -> None:
        stream: Any = colour.stream(Closing(), "x", watcher.config)
        assert (await anext(stream)).content == "0"
        await stream.aclose()

    colour.run(body)
    assert closed == ["sync" if colour.sync else "async"]
    assert watcher.kinds() == [START, END if colour.sync else ERROR]


def test_facts_in_the_metadata_of_a_run() -> None:
    class ChatMill(Echo):
        model: str = "mill-1"
        temperature: float | None = 0.5
        max_tokens: int | None = None

    watcher = Watcher(START)
    ChatMill(tags=["own"], metadata={"m": 1}).invoke(
        "x", {**watcher.config, "tags": ["t"], "metadata": {"u": 2}}, stop=["s"]
    )
    run = watcher.events[0].run
    assert run.metadata == {
        "u": 2,
        "m": 1,
        "ls_provider": "mill",
        "ls_model_name": "mill-1",
        "ls_model_type": "chat",
        "ls_temperature": 0.5,
        "ls_stop": ["s"],
    }
    assert sorted(run.tags) == ["own", "t"]


def test_constructor_settings_are_not_inherited() -> None:
    inner = Echo()

    class Asking(Echo):
        def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
            inner.invoke("x")
            return super()._generate(messages, stop, run_manager, **kwargs)

    own, watcher = Watcher(START), Watcher(START)
    Asking(tags=["own"], metadata={"m": 1}, callbacks=[own.tap]).invoke("x", watcher.config)
    assert [event.run.name for event in own.events] == ["Asking"]
    outer_run, inner_run = (event.run for event in watcher.events)
    assert inner_run.parent is outer_run
    assert inner_run.tags == ()
    assert "m" not in inner_run.metadata


def test_the_run_manager(colour: Colour) -> None:
    class Managed(Echo):
        def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
            run_manager.on_llm_new_token("tok")
            run_manager.on_llm_new_token("", chunk=ChatGenerationChunk(message=AIMessageChunk("chunk")))
            inner = RunnableLambda(lambda x: x).invoke(1, {"callbacks": run_manager.get_child()})
            message = AIMessage(f"{run_manager.parent_run_id} {run_manager.tags} {inner}")
            return ChatResult(generations=[ChatGeneration(message=message)])

        async def _agenerate(
            self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
        ) -> ChatResult:
            await run_manager.on_llm_new_token("tok")
            await run_manager.on_llm_new_token("", chunk=ChatGenerationChunk(message=AIMessageChunk("chunk")))
            assert run_manager.get_sync().run_id == run_manager.run_id
            message = AIMessage(f"{run_manager.parent_run_id} {run_manager.tags} 1")
            return ChatResult(generations=[ChatGeneration(message=message)])

    watcher = Watcher(STREAM)

    async def body(colour: Colour) -> tuple[Any, Any]:
        unwatched = await colour.invoke(Managed(), "x")
        return unwatched, await colour.invoke(Managed(), "x", {**watcher.config, "tags": ["t"]})

    unwatched, watched = colour.run(body)
    assert (unwatched.content, watched.content) == ("None [] 1", "None ['t'] 1")
    assert [chunk.content for chunk in watcher.of(STREAM)] == ["tok", "chunk"]
    assert watcher.of(STREAM)[0].id == f"lc_run--{watcher.events[0].run.id}"


# -- generate, bind_tools ----------------------------------------------------------------------------------------


def test_generate_answers_in_order_each_in_a_run_of_its_own() -> None:
    watcher = Watcher(START)
    model = ScriptedChatModel(turns=["one", "two"])
    result = model.generate([[HumanMessage("a")], [HumanMessage("b")]], callbacks=[watcher.tap], tags=["t"])
    assert [[generation.text for generation in each] for each in result.generations] == [["one"], ["two"]]
    assert result.run is not None
    assert [info.run_id for info in result.run] == [event.run.id for event in watcher.events]
    assert {event.run.tags for event in watcher.events} == {("t",)}


def test_all_generations_are_kept() -> None:
    class Several(BaseChatModel):
        def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
            generations = [ChatGeneration(message=AIMessage(text)) for text in "ab"]
            return ChatResult(generations=generations, llm_output={"tokens": 1})

    generations = Several().generate([["x"]]).generations[0]
    assert [generation.text for generation in generations] == ["a", "b"]
    assert [generation.message.id[-2:] for generation in generations] == ["-0", "-1"]
    assert generations[0].message.response_metadata == {}


def test_agenerate_raises_the_first_error_after_all_have_ended() -> None:
    done: list[str] = []

    class Slow(Echo):
        async def _agenerate(
            self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
        ) -> ChatResult:
            await asyncio.sleep(0)
            if messages[0].text != "ok":
                raise OSError(messages[0].text)
            await asyncio.sleep(0)
            done.append("ok")
            return self._generate(messages)

    with pytest.raises(OSError, match="first"):
        asyncio.run(Slow().agenerate([["ok"], ["first"], ["second"]]))
    assert done == ["ok"]


def test_no_generation_is_an_error() -> None:
    class Mute(BaseChatModel):
        def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
            return ChatResult(generations=[])

    with pytest.raises(InvalidArgument, match=r"Mute\._generate must give .* at least one generation"):
        Mute().invoke("x")


def test_tools_are_refused_by_default() -> None:
    with pytest.raises(Unsupported) as caught:
        Echo().bind_tools([])
    assert isinstance(caught.value, NotImplementedError)
    assert caught.value.__notes__ == ["Echo cannot call tools: it has no `bind_tools` of its own."]


def test_a_repr_shows_what_was_set() -> None:
    assert repr(Echo(greeting="hey", seen=[])) == "Echo(greeting='hey')"


def test_nothing_outlasts_an_answer_that_was_cancelled() -> None:
    never_set: list[str] = []

    class Parting(Echo):
        async def _agenerate(
            self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
        ) -> ChatResult:
            if messages[0].text == "leave":
                raise asyncio.CancelledError
            try:
                await asyncio.Event().wait()
            finally:
                never_set.append(messages[0].text)
            raise AssertionError

    async def run() -> None:
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(Parting().agenerate([[HumanMessage("stay")], [HumanMessage("leave")]]), 5)

    asyncio.run(run())
    assert never_set == ["stay"]


def test_a_wrong_piece_or_result_is_named() -> None:
    class Wrong(BaseChatModel):
        def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Any:
            return AIMessage("x")

        def _stream(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Iterator[Any]:
            yield AIMessage("x")

    with pytest.raises(TypeError, match="must yield ChatGenerationChunk or AIMessageChunk, not AIMessage: "):
        list(Wrong().stream("x"))
    with pytest.raises(InvalidArgument, match="must give a ChatResult with at least one generation, not AIMessage"):
        Wrong().invoke("x")


def test_tokens_by_a_tokenizer_of_ones_own() -> None:
    counting = Echo(custom_get_token_ids=lambda text: [ord(letter) for letter in text])
    assert counting.get_token_ids("ab") == [97, 98]
    assert counting.get_num_tokens("ab") == 2
    with pytest.raises(Unsupported, match="give it one as `custom_get_token_ids`"):
        Echo().get_token_ids("ab")
