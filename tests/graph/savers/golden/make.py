"""Writes the golden files of the present format: `PYTHONPATH=src python tests/graph/savers/golden/make.py`.

Run it once for each version of the format, and keep what older versions made: `test_golden.py` reads all of them.
"""

from __future__ import annotations

import hashlib
import json
import operator
import sys
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, TypedDict
from uuid import UUID

from pydantic import BaseModel

from millstream import (
    AIMessage,
    AIMessageChunk,
    Document,
    HumanMessage,
    MessagesState,
    Overwrite,
    RemoveMessage,
    Send,
    SqliteSaver,
    StateGraph,
    SystemMessage,
    ToolMessage,
    interrupt,
    register_type,
)
from millstream.data.record import Record
from millstream.graph.savers.sql import FORMAT

HERE = Path(__file__).parent


class Level(Enum):
    LOW = "low"


@dataclass
class Point:
    x: int
    y: Any = None


class Model(BaseModel):
    name: str
    points: list[Point] = []


for _cls in (Level, Point, Model):
    register_type(_cls, label=f"golden.{_cls.__name__}")


class State(MessagesState):
    log: Annotated[list[Any], operator.add]
    plain: Any


class Work(TypedDict):
    item: int


def values() -> list[Any]:
    """One of everything that can be stored."""
    return [
        None, True, 1, -(2**70), 1.5, "text \u00e9\U0001f600", "half \ud83d", b"\x00\xff", (1, (2,)), {1, 2}, frozenset({"a"}),
        {1: "int", None: "none", (1, 2): "pair"}, datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC), date(2026, 1, 2),
        timedelta(days=1, microseconds=2), UUID(int=7), Decimal("1.10"), Level.LOW, Point(1, Point(2)), Model(name="m", points=[Point(3)]),
        HumanMessage("hi", id="h", name="bob"), SystemMessage([{"type": "text", "text": "s"}], id="s"),
        AIMessage("", id="a", tool_calls=[{"name": "f", "args": {"x": 1}, "id": "c", "type": "tool_call"}],
                  usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}),
        AIMessageChunk("part", id="p"), ToolMessage("r", tool_call_id="c", id="t", artifact={"k": (1,)}), RemoveMessage(id="gone"),
        Document(page_content="d", metadata={"n": 1}), Send("work", {"item": 1}), Overwrite([1]),
        {"lc": 1, "type": "constructor", "id": ["os", "system"]},
    ]  # fmt: skip


def app_on(saver: Any) -> Any:
    """A graph with parallel tasks, a graph inside, a question, and every type in its state."""
    inner = StateGraph(State)
    inner.add_node("ask", lambda state: {"log": [interrupt("name?")]})
    inner.add_edge("__start__", "ask")

    def begin(state: Any) -> Any:
        plain = {} if "plain" in state else {"plain": values()}
        return {**plain, "messages": [AIMessage("answer " * 50, id=f"a{len(state['messages'])}")]}

    graph = StateGraph(State)
    graph.add_node("begin", begin)
    graph.add_node("work", lambda state: {"log": [state["item"]]})
    graph.add_node("inner", inner.compile())
    graph.add_edge("__start__", "begin")
    graph.add_conditional_edges("begin", lambda state: [Send("work", {"item": n}) for n in range(3)], ["work"])
    graph.add_edge("work", "inner")
    return graph.compile(checkpointer=saver)


def print_of(value: Any) -> str:
    """A value in short. (What is shown of a set of texts depends on the process; there is none with two.)"""
    return hashlib.sha256(repr(_bare(value)).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _bare(value: Any) -> Any:
    """Objects by what they hold: how they look may change, what was stored may not."""
    if isinstance(value, Record):
        return type(value).__name__, sorted((name, _bare(each)) for name, each in value._state().items())
    if is_dataclass(value) and not isinstance(value, type):
        return type(value).__name__, [(each.name, _bare(getattr(value, each.name))) for each in fields(value)]
    if isinstance(value, dict):
        return {key: _bare(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_bare(each) for each in value]
    return value


def summary(saver: Any) -> list[dict[str, Any]]:
    """What a file holds, as text that can be compared."""
    return [
        {
            "thread": found.config["configurable"]["thread_id"],
            "ns": found.config["configurable"]["checkpoint_ns"],
            "id": found.checkpoint["id"],
            "parent": None if found.parent_config is None else found.parent_config["configurable"]["checkpoint_id"],
            "metadata": found.metadata,
            "values": print_of(found.checkpoint["channel_values"]),
            "writes": print_of(_records(saver, found.config["configurable"])),
        }
        for found in saver.list(None)
    ]


def _records(saver: Any, at: dict[str, Any]) -> Any:
    """What is stored beside a checkpoint, without what the next one says of its tasks."""
    return saver.load(at["thread_id"], at["checkpoint_ns"], at["checkpoint_id"], True).records


def main() -> None:
    path = HERE / f"v{FORMAT}.sqlite"
    if path.exists():
        sys.exit(f"{path} is there already: what was written once is kept.")
    with SqliteSaver.from_conn_string(str(path)) as saver:
        app = app_on(saver)
        for turn in range(12):
            config: Any = {"configurable": {"thread_id": "long"}}
            app.invoke({"messages": [HumanMessage("question " * 20, id=f"h{turn}")], "log": []}, config)
        app.invoke({"messages": [HumanMessage("hello", id="h")], "log": []}, {"configurable": {"thread_id": "asking"}})
        app.update_state({"configurable": {"thread_id": "updated"}}, {"log": ["by hand"]}, as_node="begin")
        saver.acquire_lease("leased").release()
        held = summary(saver)
    path.with_suffix(".json").write_text(json.dumps(held, indent=1, ensure_ascii=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
