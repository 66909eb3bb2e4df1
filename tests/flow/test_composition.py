"""Retry, fallbacks, branches, routing, mapping and configurable parts, the same in both colours."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from colours import Colour, colour
from pydantic import BaseModel
from recorder import Recorder

from millstream import (
    ConfigurableField,
    ConfigurableFieldSingleOption,
    PromptTemplate,
    RouterRunnable,
    RunnableBranch,
    RunnableGenerator,
    RunnableLambda,
    RunnableParallel,
    RunnablePassthrough,
    RunnableRetry,
    RunnableSequence,
    coerce_to_runnable,
)
from millstream.errors import InvalidArgument, InvalidType, MissingKey, Unsupported, ValidationError
from millstream.spine.events import END, ERROR, START, STREAM

__all__ = ["colour"]


def flaky(c: Colour, fails: int, error: type[Exception] = ValueError) -> tuple[Any, list[int]]:
    calls: list[int] = []

    def fn(x: int) -> int:
        calls.append(x)
        if len(calls) <= fails:
            raise error("no")
        return x * 10

    return RunnableLambda(c.function(fn), name="flaky"), calls


def test_retry(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        runnable, calls = flaky(c, 2)
        recorder = Recorder()
        retried = runnable.with_retry(wait_exponential_jitter=False)
        assert await c.invoke(retried, 1, {"callbacks": [recorder]}) == 10
        assert len(calls) == 3
        assert recorder.told(tags=True) == [
            "flaky[] start",
            "flaky[] start",
            "flaky[] error",
            "flaky['retry:attempt:2'] start",
            "flaky['retry:attempt:2'] error",
            "flaky['retry:attempt:3'] start",
            "flaky['retry:attempt:3'] end",
            "flaky[] end",
        ]
        runnable, calls = flaky(c, 9)
        with pytest.raises(ValueError, match="no"):
            await c.invoke(runnable.with_retry(wait_exponential_jitter=False, stop_after_attempt=2), 1)
        assert len(calls) == 2
        runnable, calls = flaky(c, 9, KeyError)
        only = runnable.with_retry(wait_exponential_jitter=False, retry_if_exception_type=lambda e: "x" in str(e))
        with pytest.raises(KeyError):
            await c.invoke(only, 1)
        assert len(calls) == 1
        runnable, calls = flaky(c, 1)
        with pytest.raises(ValueError, match="no"):
            await c.collect(runnable.with_retry(wait_exponential_jitter=False), 1)  # a stream is not retried
        with pytest.raises(InvalidArgument, match="at least 1"):
            runnable.with_retry(stop_after_attempt=0)

    colour.run(body)


def test_retry_waits_longer_each_time() -> None:
    retry = RunnableLambda(str).with_retry(exponential_jitter_params={"initial": 2, "jitter": 0, "max": 5})
    assert [retry._pause(attempt) for attempt in (1, 2, 3)] == [2, 4, 5]


def test_fallbacks(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        bad, _ = flaky(c, 99)
        good = RunnableLambda(c.function(lambda x: f"good {x}"))
        chain = bad.with_fallbacks([good])
        assert await c.invoke(chain, 1) == "good 1"
        assert await c.collect(chain, 1) == ["good 1"]
        worse, _ = flaky(c, 99, KeyError)
        with pytest.raises(ValueError, match="no"):  # the first one's
            await c.invoke(bad.with_fallbacks([worse]), 1)
        with pytest.raises(KeyError):
            await c.invoke(worse.with_fallbacks([good], exceptions_to_handle=(ValueError,)), 1)
        late = RunnableGenerator(c.generator("part", fail=ValueError("late")))
        seen: list[Any] = []
        with pytest.raises(ValueError, match="late"):
            async for item in c.stream(late.with_fallbacks([good]), 1):
                seen.append(item)
        assert seen == ["part"]
        keyed = bad.with_fallbacks([RunnableLambda(c.function(lambda d: repr(d["error"])))], exception_key="error")
        assert await c.invoke(keyed, {}) == "ValueError('no')"
        with pytest.raises(InvalidArgument, match="must be a dict"):
            await c.invoke(keyed, "text")

    colour.run(body)


def test_a_stream_without_chunks_is_fallen_back_from(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        silent, words = RunnableGenerator(c.generator()), RunnableGenerator(c.generator("a", "b"))
        assert await c.collect(silent.with_fallbacks([words]), 1) == ["a", "b"]
        assert await c.collect(silent.with_fallbacks([silent]), 1) == []
        failing = RunnableGenerator(c.generator(fail=ValueError("no")))
        with pytest.raises(ValueError, match="no"):
            await c.collect(failing.with_fallbacks([silent]), 1)

    colour.run(body)


def test_a_fallback_must_be_a_runnable() -> None:
    with pytest.raises(ValidationError, match="wrap a function"):
        RunnableLambda(str).with_fallbacks([str])  # type: ignore[list-item]


def test_a_retry_can_be_made_by_its_class() -> None:
    retry: Any = RunnableRetry(RunnableLambda(str), max_attempt_number=2, retry_exception_types=(KeyError,))
    assert (retry.max_attempt_number, retry.retry_exception_types, retry.invoke(1)) == (2, (KeyError,), "1")


def test_retry_waits_no_longer_than_asked_after_thousands_of_attempts() -> None:
    retry = RunnableLambda(str).with_retry(exponential_jitter_params={"max": 1.5})
    assert retry._pause(5000) == 1.5


def test_cancellation_and_interrupts_are_neither_retried_nor_fallen_back_from(run_async: Any) -> None:
    begun: list[Any] = []

    async def forever(value: Any) -> None:
        begun.append(value)
        await asyncio.sleep(10)

    def interrupted(value: Any) -> None:
        begun.append(value)
        raise KeyboardInterrupt

    everything: Any = (BaseException,)
    other = RunnableLambda(lambda x: "other")

    async def body() -> None:
        runnable = RunnableLambda(forever)
        for call in (
            runnable.with_retry(retry_if_exception_type=everything).ainvoke("a"),
            runnable.with_retry(retry_if_exception_type=everything).abatch(["b"]),
            runnable.with_fallbacks([other], exceptions_to_handle=everything).ainvoke("c"),
            runnable.with_fallbacks([other], exceptions_to_handle=everything).abatch(["d"]),
            anext(aiter(runnable.with_fallbacks([other], exceptions_to_handle=everything).astream("e"))),
        ):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await call

    run_async(body())
    for runnable in (
        RunnableLambda(interrupted).with_retry(retry_if_exception_type=everything),
        RunnableLambda(interrupted).with_fallbacks([other], exceptions_to_handle=everything),
    ):
        with pytest.raises(KeyboardInterrupt):
            runnable.invoke("f")
    assert begun == ["a", "b", "c", "d", "e", "f", "f"]


def test_an_empty_stream_stays_one(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        seen: list[Any] = []
        note = RunnableLambda(c.function(seen.append))
        silent = RunnableGenerator(c.generator())
        for runnable in (
            note.with_fallbacks([note]),
            RunnableBranch((note, note), note),
            RouterRunnable({"a": note}),
            RunnableParallel(a=note, b=note),
        ):
            assert await c.collect(silent | runnable, None) == []
            assert await c.collect(silent | runnable, None, {"callbacks": [Recorder()]}) == []
        assert seen == []

    colour.run(body)


def test_a_method_that_gives_a_runnable_is_applied_to_all_fallbacks() -> None:
    first = RunnableLambda(lambda x, suffix="": 1 / 0)
    second = RunnableLambda(lambda x, suffix="": f"{x}{suffix}")
    assert first.with_fallbacks([second]).runnable is first
    bound = first.bind(suffix="!").with_fallbacks([second.bind(suffix="?")])
    assert bound.invoke("a") == "a?"


def test_branch(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        f = c.function
        branch = RunnableBranch(
            (f(lambda x: x > 10), f(lambda x: "big")),
            (f(lambda x: x < 0), RunnableGenerator(c.generator("ne", "gative"))),
            f(lambda x: "small"),
        )
        assert [await c.invoke(branch, n) for n in (11, -1, 1)] == ["big", "negative", "small"]
        recorder = Recorder()
        assert await c.collect(branch, -1, {"callbacks": [recorder]}) == ["ne", "gative"]
        assert recorder.events[0].data == -1
        tags = [tag for e in recorder.events if e.kind == START for tag in e.run.tags]
        assert tags == ["condition:1", "condition:2", "branch:2"]
        nested = Recorder()
        await c.collect(branch | f(lambda s: s), -1, {"callbacks": [nested]})
        assert not any(e.kind == STREAM and e.run.name == "RunnableBranch" for e in nested.events)
        assert any(e.kind == STREAM and e.run.name == "RunnableBranch" for e in recorder.events)

    colour.run(body)


def test_a_choice_whose_chunks_do_not_add_up_tells_no_output(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        parts = RunnableGenerator(c.generator({"a": 1}, {"b": 2}), name="parts")
        branch = RunnableBranch((c.function(lambda x: True), parts), c.function(lambda x: x))
        for choice in (branch, parts.with_fallbacks([RunnableLambda(c.function(lambda x: x))])):
            recorder = Recorder()
            assert await c.collect(choice, 1, {"callbacks": [recorder]}) == [{"a": 1}, {"b": 2}]
            ends = {e.run.name: e.data for e in recorder.events if e.kind == END}
            assert ends["parts"] == {"b": 2} and ends[choice.get_name()] is None

    colour.run(body)


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ([lambda x: x], InvalidArgument, "at least one"),
        ([(lambda x: x,), lambda x: x], InvalidArgument, "pair"),
        (["arm", lambda x: x], InvalidType, "pair"),
        ([(lambda x: x, lambda x: x), 5], InvalidType, "default"),
    ],
)
def test_branches_of_the_wrong_shape(arguments: list[Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        RunnableBranch(*arguments)


def test_router_and_map(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        router = RouterRunnable({"a": c.function(lambda x: x + 1), "b": c.function(lambda x: -x)})
        assert await c.invoke(router, {"key": "b", "input": 3}) == -3
        assert await c.collect(router, {"key": "a", "input": 3}) == [4]
        with pytest.raises(InvalidArgument, match=r"no runnable has the key 'z'; .* 'a', 'b'"):
            await c.invoke(router, {"key": "z", "input": 3})
        for given, missing in (({"input": 3}, KeyError), ({"key": "a"}, KeyError), ("a", TypeError)):
            with pytest.raises(missing, match="must be"):
                await c.invoke(router, given)
        noted: list[int] = []
        notes = RouterRunnable({"a": c.function(noted.append)})
        wrong = [{"key": "a", "input": 3}, {"key": "z", "input": 3}]
        with pytest.raises(InvalidArgument, match="no runnable has the key 'z'"):
            notes.batch(wrong, return_exceptions=True) if c.sync else await notes.abatch(wrong, return_exceptions=True)
        assert noted == []
        mapped = RunnableLambda(c.function(lambda x: x * 2), name="double").map()
        assert await c.invoke(mapped, [1, 2, 3]) == [2, 4, 6]
        assert mapped.get_name() == "RunnableEach<double>"
        with pytest.raises(Unsupported, match="watch the runnable that is mapped"):
            [event async for event in mapped.astream_events([1])]
        divide = RunnableLambda(c.function(lambda x: 6 // x)).map().bind(return_exceptions=True)
        six, failed, three = await c.invoke(divide, [1, 0, 2])
        assert (six, three) == (6, 3) and isinstance(failed, ZeroDivisionError)

    colour.run(body)


def test_a_mapped_step_of_a_stream_is_told_as_one_that_is_invoked(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        recorder = Recorder()
        first = RunnableLambda(c.function(lambda x: [x, x]), name="first")
        chain = first | RunnableLambda(c.function(lambda x: x + 1), name="one").map()
        assert await c.collect(chain, 1, {"callbacks": [recorder], "max_concurrency": 1}) == [[2, 2]]
        assert recorder.told()[1:] == [
            "first start",
            "first stream",
            "first end",
            "RunnableEach<one> start",
            *(["one start", "one end"] * 2),
            "RunnableEach<one> end",
            "RunnableSequence stream",
            "RunnableSequence end",
        ]
        assert next(e.data for e in recorder.events if e.run.name == "RunnableEach<one>") == [1, 1]

    colour.run(body)


def test_a_named_sequence_lends_its_name() -> None:
    step = RunnableLambda(str)
    named = RunnableSequence(step, step, name="named")
    plain = step | step
    assert [(named | plain).get_name(), (named | str).get_name(), (plain | named).get_name()] == ["named"] * 3
    assert [(str | named).get_name(), ({"a": str} | named).get_name()] == ["named"] * 2
    assert [(step | named).get_name(), named.pipe(str).get_name()] == ["RunnableSequence"] * 2


def test_a_passthroughs_function_gets_what_it_names(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        seen: list[Any] = []
        note: Any
        if c.sync:

            def note(x: Any, config: Any) -> None:
                seen.append((x, config["tags"]))
        else:

            async def note(x: Any, config: Any) -> None:
                seen.append((x, config["tags"]))

        passing = RunnablePassthrough(note)
        assert await c.invoke(passing, 1, {"tags": ["t"]}) == 1
        assert await c.collect(RunnableGenerator(c.generator("a", "b")) | passing, 1, {"tags": ["u"]}) == ["a", "b"]
        assert seen == [(1, ["t"]), ("ab", ["u"])]

    colour.run(body)


def test_assign_streams_what_passes_through_first(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        source = RunnableGenerator(c.generator({"a": 1}, {"k": "old", "b": 2}))
        chain = source | RunnablePassthrough.assign(k=c.function(lambda d: "new"))
        assert await c.collect(chain, None) == [{"a": 1}, {"b": 2}, {"k": "new"}]
        with pytest.raises(InvalidArgument, match="needs a dict as its input, got int"):
            await c.invoke(RunnablePassthrough.assign(k=c.function(str)), 5)
        assert await c.invoke(RunnableLambda(c.function(lambda x: {"a": x, "b": 0})).pick("a"), 1) == 1
        assert await c.collect(RunnableLambda(c.function(lambda x: {"a": x})).pick("missing"), 1) == []

    colour.run(body)


def test_a_mapper_that_was_begun_ends_with_the_stream(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        source = RunnableGenerator(c.generator({"a": 1}, {"a": 2}, {"a": 3}))
        chain = source | RunnablePassthrough.assign(k=c.function(str))
        for taken in (1, 2):
            recorder = Recorder()
            async with c.closing(chain, None, {"callbacks": [recorder]}) as stream:
                for _ in range(taken):
                    await anext(stream)
            started = [e.run for e in recorder.events if e.kind == START]
            ended = [e.run for e in recorder.events if e.kind in (END, ERROR)]
            assert set(map(id, started)) == set(map(id, ended)) and len(started) == len(ended)
            assert "RunnableParallel<k>" in {run.name for run in started}

    colour.run(body)


def test_a_mapper_hears_that_its_input_failed(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        source = RunnableGenerator(c.generator({"a": 1}, fail=KeyError("source")))
        recorder = Recorder()
        with pytest.raises(KeyError, match="source"):
            await c.collect(source | RunnablePassthrough.assign(k=c.function(str)), None, {"callbacks": [recorder]})
        failed = {e.run.name: e.data.args for e in recorder.events if e.kind == ERROR}
        assert failed["RunnableParallel<k>"] == failed["RunnableAssign<k>"] == ("source",)
        failing = RunnablePassthrough.assign(k=c.function(lambda d: d["missing"]))
        items = []
        with pytest.raises(KeyError, match="missing"):
            async for item in c.stream(RunnableGenerator(c.generator({"a": 1}, {"b": 2})) | failing, None):
                items.append(item)
        assert items == [{"a": 1}, {"b": 2}]

    colour.run(body)


def test_configurable_fields_and_alternatives() -> None:
    prompt = PromptTemplate.from_template("Hello {who}").configurable_fields(template=ConfigurableField(id="tpl"))
    chain = prompt | RunnableLambda(lambda p: p.to_string())
    assert chain.invoke({"who": "x"}) == "Hello x"
    assert chain.invoke({"who": "x"}, {"configurable": {"tpl": "Bye {who}!"}}) == "Bye x!"
    assert [spec.id for spec in chain.config_specs] == ["tpl"]
    schema: type[BaseModel] = chain.config_schema(include=["tags"])
    assert sorted(schema.model_json_schema()["properties"]) == ["configurable", "tags"]
    with pytest.raises(InvalidArgument, match="no field 'nope'"):
        PromptTemplate.from_template("x").configurable_fields(nope=ConfigurableField(id="n"))
    option = ConfigurableFieldSingleOption(id="mood", options={"glad": "Hi {who}", "sad": "Oh {who}"}, default="glad")
    moody = PromptTemplate.from_template("x").configurable_fields(template=option)
    assert moody.invoke({"who": "y"}).to_string() == "Hi y"
    with pytest.raises(MissingKey, match=r"no option 'odd'; there are \['glad', 'sad'\]"):
        moody.invoke({"who": "y"}, {"configurable": {"mood": "odd"}})
    either = RunnableLambda(lambda x: "a").configurable_alternatives(
        ConfigurableField(id="which"), b=RunnableLambda(lambda x: "b"), late=lambda: RunnableLambda(lambda x: "late")
    )
    assert [either.invoke(0, {"configurable": {"which": w}}) for w in ("default", "b", "late")] == ["a", "b", "late"]
    assert [spec.id for spec in (either | either).config_specs] == ["which"]
    other = RunnableLambda(str).configurable_alternatives(ConfigurableField(id="which"), default_key="x")
    with pytest.raises(InvalidArgument, match="parts of RunnableSequence have conflicting specs for 'which'"):
        (either | other).config_specs  # noqa: B018
    with pytest.raises(InvalidArgument, match="no alternative 'z' for 'which'; there are 'default', 'b', 'late'"):
        either.invoke(0, {"configurable": {"which": "z"}})


def test_users_subclasses_are_honoured_where_they_are_composed(colour: Colour) -> None:
    class Loud(RunnableLambda[Any, Any]):
        def invoke(self, input: Any, config: Any = None, **kwargs: Any) -> Any:
            return str(super().invoke(input, config)) + "!"

        async def ainvoke(self, input: Any, config: Any = None, **kwargs: Any) -> Any:
            return str(await super().ainvoke(input, config)) + "!"

    async def body(c: Colour) -> None:
        loud = Loud(c.function(lambda x: x))
        assert await c.invoke(loud | c.function(lambda s: s + "?"), "a") == "a!?"
        assert await c.invoke(RunnableParallel(k=loud), "a") == {"k": "a!"}
        assert await c.collect(loud | c.function(lambda s: s + "?"), "a") == ["a!?"]

    colour.run(body)


def test_what_may_stand_for_a_runnable() -> None:
    assert coerce_to_runnable({"a": str}).invoke(1) == {"a": "1"}
    with pytest.raises(TypeError, match="cannot be a step"):
        coerce_to_runnable(5)
