"""The native dialect as a pure view: hand-made events in, records out."""

from __future__ import annotations

from typing import Any

import pytest

from millstream.errors import GraphInterrupt
from millstream.serve.dialects.native import NativeView
from millstream.spine.events import CUSTOM, END, ERROR, MISSING, START, STREAM, TOKENS, TOOL_CALL, Event
from millstream.spine.run import Run


class Message:
    """Looks like a message of the data layer."""

    def __init__(self, type: str = "ai", content: Any = "", id: str | None = None, **fields: Any) -> None:
        self.type = type
        self.content = content
        self.id = id
        self.name = fields.pop("name", None)
        self.tool_calls = fields.pop("tool_calls", [])
        self.usage_metadata = fields.pop("usage", None)
        self.response_metadata = fields.pop("response_metadata", {})
        self.tool_call_id = fields.pop("tool_call_id", None)
        self.status = fields.pop("status", "success")


def run(name: str = "model", type: str = "chat_model", *, node: str | None = "agent", **fields: Any) -> Run:
    metadata: dict[str, Any] = {}
    if node is not None:
        metadata = {"langgraph_node": node, "langgraph_checkpoint_ns": fields.pop("ns", f"{node}:1")}
    metadata.update(fields.pop("metadata", {}))
    made = Run(name, type, None, fields.pop("tags", ()), metadata, fields.pop("input", MISSING), fields.pop("id", "r1"))
    made.extra = fields
    return made


def call(id: str | None, name: str = "add", **args: Any) -> dict[str, Any]:
    return {"id": id, "name": name, "args": args, "type": "tool_call"}


class Feeder:
    """A view, and what it has said."""

    def __init__(self) -> None:
        self.view = NativeView()

    def __call__(self, kind: int, of: Run, data: Any) -> list[tuple[str, dict[str, Any]]]:
        return self.view.feed(Event(kind, of, data))

    def chunk(self, of: Run, text: Any, id: str | None = "m1") -> list[tuple[str, dict[str, Any]]]:
        return self(STREAM, of, Message("AIMessageChunk", text, id))


def test_tokens_carry_their_message_and_node() -> None:
    feed, model = Feeder(), run()
    assert feed.chunk(model, "He") == [("token", {"content": "He", "message_id": "m1", "node": "agent"})]
    # A later chunk under another id (the closing one has the run's) belongs to the same message.
    assert feed.chunk(model, "llo", "lc_run--r1") == [
        ("token", {"content": "llo", "message_id": "m1", "node": "agent"})
    ]


def test_a_chunk_without_text_says_nothing() -> None:
    feed, model = Feeder(), run()
    assert feed.chunk(model, "") == []
    assert feed.chunk(model, [{"type": "tool_call_chunk"}]) == []


def test_a_chain_outside_of_a_graph_has_no_node() -> None:
    assert Feeder().chunk(run(node=None), "x") == [("token", {"content": "x", "message_id": "m1"})]


def test_namespaces_are_those_of_the_enclosing_graphs() -> None:
    ((_, fields),) = Feeder().chunk(run(ns="outer:1|inner:2|agent:3"), "x")
    assert fields["ns"] == ["outer:1", "inner:2"]


def test_an_emoji_cut_in_two_is_joined_within_its_message_only() -> None:
    feed, one, two = Feeder(), run(id="r1"), run(id="r2")
    assert feed.chunk(one, "a\ud83d", "m1")[0][1]["content"] == "a"
    assert feed.chunk(two, "b", "m2")[0][1]["content"] == "b"
    assert feed.chunk(one, "\udc4b!", "m1")[0][1]["content"] == "👋!"


def test_a_half_emoji_that_stays_alone_is_replaced_at_the_end() -> None:
    feed, model = Feeder(), run()
    feed.chunk(model, "x\ud83d")
    assert feed(END, model, Message(id="m1", content="x\ud83d")) == [
        ("token", {"content": "�", "message_id": "m1", "node": "agent"})
    ]


