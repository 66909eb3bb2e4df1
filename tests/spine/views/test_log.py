"""`astream_log` and `stream_log`: patches that add up to what happened."""

from __future__ import annotations

import asyncio
import re
import threading
from typing import Any

import pytest
from colours import Colour, colour  # noqa: F401 - a fixture

from millstream import (
    AIMessage,
    BlockingCallWarning,
    ChatPromptTemplate,
    Document,
    RunLog,
    RunLogPatch,
    Runnable,
    RunnableGenerator,
    RunnableLambda,
    RunnableParallel,
    StrOutputParser,
    tool,
)
from millstream.errors import InvalidType
from millstream.testing import ScriptedChatModel


async def patches(c: Colour, runnable: Any, value: Any, **options: Any) -> list[Any]:
    stream = runnable.stream_log(value, **options)
    if c.sync:
        return list(stream)
    assert [item async for item in runnable.astream_log(value, **options)]
    return [item async for item in stream]


def paths(items: list[RunLogPatch]) -> list[list[str]]:
    return [[op["path"] for op in item.ops] for item in items]


def chain() -> Any:
    prompt = ChatPromptTemplate.from_messages([("human", "{q}")])
    return prompt | ScriptedChatModel([["he", "y"]]) | StrOutputParser()


def test_patch_by_patch(colour: Colour) -> None:  # noqa: F811
    async def body(c: Colour) -> None:
        items = await patches(c, chain(), {"q": "x"})
        parser, model = "/logs/StrOutputParser", "/logs/ScriptedChatModel"
        token = [f"{model}/streamed_output_str/-", f"{model}/streamed_output/-"]
        passed = [[f"{parser}/streamed_output/-"], ["/streamed_output/-", "/final_output"]]
        assert paths(items) == [
            [""],
            ["/logs/ChatPromptTemplate"],
            ["/logs/ChatPromptTemplate/final_output", "/logs/ChatPromptTemplate/end_time"],
            [model],
            token,
            [parser],
            *passed,
            token,
            *passed,
            token,
            [f"{parser}/streamed_output/-"],
            ["/streamed_output/-"],  # the closing chunk is empty: the sum stays
            [f"{model}/final_output", f"{model}/end_time"],
            [f"{parser}/final_output", f"{parser}/end_time"],
        ]
        assert all(type(item) is RunLogPatch for item in items)
        whole = items[0] + items[1]
        for item in items[2:]:
            whole = whole + item
        assert isinstance(whole, RunLog) and whole.state["final_output"] == "hey"
        entry = whole.state["logs"]["ScriptedChatModel"]
        assert entry["type"] == "llm" and entry["streamed_output_str"] == ["he", "y", ""]
        assert entry["final_output"]["generations"][0][0]["text"] == "hey"
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", entry["start_time"])
        assert entry["end_time"] >= entry["start_time"]

    colour.run(body)


def test_the_whole_log_after_each_patch(colour: Colour) -> None:  # noqa: F811
    async def body(c: Colour) -> None:
        logs = await patches(c, chain(), {"q": "x"}, diff=False)
        assert all(isinstance(log, RunLog) for log in logs)
        outputs = [log.state["final_output"] for log in logs]
        assert outputs[0] is None and outputs[-1] == "hey" and sorted(set(outputs[1:]) - {None}) == ["he", "hey"]
        assert logs[0].state["logs"] == {}  # earlier logs are not changed by later patches
        assert len(logs[-1].ops) > len(logs)

    colour.run(body)


