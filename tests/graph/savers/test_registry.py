"""Which classes are registered by themselves, and what is said of the others."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, TypedDict

import pytest
from graph_helpers import graph_of, thread
from pydantic import BaseModel

from millstream import (
    InMemorySaver,
    InvalidType,
    StateGraph,
    ToolNode,
    create_agent,
    create_react_agent,
    entrypoint,
    task,
    tool,
)
from millstream.graph.savers.registry import label_of
from millstream.testing import ScriptedChatModel


@dataclass
class Named:
    x: int


class Level(Enum):
    LOW = 1


class Inner(TypedDict):
    level: Level


class Outer(TypedDict):
    named: Named | None
    inner: Inner


class FormA(BaseModel):
    text: str


class FormB(BaseModel):
    text: str


@dataclass
class Argument:
    x: int


@dataclass
class Found:
    x: int


@dataclass
class OfTask:
    x: int


@dataclass
class OfEntry:
    x: int


@dataclass
class Stranger:
    x: int


@tool
def look(argument: Argument) -> list[Found]:
    """Look."""
    return [Found(argument.x)]


def test_compiling_registers_what_schemas_name() -> None:
    assert label_of(Named) is None
    graph = StateGraph(Outer).add_node("a", lambda s: None).add_edge("__start__", "a")
    graph.compile()  # also one that will be inside another
    assert label_of(Named) and label_of(Level)


def test_compiling_registers_what_tools_name() -> None:
    graph = graph_of(tools=ToolNode([look]))
    graph.compile()
    assert label_of(Argument) and label_of(Found)


def test_compiling_registers_the_form_of_an_answer() -> None:
    model = ScriptedChatModel(["x"])
    create_react_agent(model, [], response_format=FormA)
    create_agent(model, [], response_format=FormB)
    assert label_of(FormA) and label_of(FormB)


def test_tasks_and_workflows_register_what_they_name() -> None:
    @task
    def one(value: OfTask) -> None:
        pass

    @entrypoint()
    def flow(value: OfEntry) -> None:
        pass

    assert label_of(OfTask) and label_of(OfEntry)


def test_what_nobody_named_is_refused_at_the_write() -> None:
    def node(state: Any) -> Any:
        return {"log": [Stranger(1)]}

    app = graph_of(a=node).compile(checkpointer=InMemorySaver())
    with pytest.raises(InvalidType, match=r"Stranger cannot be stored.*register_type"):
        app.invoke({"log": []}, thread())