def test_usage_is_told_and_summed() -> None:
    feed, usage = Feeder(), {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
    detailed = {**usage, "input_token_details": {"cache_read": 4}, "output_token_details": {}}
    model = run()
    feed.chunk(model, "x")
    assert feed(END, model, Message(id="m1", content="x", usage=detailed, response_metadata={"model_name": "m"})) == [
        (
            "usage",
            {
                "model": "m",
                **usage,
                "details": {"input_token_details": {"cache_read": 4}},
                "message_id": "m1",
                "node": "agent",
            },
        )
    ]
    other = run(id="r2", metadata={"ls_model_name": "small"})
    feed.chunk(other, "y", "m2")
    assert feed(END, other, Message(id="m2", usage=usage))[0][1]["model"] == "small"
    assert feed.view.usage == {"input_tokens": 14, "output_tokens": 6, "total_tokens": 20}


def test_a_model_that_does_not_stream_gives_one_token() -> None:
    feed = Feeder()
    assert feed(END, run(), Message(id="m1", content="all", tool_calls=[call("c1", a=1)])) == [
        ("token", {"content": "all", "message_id": "m1", "node": "agent"}),
        ("tool_call", {"id": "c1", "name": "add", "args": {"a": 1}, "message_id": "m1", "node": "agent"}),
    ]


def test_a_call_is_told_once_and_its_result_follows() -> None:
    feed, model = Feeder(), run()
    feed.chunk(model, "")
    assert feed(TOOL_CALL, model, call("c1", a=1)) == [
        ("tool_call", {"id": "c1", "name": "add", "args": {"a": 1}, "message_id": "m1", "node": "agent"})
    ]
    assert feed(END, model, Message(id="m1", tool_calls=[call("c1", a=1)])) == []
    tool = run("add", "tool", node="tools", tool_call_id="c1", input={"a": 1}, id="t1")
    assert feed(START, tool, {"a": 1}) == []
    assert feed(END, tool, Message("tool", "2", tool_call_id="c1")) == [
        ("tool_result", {"id": "c1", "name": "add", "result": "2", "status": "success", "node": "tools"})
    ]
    # The node returns the same message: nothing new.
    node = run("tools", "chain", node="tools", input={})
    assert feed(END, node, {"messages": [Message("tool", "2", tool_call_id="c1")]}) == []


def test_results_of_parallel_calls_go_to_the_right_call() -> None:
    feed, model = Feeder(), run()
    for each in (call("c1", a=1), call("c2", a=2)):
        feed(TOOL_CALL, model, each)
    tools = {i: run("add", "tool", node="tools", tool_call_id=f"c{i}", id=f"t{i}", input={"a": i}) for i in (1, 2)}
    for i, tool in tools.items():
        feed(START, tool, {"a": i})
    for i in (2, 1):
        assert feed(END, tools[i], Message("tool", str(i), tool_call_id=f"c{i}"))[0][1]["id"] == f"c{i}"


def test_a_failing_tool_is_told_in_the_words_of_its_node() -> None:
    feed = Feeder()
    feed(TOOL_CALL, run(), call("c1"))
    tool = run("add", "tool", node="tools", tool_call_id="c1", id="t1")
    feed(START, tool, {})
    assert feed(ERROR, tool, ValueError("/secret/path")) == []
    message = Message("tool", "Error: no.", tool_call_id="c1", status="error")
    assert feed(END, run("tools", "chain", node="tools", input={}), {"messages": [message]}) == [
        ("tool_result", {"id": "c1", "name": "add", "result": "Error: no.", "status": "error", "node": "tools"})
    ]
    assert feed.view.close() == []


def test_a_failure_that_nobody_words_says_nothing_of_the_inside() -> None:
    feed = Feeder()
    feed(TOOL_CALL, run(), call("c1"))
    tool = run("add", "tool", node="tools", tool_call_id="c1", id="t1")
    feed(START, tool, {})
    feed(ERROR, tool, ValueError("/secret/path"))
    ((kind, fields),) = feed.view.close()
    assert (kind, fields["id"], fields["status"]) == ("tool_result", "c1", "error")
    assert "secret" not in fields["result"]


@pytest.mark.parametrize("error", [GraphInterrupt(), GeneratorExit()])
def test_a_question_or_a_cancellation_is_no_failure_of_the_tool(error: BaseException) -> None:
    feed = Feeder()
    feed(TOOL_CALL, run(), call("c1"))
    tool = run("add", "tool", node="tools", tool_call_id="c1", id="t1")
    feed(START, tool, {})
    feed(ERROR, tool, error)
    assert feed.view.close() == []


def test_a_call_to_an_unknown_tool_gets_its_result_from_the_node() -> None:
    feed = Feeder()
    feed(TOOL_CALL, run(), call("c1", "nope"))
    message = Message("tool", "nope is not a valid tool", tool_call_id="c1", status="error")
    ((kind, fields),) = feed(END, run("tools", "chain", node="tools", input={}), [message])
    assert (kind, fields["id"], fields["status"]) == ("tool_result", "c1", "error")


def test_a_tool_that_code_calls_is_shown_too() -> None:
    feed, tool = Feeder(), run("look", "tool", node="n", id="t9", input={"q": "x"})
    assert feed(START, tool, {"q": "x"}) == [
        ("tool_call", {"id": "t9", "name": "look", "args": {"q": "x"}, "node": "n"})
    ]
    assert feed(END, tool, ["a"]) == [
        ("tool_result", {"id": "t9", "name": "look", "result": ["a"], "status": "success", "node": "n"})
    ]


def test_a_tool_that_code_calls_for_the_model_is_the_models_call() -> None:
    feed = Feeder()
    feed(TOOL_CALL, run(), call("c1", "look", q="x"))
    tool = run("look", "tool", node="n", id="t9", input={"q": "x"})
    assert feed(START, tool, {"q": "x"}) == []
    assert feed(END, tool, "found")[0][1]["id"] == "c1"


def test_a_call_without_an_id_gets_one() -> None:
    feed = Feeder()
    ((_, fields),) = feed(TOOL_CALL, run(), call(None))
    assert fields["id"]


def test_a_nodes_own_message_is_shown_once_and_keeps_its_id() -> None:
    feed, message = Feeder(), Message("ai", "canned")
    node = run("say", "chain", node="say", input={"messages": []})
    ((_, fields),) = feed(END, node, {"messages": [message]})
    assert (fields["content"], fields["message_id"]) == ("canned", message.id)
    assert message.id
    assert feed(END, node, {"messages": [message]}) == []


def test_old_messages_are_not_told_again() -> None:
    feed, old = Feeder(), Message("ai", "old", "m0")
    node = run("say", "chain", node="say", input={"messages": [old]})
    assert feed(END, node, {"messages": [old, Message("human", "hi", "h1"), Message("system", "secret", "s1")]}) == []


def test_a_silent_model_tells_only_what_it_cost() -> None:
    feed, model = Feeder(), run(tags=("nostream",))
    assert feed.view.interest(model) == END
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    records = feed(END, model, Message(id="m1", content="quiet", usage=usage, tool_calls=[call("c1")]))
    assert [kind for kind, _ in records] == ["usage"]
    # The node that returns the message says it aloud.
    node = run("agent", "chain", node="agent", input={})
    ((kind, fields),) = feed(END, node, {"messages": [Message("ai", "quiet", "m1")]})
    assert (kind, fields["content"]) == ("token", "quiet")


def test_interest_is_only_in_what_is_shown() -> None:
    view = NativeView()
    assert view.interest(run()) & TOKENS
    assert view.interest(run("tools", "chain", node="tools")) == END | CUSTOM
    # Any run may be the one around a model that is asked again.
    assert view.interest(run("inner", "chain", node="tools")) == CUSTOM
    assert view.interest(run("p", "prompt")) == CUSTOM


def test_nothing_is_kept_of_messages_that_ended() -> None:
    feed = Feeder()
    for index in range(100):
        model = run(id=f"r{index}")
        feed.chunk(model, "x", f"m{index}")
        feed(END, model, Message(id=f"m{index}")) if index % 2 else feed(ERROR, model, ValueError())
    assert not feed.view._answers