def test_filters_choose_among_the_runs_below_the_root(colour: Colour) -> None:  # noqa: F811
    async def body(c: Colour) -> None:
        for options, expected in [
            ({"include_types": ["llm"]}, ["ScriptedChatModel"]),
            ({"include_types": ["chat_model"]}, []),
            ({"include_names": []}, []),
            ({"exclude_types": ["llm", "prompt"]}, ["StrOutputParser"]),
            ({"include_tags": ["seq:step:3"]}, ["StrOutputParser"]),
        ]:
            last = (await patches(c, chain(), {"q": "x"}, diff=False, **options))[-1].state
            assert list(last["logs"]) == expected and last["final_output"] == "hey"
        without = await patches(c, chain(), {"q": "x"}, with_streamed_output_list=False)
        assert ["/final_output"] in paths(without) and not any("/streamed_output/-" in each for each in paths(without))

    colour.run(body)


def test_repeated_and_awkward_names(colour: Colour) -> None:  # noqa: F811
    async def body(c: Colour) -> None:
        same = RunnableLambda(lambda x: x, name="a/b~c")
        last = (await patches(c, same | same | same, 1, diff=False))[-1].state
        assert list(last["logs"]) == ["a/b~c", "a/b~c:2", "a/b~c:3"]

    colour.run(body)


def test_final_outputs_by_type(colour: Colour) -> None:  # noqa: F811
    from millstream import BaseRetriever

    class Words(BaseRetriever):
        def _get_relevant_documents(self, query: str) -> list[Document]:  # type: ignore[override]
            return [Document(query)]

    @tool
    def twice(x: str) -> str:
        """Twice."""
        return 2 * x

    async def body(c: Colour) -> None:
        as_dict = RunnableLambda(lambda found: {"x": found[0].page_content}, name="as_dict")
        logs = (await patches(c, Words() | as_dict | twice, "q", diff=False))[-1].state["logs"]
        assert logs["Words"]["final_output"] == {"documents": [Document("q")]}
        assert logs["as_dict"]["final_output"] == {"x": "q"}
        assert logs["twice"]["final_output"] == {"output": "qq"} and logs["twice"]["streamed_output"] == []
        last = (await patches(c, twice, {"x": "a"}, diff=False))[-1].state
        assert (last["type"], last["final_output"], last["logs"]) == ("tool", "aa", {})
        logs = (await patches(c, chain(), {"q": "x"}, diff=False))[-1].state["logs"]
        (candidate,) = logs["ScriptedChatModel"]["final_output"].pop("generations")[0]
        assert candidate.pop("message").content == candidate["text"] == "hey"  # a message, not a dict of its fields
        assert logs["ScriptedChatModel"]["final_output"]["type"] == "LLMResult"

    colour.run(body)


def test_sums_of_the_root(colour: Colour) -> None:  # noqa: F811
    async def body(c: Colour) -> None:
        both = RunnableParallel(a=RunnableGenerator(c.generator("x", "y")), b=RunnableGenerator(c.generator([1], [2])))
        items = await patches(c, both, None)
        ops = [op for item in items for op in item.ops if op["path"].startswith("/final_output")]
        assert {op["path"] for op in ops[1:]} <= {"/final_output/a", "/final_output/b", "/final_output/b/1"}
        # What cannot be added takes the place of what was, as a whole.
        plain = RunnableGenerator(c.generator({"a": 1}, {"a": 1, "b": [2]}, {"a": 1, "b": [2, 3]}))
        ops = [op for item in await patches(c, plain, None) for op in item.ops]
        assert [op["path"] for op in ops if op["path"].startswith("/final_output")] == [
            "/final_output",
            "/final_output",
            "/final_output",
        ]
        model = (await patches(c, ScriptedChatModel([AIMessage("a")]), "x", diff=False))[-1].state
        assert model["final_output"].text == "a" and model["type"] == "llm"

    colour.run(body)


def test_a_run_that_fails(colour: Colour) -> None:  # noqa: F811
    def fail(_: Any) -> Any:
        raise ValueError("no")

    async def body(c: Colour) -> None:
        failing = RunnableLambda(lambda x: x, name="ok") | RunnableLambda(fail)
        seen: list[Any] = []
        with pytest.raises(ValueError, match="no"):
            if c.sync:
                for item in failing.stream_log(1):
                    seen.append(item)
            else:
                async for item in failing.astream_log(1):
                    seen.append(item)
        assert paths(seen)[-1] == ["/logs/fail/final_output", "/logs/fail/end_time"]
        assert seen[-1].ops[0]["value"] is None

    colour.run(body)


