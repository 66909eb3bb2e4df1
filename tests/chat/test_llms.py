"""Text models: a text in, a text out; batches, streams, caches, and what watchers are told of them."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from colours import Colour, colour
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from millstream import (
    LLM,
    BaseCallbackHandler,
    BaseLLM,
    FakeListLLM,
    FakeListLLMError,
    FakeStreamingListLLM,
    Generation,
    GenerationChunk,
    HumanMessage,
    InMemoryCache,
    InvalidArgument,
    LLMResult,
    OpenTelemetryListener,
    PromptTemplate,
    RunnableLambda,
    StrOutputParser,
    get_usage_metadata_callback,
    set_llm_cache,
)
from millstream.serve.dialects.native import NativeView
from millstream.spine.events import Tap

__all__ = ["colour"]  # a fixture


class Shout(BaseLLM):
    """Answers many prompts in one call, and notes the calls."""

    calls: list[Any] = []  # noqa: RUF012 - the way users write it
    wrong: bool = False

    def _generate(self, prompts: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> LLMResult:
        self.calls.append((list(prompts), stop, kwargs))
        if "fail" in prompts:
            raise ValueError("no")
        given = [[Generation(text=prompt.upper()), Generation(text="second")] for prompt in prompts]
        return LLMResult(generations=given[:1] if self.wrong else given, llm_output={"token_usage": {"n": 1}})


class Words(LLM):
    """Streams the words of its prompt."""

    def _call(self, prompt: str, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> str:
        return prompt

    def _stream(self, prompt: str, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Iterator[Any]:
        for number, word in enumerate(prompt.split()):
            if word == "fail":
                raise ValueError("no")
            yield GenerationChunk(text=word, generation_info={"n": [number]})


class Noting(BaseCallbackHandler):
    """Notes every call about a text model."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def on_llm_start(self, serialized: Any, prompts: Any, **kwargs: Any) -> None:
        self.seen.append(("start", prompts, kwargs["invocation_params"]["stop"]))

    def on_llm_new_token(self, token: str, **kwargs: Any) -> None:
        self.seen.append(("token", token, kwargs["chunk"].text))

    def on_llm_end(self, response: Any, **kwargs: Any) -> None:
        self.seen.append(("end", [[one.text for one in each] for each in response.generations], response.llm_output))

    def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
        partial = kwargs["response"].generations
        self.seen.append(("error", str(error), partial and partial[0][0].text))


@pytest.mark.parametrize(
    "given", ["hey", PromptTemplate.from_template("hey").invoke({}), [HumanMessage("hey")], [("human", "hey")]]
)
def test_texts_prompts_and_messages_go_in_and_a_text_comes_out(colour: Colour, given: Any) -> None:
    async def body(colour: Colour) -> None:
        text = "Human: hey" if isinstance(given, list) else "hey"
        assert await colour.invoke(Words(), given) == text
        assert await colour.collect(Shout(), given) == [text.upper()]

    colour.run(body)


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"a text model takes a text.* not dict.*prompt template"):
        Words().invoke({"x": 1})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="takes a list of prompts"):
        Words().generate("hey")


