"""P16: where the user asked for another try, whoever saw the first tokens is told to drop them before new ones come."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fastapi import FastAPI
from promising import record
from serving import Client, serving
from wires import WIRES, Wire, closed_clients, joined, url_of  # noqa: F401 - a fixture

from millstream import (
    END,
    START,
    BaseCallbackHandler,
    ChatPromptTemplate,
    MessagesState,
    ModelRetryMiddleware,
    ProviderInterrupted,
    RetryPolicy,
    RunnableLambda,
    StateGraph,
    create_agent,
    serve,
)
from millstream.testing import Reply, StandInProvider

TEXT = "The mill grinds slowly."
HI: Any = {"messages": [("user", "hi")]}


def cut(wire: Wire, times: int = 1) -> list[Reply]:
    """As many streams that break off in the middle, then one that does not."""
    stream = wire.stream(TEXT)
    return [Reply(stream, stop_after=stream.index(b"slowly"), ending="close")] * times + [Reply(stream)]


def graph_of(node: Any, **options: Any) -> Any:
    builder = StateGraph(MessagesState)
    builder.add_node("answer", node, **options)
    builder.add_edge(START, "answer")
    builder.add_edge("answer", END)
    return builder.compile()


ONCE_MORE = RetryPolicy(initial_interval=0.0, jitter=False, max_attempts=3)


def by_policy(model: Any) -> Any:
    """A node with a retry policy."""

    async def answer(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    return graph_of(answer, retry_policy=ONCE_MORE)


def by_chain(model: Any) -> Any:
    """A node with a retry policy that is a chain."""
    prompt = ChatPromptTemplate([("placeholder", "{messages}")])
    chain = prompt | model | RunnableLambda(lambda message: {"messages": [message]})
    return graph_of(chain, retry_policy=ONCE_MORE)


def by_runnable(model: Any) -> Any:
    """A model that is retried as a runnable."""
    again = model.with_retry(wait_exponential_jitter=False)

    async def answer(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await again.ainvoke(state["messages"])]}

    return graph_of(answer)


def by_hand(model: Any) -> Any:
    """A node that tries again by itself."""

    async def answer(state: MessagesState) -> dict[str, Any]:
        while True:
            try:
                return {"messages": [joined([chunk async for chunk in model.astream(state["messages"])])]}
            except ProviderInterrupted:
                pass

    return graph_of(answer)


def by_middleware(model: Any) -> Any:
    """An agent with a middleware that retries."""
    return create_agent(model, [], middleware=[ModelRetryMiddleware(initial_delay=0, jitter=False)])


WAYS = [by_policy, by_chain, by_runnable, by_hand, by_middleware]


async def events_of(graph: Any, handler: BaseCallbackHandler) -> list[Any]:
    return [event async for event in graph.astream_events(HI, {"callbacks": [handler]})]


class Heard(BaseCallbackHandler):
    def __init__(self) -> None:
        self.custom: list[tuple[str, Any]] = []

    def on_custom_event(self, name: str, data: Any, **kwargs: Any) -> None:
        self.custom.append((name, data))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("wire", WIRES, ids=str)
def test_p16_events_tell_of_the_reset_before_new_tokens(wire: Wire, way: Any) -> None:
    heard = Heard()
    with StandInProvider(cut(wire, 2)) as provider:
        graph = way(wire.model(url_of(provider), max_retries=0, streaming=True))
        events = asyncio.run(events_of(graph, heard))
        assert len(provider.requests) == 3
    shown: dict[str, str] = {}
    resets: list[Any] = []
    for event in events:
        if event["event"] == "on_chat_model_stream":
            chunk = event["data"]["chunk"]
            shown[chunk.id] = shown.get(chunk.id, "") + chunk.text
        elif event["event"] == "on_custom_event" and event["name"] == "message_reset":
            # What it names was shown, and nothing of the next one yet.
            resets.append(event["data"])
            assert list(shown) == [reset["message_id"] for reset in resets]
    assert [reset["attempt"] for reset in resets] == [2, 3]
    assert heard.custom == [("message_reset", reset) for reset in resets]
    # Who drops what is named has every token once.
    left = [text for id, text in shown.items() if id not in {reset["message_id"] for reset in resets}]
    record("P16", f"restart/{wire}/{way.__name__}", 1, int(left != [TEXT]), len(left) - 1, "repeated messages")
    assert left == [TEXT]
    assert events[-1]["data"]["output"]["messages"][-1].text == TEXT


@pytest.mark.parametrize("way", WAYS)
def test_p16_a_served_run_tells_its_viewers(way: Any) -> None:
    wire = WIRES[0]
    with StandInProvider(cut(wire)) as provider:
        app = FastAPI()
        app.include_router(serve.router(way(wire.model(url_of(provider), max_retries=0))))
        with serving(app) as server, Client(server.port, "/runs", {"input": "hi"}) as client:
            records = list(client.records())
    told = [one for one in records if one["type"] in ("token", "attempt")]
    (at,) = [number for number, one in enumerate(told) if one["type"] == "attempt"]
    assert at > 0
    before, reset, after = told[:at], told[at], told[at + 1 :]
    assert {one["message_id"] for one in before} == {reset["supersedes"]}
    assert {one["message_id"] for one in after} == {reset["message_id"]}
    assert reset["number"] == 2
    assert "".join(one["content"] for one in after) == TEXT
    assert records[-1]["type"] == "done"


def test_p16_the_partial_message_has_the_id_under_which_it_was_shown() -> None:
    wire = WIRES[0]

    async def read(url: str) -> tuple[set[str | None], Any]:
        ids: set[str | None] = set()
        try:
            async for chunk in wire.model(url, max_retries=0).astream("hi"):
                ids.add(chunk.id)
        except ProviderInterrupted as error:
            return ids, error.partial
        raise AssertionError

    with StandInProvider(cut(wire)) as provider:
        ids, partial = asyncio.run(read(url_of(provider)))
    assert ids == {partial.id} != {None}


def test_p16_another_question_is_no_restart() -> None:
    """Also not where the node keeps what came, nor in a node beside."""
    wire = WIRES[0]

    async def answer(state: MessagesState) -> dict[str, Any]:
        try:
            return {"messages": [await model.ainvoke(state["messages"])]}
        except ProviderInterrupted as error:
            title = await model.ainvoke("A title, please.")
            return {"messages": [error.partial, title]}

    heard = Heard()
    with StandInProvider(cut(wire)) as provider:
        model = wire.model(url_of(provider), max_retries=0, streaming=True)
        asyncio.run(events_of(graph_of(answer), heard))
    assert heard.custom == []