def test_a_runnable_that_begins_no_run(colour: Colour) -> None:  # noqa: F811
    class Own(Runnable[Any, Any]):
        def invoke(self, input: Any, config: Any = None, **kwargs: Any) -> Any:
            return input + 1

    async def body(c: Colour) -> None:
        last = (await patches(c, Own(), 1, diff=False))[-1].state
        assert (last["name"], last["final_output"]) == ("Own", 2)

    colour.run(body)


# -- the values --------------------------------------------------------------------------------------------------------


def test_adding() -> None:
    a = RunLogPatch({"op": "replace", "path": "", "value": {"n": 1, "l": []}})
    b = RunLogPatch({"op": "add", "path": "/l/-", "value": "x"})
    both = a + b
    assert type(both) is RunLog and both.state == {"n": 1, "l": ["x"]} and both.ops == a.ops + b.ops
    more = both + b
    assert more.state["l"] == ["x", "x"] and both.state["l"] == ["x"] and a.ops[0]["value"]["l"] == []
    for wrong in (5, both):
        with pytest.raises(InvalidType, match="add a RunLogPatch"):
            a + wrong  # type: ignore[operator]
    with pytest.raises(TypeError):
        both + both


def test_equality_and_repr() -> None:
    a = RunLogPatch({"op": "add", "path": "/a", "value": 1})
    assert a == RunLogPatch(*a.ops) != RunLogPatch() and a != 1
    log = RunLog(*a.ops, state={"a": 1})
    assert log == RunLog(*a.ops, state={"a": 1}) != RunLog(*a.ops, state={})
    assert repr(a) == "RunLogPatch({'op': 'add', 'path': '/a', 'value': 1})" and repr(log) == "RunLog({'a': 1})"


# -- the stream that works with both -----------------------------------------------------------------------------------


def test_leaving_early_ends_the_run(colour: Colour) -> None:  # noqa: F811
    async def body(c: Colour) -> None:
        log: list[str] = []
        source = RunnableGenerator(c.generator(*range(10_000), log=log))
        stream = source.stream_log(None)
        if c.sync:
            with stream:
                for item in stream:
                    if "/streamed_output/-" in paths([item])[0]:
                        break
        else:
            async with stream:
                async for item in stream:
                    if "/streamed_output/-" in paths([item])[0]:
                        break
        assert log[-1] == "closed" and len(log) < 2_000

    colour.run(body)


def test_one_reader_decides() -> None:
    it = RunnableLambda(lambda x: x)
    stream = it.stream_log(1)
    assert next(stream).ops[0]["path"] == ""
    with pytest.raises(InvalidType, match="is being read with `for`"):
        aiter(stream)
    stream.close()

    async def main() -> None:
        other = it.stream_log(1)
        assert (await anext(other)).ops[0]["path"] == ""
        with pytest.raises(InvalidType, match="is being read with `async for`"):
            iter(other)
        await other.aclose()
        untouched = it.stream_log(1)
        untouched.close()
        await untouched.aclose()

    asyncio.run(main())


def test_for_under_a_running_loop_warns_and_works() -> None:
    async def main() -> None:
        with pytest.warns(BlockingCallWarning, match="astream_log"):
            assert len(list(RunnableLambda(lambda x: x).stream_log(1))) == 2

    asyncio.run(main())


def test_a_sync_log_is_live() -> None:
    go = threading.Event()

    def wait(x: int) -> int:
        assert go.wait(10)
        return x

    for item in (RunnableLambda(lambda x: x, name="first") | RunnableLambda(wait)).stream_log(1):
        if paths([item]) == [["/logs/wait"]]:
            go.set()  # told before its work was done
    assert go.is_set()
