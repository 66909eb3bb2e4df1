"""P17: stream and result agree. However a message is cut on its way, every path gives the same content, calls and usage."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest
from promising import FULL, count, record
from recordings import recorded
from wires import BY_NAME, END_BADLY, WIRES, Wire, closed_clients, joined, url_of  # noqa: F401 - a fixture

from millstream import (
    END,
    START,
    AsyncSqliteSaver,
    InMemorySaver,
    MessagesState,
    SqliteSaver,
    StateGraph,
)
from millstream.providers.clients import close_clients
from millstream.testing import Reply, StandInProvider

pytestmark = pytest.mark.timeout(1_800 if FULL else 60)

# Several answers in one: a stream holds one message.
SEVERAL = {"multi-choice", "multi-choice-3"}


class Told(NamedTuple):
    """What a message says, on whichever path it came."""

    content: Any
    calls: Any
    invalid: Any
    usage: Any


def told(message: Any) -> Told:
    return Told(message.content, message.tool_calls, message.invalid_tool_calls, message.usage_metadata)


def cut_anyhow(stream: bytes, chance: random.Random) -> Reply:
    many = chance.choice([0, 1, 5, 40, 200])
    return Reply(stream, chunk=[chance.randrange(len(stream)) for _ in range(many)])


def graph_of(model: Any, saver: Any, *, sync: bool) -> Any:
    def answer(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    async def aanswer(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    builder = StateGraph(MessagesState)
    builder.add_node("answer", answer if sync else aanswer)
    builder.add_edge(START, "answer")
    builder.add_edge("answer", END)
    return builder.compile(checkpointer=saver)


@asynccontextmanager
async def aopened() -> AsyncIterator[Any]:
    async with AsyncSqliteSaver.from_conn_string(":memory:") as saver:
        yield saver


THREAD: Any = {"configurable": {"thread_id": "1"}}
HI: Any = {"messages": [("user", "hi")]}


def sync_paths(model: Any, streaming: Any) -> dict[str, Told]:
    found = {"stream": told(joined(list(model.stream("hi")))), "invoke, streamed": told(streaming.invoke("hi"))}
    with SqliteSaver.from_conn_string(":memory:") as saver:
        graph = graph_of(model, saver, sync=True)
        pieces = [chunk for chunk, _ in graph.stream(HI, THREAD, stream_mode="messages")]
        found["messages of a graph"] = told(joined(pieces))
        found["state in SQLite"] = told(graph.get_state(THREAD).values["messages"][-1])
    return found


async def async_paths(model: Any, streaming: Any) -> dict[str, Told]:
    found = {"astream": told(joined([chunk async for chunk in model.astream("hi")]))}
    events = [event async for event in model.astream_events("hi")]
    of_kind = {kind: [e["data"] for e in events if e["event"] == f"on_chat_model_{kind}"] for kind in ("stream", "end")}
    found["astream_events, pieces"] = told(joined([data["chunk"] for data in of_kind["stream"]]))
    found["astream_events, end"] = told(of_kind["end"][0]["output"])
    found["ainvoke, streamed"] = told(await streaming.ainvoke("hi"))
    async with aopened() as sqlite:
        for name, saver in (("memory", InMemorySaver()), ("SQLite, async", sqlite)):
            graph = graph_of(model, saver, sync=False)
            pieces = [chunk async for chunk, _ in graph.astream(HI, THREAD, stream_mode="messages")]
            found[f"messages of an async graph, {name}"] = told(joined(pieces))
            found[f"state in {name}"] = told((await graph.aget_state(THREAD)).values["messages"][-1])
    return found


def paths_of(wire: Wire, stream: bytes, seed: str) -> dict[str, Told]:
    """What each path gives for one message that comes to each in other pieces."""
    chance = random.Random(seed)
    with StandInProvider(lambda _: cut_anyhow(stream, chance)) as provider:
        settings = {"max_retries": 0}
        model = wire.model(url_of(provider), **settings)
        streaming = wire.model(url_of(provider), streaming=True, **settings)
        found = sync_paths(model, streaming) | asyncio.run(async_paths(model, streaming))
        close_clients()
    # The reference is the pure decoder, which got all at once.
    decoder = wire.decoder()
    return {"all at once": told(joined(decoder.feed(stream) + decoder.close())), **found}


def differing(found: dict[str, Told]) -> list[str]:
    expected = found["all at once"]
    return [f"{path}: {got} is not {expected}" for path, got in found.items() if got != expected]


def cases() -> list[tuple[Wire, Any]]:
    return [
        (wire, recording)
        for wire in WIRES
        for recording in recorded(wire.name)
        if recording.name not in END_BADLY | SEVERAL
    ]


@pytest.mark.parametrize("part", range(10) if cases() else [])
def test_p17_recorded_messages_agree(part: int) -> None:
    chance = random.Random(part)
    messages = [chance.choice(cases()) for _ in range(count(50, 4))]
    differences: list[str] = []
    for number, (wire, recording) in enumerate(messages):
        seed = f"{part} {number} {recording}"
        found = paths_of(wire, recording.path.read_bytes(), seed)
        differences += [f"{wire} {recording} seed {seed!r}: {line}" for line in differing(found)]
    record("P17", f"recorded messages, part {part}", len(messages), len(differences), len(differences), "differences")
    assert not differences, "\n".join(differences)


WORDS = ["mill ", "žluť ", "🐎 ", "\n", "", "a\ud83d", "\udc4b b ", '"{[', "\\"]


def message_of(chance: random.Random) -> dict[str, Any]:
    calls = [
        {"name": chance.choice("fg"), "args": {word: chance.randrange(9) for word in chance.sample("abcž", 2)}}
        for _ in range(chance.choice([0, 0, 1, 3]))
    ]
    return {
        "text": [chance.choice(WORDS) for _ in range(chance.randrange(1, 12))],
        "reasoning": [chance.choice(WORDS) for _ in range(chance.choice([0, 5]))],
        "tool_calls": calls,
    }


@pytest.mark.parametrize("wire", WIRES, ids=str)
def test_p17_messages_of_our_own_agree(wire: Wire) -> None:
    differences: list[str] = []
    for seed in range(count(60, 3)):
        made = message_of(random.Random(f"{wire} {seed}"))
        stream = wire.stream(made.pop("text"), **made)
        found = paths_of(wire, stream, f"{wire} {seed}")
        assert [(c["name"], c["args"]) for c in found["stream"].calls] == [
            (c["name"], c["args"]) for c in made["tool_calls"]
        ]
        differences += [f"seed {seed}: {line}" for line in differing(found)]
    record("P17", f"own messages, {wire}", count(60, 3), len(differences), len(differences), "differences")
    assert not differences, "\n".join(differences)


@pytest.mark.parametrize("wire", WIRES, ids=str)
def test_p17_an_answer_that_came_whole_says_what_its_stream_says(wire: Wire) -> None:
    """`invoke` asks for one JSON body: other bytes, the same message but for how its blocks are numbered."""
    for seed in range(count(200, 10)):
        made = message_of(random.Random(f"whole {wire} {seed}"))
        # Bodies that are made of a stream hold no reasoning, and a lone half of a character is no JSON text.
        text = "".join(made["text"]).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        stream = wire.stream(text or "x", tool_calls=made["tool_calls"])
        with StandInProvider([stream, stream, stream]) as provider:
            model = wire.model(url_of(provider), max_retries=0)
            got = [joined(list(model.stream("hi"))), model.invoke("hi"), asyncio.run(model.ainvoke("hi"))]
            close_clients()
        streamed, *whole = [(m.text, m.tool_calls, m.usage_metadata) for m in got]
        assert whole == [streamed, streamed], f"seed {seed}"


def test_p17_control_a_piece_that_is_lost_or_said_twice_is_found() -> None:
    wire = BY_NAME["openai-chat"]
    stream = wire.stream("The mill grinds.", tool_calls=[{"name": "f", "args": {"a": 1}}])
    frames = [frame + b"\n\n" for frame in stream.split(b"\n\n") if frame]
    found = paths_of(wire, stream, "control")
    assert differing(found) == []
    for at, frame in enumerate(frames):
        if b'"content":"mill' in frame or b'"arguments":"{' in frame:
            for other in (frames[:at] + frames[at + 1 :], [*frames[:at], frame, *frames[at:]]):
                wrong = paths_of(wire, b"".join(other), "control")
                assert differing({**found, "stream": wrong["stream"]})
    assert json.loads('{"a": 1}') == found["stream"].calls[0]["args"]