def test_handlers_are_told_of_an_answer_of_a_stream_and_of_a_failure(colour: Colour) -> None:
    async def body(colour: Colour) -> None:
        whole, pieces, failing = Noting(), Noting(), Noting()
        assert await colour.invoke(Shout().bind(stop=["."]), "a", {"callbacks": [whole]}) == "A"
        assert whole.seen == [("start", ["a"], ["."]), ("end", [["A", "second"]], {"token_usage": {"n": 1}})]
        assert await colour.collect(Words(callbacks=[pieces]), "a b") == ["a", "b"]
        assert pieces.seen == [
            *[("start", ["a b"], None), ("token", "a", "a"), ("token", "b", "b")],
            ("end", [["ab"]], None),
        ]
        with pytest.raises(ValueError, match="no"):
            await colour.collect(Words(), "a fail", {"callbacks": [failing]})
        assert failing.seen[-1] == ("error", "no", "a")
        with pytest.raises(ValueError, match="no"):
            await colour.invoke(Shout(callbacks=[failing]), "fail")
        assert failing.seen[-1] == ("error", "no", [])

    colour.run(body)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_stream_that_reports_its_tokens_is_told_once(colour: Colour, asynchronous: bool) -> None:
    class Reporting(Words):
        def _stream(self, prompt: str, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Iterator[Any]:
            for piece in super()._stream(prompt):
                run_manager.on_llm_new_token(piece.text, chunk=piece)
                yield piece

    class AsyncReporting(Reporting):
        async def _astream(
            self, prompt: str, stop: Any = None, run_manager: Any = None, **kwargs: Any
        ) -> AsyncIterator[Any]:
            for piece in Words._stream(self, prompt):
                await run_manager.on_llm_new_token(piece.text, chunk=piece)
                assert run_manager.get_sync().run_id == run_manager.run_id
                yield piece

    async def body(colour: Colour) -> None:
        noting = Noting()
        model = AsyncReporting() if asynchronous else Reporting()
        assert await colour.collect(model, "a b", {"callbacks": [noting]}) == ["a", "b"]
        assert [each[1] for each in noting.seen if each[0] == "token"] == ["a", "b"]

    colour.run(body)


def test_a_stream_that_is_left_ends_its_run(colour: Colour) -> None:
    async def body(colour: Colour) -> None:
        noting = Noting()
        stream: Any = colour.stream(Words(), "a b c", {"callbacks": [noting]})
        async for _ in stream:
            break
        await stream.aclose()
        assert noting.seen[-1][:2] == (("end", [["a"]]) if colour.sync else ("error", ""))

    colour.run(body)


def batch(colour: Colour, llm: Any, inputs: Any, config: Any = None, **kwargs: Any) -> Any:
    if colour.sync:
        return llm.batch(inputs, config, **kwargs)
    return asyncio.run(llm.abatch(inputs, config, **kwargs))


def test_a_batch_is_one_call_with_a_run_for_each_prompt(colour: Colour) -> None:
    llm, noting = Shout(calls=[]), Noting()
    assert batch(colour, llm, ["a", "b", "c"], {"callbacks": [noting]}) == ["A", "B", "C"]
    assert [prompts for prompts, *_ in llm.calls] == [["a", "b", "c"]]
    assert [each[0] for each in noting.seen] == ["start"] * 3 + ["end"] * 3
    assert [each[2] for each in noting.seen[3:]] == [{"token_usage": {"n": 1}}, *[{"token_usage": {}}] * 2]
    llm.calls.clear()
    answers = batch(colour, llm, iter(["a", "fail", "c"]), {"max_concurrency": 2}, return_exceptions=True)
    assert [prompts for prompts, *_ in llm.calls] == [["a", "fail"], ["c"]]
    assert [str(answer) for answer in answers] == ["no", "no", "C"]
    with pytest.raises(ValueError, match="no"):
        batch(colour, llm, ["fail"])
    assert batch(colour, llm, []) == []
    chained = PromptTemplate.from_template("{x}!") | llm | StrOutputParser()
    assert batch(colour, chained, [{"x": "p"}, {"x": "q"}]) == ["P!", "Q!"]


def test_a_model_of_one_prompt_at_a_time_answers_a_batch_at_once(colour: Colour) -> None:
    barrier = threading.Barrier(2, timeout=5)

    class Meet(LLM):
        def _call(self, prompt: str, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> str:
            barrier.wait()
            return prompt

    assert batch(colour, Meet(), ["a", "b"]) == ["a", "b"]


def test_generate_keeps_all_candidates_and_names_the_runs() -> None:
    noting = Noting()
    result = Shout(calls=[]).generate(["a", "b"], stop=["."], callbacks=[noting], tags=["t"], extra=1)
    assert [[one.text for one in each] for each in result.generations] == [["A", "second"], ["B", "second"]]
    assert result.llm_output == {"token_usage": {"n": 1}}
    assert result.run is not None
    assert len({str(info.run_id) for info in result.run}) == 2
    assert [each[0] for each in noting.seen] == ["start", "start", "end", "end"]
    again = asyncio.run(Words().agenerate_prompt([PromptTemplate.from_template("x").invoke({})]))
    assert again.generations[0][0].text == "x"
    assert Words().generate([]).generations == []


def test_a_result_with_prompts_missing_is_an_error() -> None:
    with pytest.raises(
        InvalidArgument, match=r"Shout._generate must give .* each of 2 prompts, not LLMResult with \[2\]"
    ):
        Shout(wrong=True).generate(["a", "b"])


def test_only_what_the_cache_lacks_is_asked_for(colour: Colour) -> None:
    llm = Shout(calls=[], cache=InMemoryCache())
    assert batch(colour, llm, ["a", "b"]) == ["A", "B"]
    noting = Noting()
    assert batch(colour, llm, ["b", "c"], {"callbacks": [noting]}) == ["B", "C"]
    assert [prompts for prompts, *_ in llm.calls] == [["a", "b"], ["c"]]
    assert [each[0] for each in noting.seen] == ["start"] * 2 + ["end"] * 2
    assert batch(colour, llm.bind(stop=["."]), ["a"]) == ["A"]
    assert llm.calls[-1][:2] == (["a"], ["."])


def test_the_cache_for_all_serves_text_models_but_no_streams() -> None:
    set_llm_cache(InMemoryCache())
    try:
        llm = FakeStreamingListLLM(responses=["ab", "cd"])
        assert [llm.invoke("x"), llm.invoke("x"), "".join(llm.stream("x"))] == ["ab", "ab", "cd"]
    finally:
        set_llm_cache(None)


def test_a_list_model_answers_in_turn_and_in_order() -> None:
    llm = FakeListLLM(responses=["a", "b", "c"])
    assert llm.batch(["1", "2", "3", "4"]) == ["a", "b", "c", "a"]
    assert asyncio.run(llm.abatch(["1", "2"])) == ["b", "c"]
    assert list(FakeListLLM(responses=["whole"]).stream("x")) == ["whole"]


def test_a_streaming_list_model_gives_characters_and_fails_where_told(colour: Colour) -> None:
    async def body(colour: Colour) -> None:
        assert await colour.collect(FakeStreamingListLLM(responses=["abc"]), "x") == ["a", "b", "c"]
        failing = FakeStreamingListLLM(responses=["abc"], error_on_chunk_number=1)
        stream = aiter(colour.stream(failing, "x"))
        assert await anext(stream) == "a"
        with pytest.raises(FakeListLLMError):
            await anext(stream)

    colour.run(body)


def test_events_of_a_text_model() -> None:
    chain = PromptTemplate.from_template("{x}") | FakeStreamingListLLM(responses=["hi"]) | StrOutputParser()

    async def events(of: Any, value: Any) -> list[Any]:
        return [event async for event in of.astream_events(value) if event["event"].startswith("on_llm")]

    streamed = asyncio.run(events(chain, {"x": "q"}))
    assert [event["event"] for event in streamed] == ["on_llm_start", *["on_llm_stream"] * 2, "on_llm_end"]
    assert streamed[0]["data"] == {"input": {"prompts": ["q"]}}
    assert streamed[1]["data"] == {"chunk": GenerationChunk(text="h")}
    generation = {"text": "hi", "generation_info": None, "type": "GenerationChunk"}
    answer = {"generations": [[generation]], "llm_output": None}
    assert streamed[3]["data"] == {"output": answer, "input": {"prompts": ["q"]}}
    # Where it is invoked it does not stream inside, and as the root it has the raw input.
    invoked = asyncio.run(events(RunnableLambda(FakeListLLM(responses=["hi"]).invoke), "q"))
    assert [event["event"] for event in invoked] == ["on_llm_start", "on_llm_end"]
    assert invoked[1]["data"]["output"]["generations"][0][0]["type"] == "Generation"
    root = asyncio.run(events(FakeStreamingListLLM(responses=["h"]), "q"))
    assert root[0]["data"] == {"input": "q"}
    assert "input" not in root[-1]["data"]
    only = asyncio.run(_names(chain.astream_events({"x": "q"}, include_types=["llm"])))
    assert only == ["on_llm_start", *["on_llm_stream"] * 2, "on_llm_end"]


async def _names(events: AsyncIterator[Any]) -> list[str]:
    return [event["event"] async for event in events]


def test_the_log_of_a_text_model() -> None:
    chain = PromptTemplate.from_template("{x}") | FakeStreamingListLLM(responses=["hi"])

    async def run() -> Any:
        whole: Any = None
        async for patch in chain.astream_log({"x": "q"}):
            whole = patch if whole is None else whole + patch
        return whole.state

    state = asyncio.run(run())
    entry = state["logs"]["FakeStreamingListLLM"]
    assert (entry["type"], entry["streamed_output_str"], state["final_output"]) == ("llm", ["h", "i"], "hi")
    assert entry["final_output"]["generations"][0][0]["text"] == "hi"


def test_the_usage_callback_passes_over_texts() -> None:
    with get_usage_metadata_callback() as usage:
        FakeListLLM(responses=["a"]).invoke("x")
    assert usage.usage_metadata == {}


def test_a_model_with_async_forms_alone_streams_in_async_runs(colour: Colour) -> None:
    class Later(LLM):
        def _call(self, prompt: str, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> str:
            return "sync"

        async def _acall(self, prompt: str, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> str:
            return "async"

        async def _astream(self, prompt: str, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Any:
            for piece in ("a", "b"):
                yield GenerationChunk(text=piece)

    async def body(colour: Colour) -> None:
        assert await colour.invoke(Later(), "x") == ("sync" if colour.sync else "async")
        assert await colour.collect(Later(), "x") == (["sync"] if colour.sync else ["a", "b"])

    colour.run(body)


@pytest.mark.parametrize("llm", [FakeStreamingListLLM(responses=["hi"]), FakeListLLM(responses=["hi"])])
def test_what_servers_and_traces_tell_of_a_text_model(llm: LLM) -> None:
    view, told, spans = NativeView(), [], InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    served = Tap(view.interest, lambda event: told.extend(view.feed(event)))
    list(llm.stream("hey", {"callbacks": [served, OpenTelemetryListener(provider, capture_content=True)]}))
    assert "".join(record["content"] for kind, record in told if kind == "token") == "hi"
    (span,) = spans.get_finished_spans()
    assert span.attributes is not None
    assert span.name == f"text_completion {type(llm).__name__}"
    asked = [{"role": "user", "parts": [{"type": "text", "content": "hey"}]}]
    assert json.loads(str(span.attributes["gen_ai.input.messages"])) == asked
    assert json.loads(str(span.attributes["gen_ai.output.messages"]))[0]["parts"][0]["content"] == "hi"


def test_a_text_model_has_no_form_to_answer_in() -> None:
    with pytest.raises(NotImplementedError, match="FakeListLLM"):
        FakeListLLM(responses=["a"]).with_structured_output(dict)


def test_a_wrong_piece_or_result_is_named() -> None:
    class Wrong(Words):
        def _generate(self, prompts: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Any:
            return "text"

        def _stream(self, prompt: str, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Iterator[Any]:
            yield "text"

    with pytest.raises(TypeError, match="must yield GenerationChunk, not str"):
        list(Wrong().stream("x"))
    with pytest.raises(InvalidArgument, match=r"must give an LLMResult .* not str"):
        Wrong().invoke("x")
