"""`import millstream` loads nothing that it does not need; nor does what a plain program takes from it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SRC = Path(__file__).parent.parent / "src"
CLIENTS = {"httpx", "httpx2", "httpcore2", "aiohttp", "requests", "openai", "anthropic"}
DATABASES = {"apsw", "sqlite3", "aiosqlite", "psycopg", "redis"}
WEB = {"fastapi", "starlette", "uvicorn", "http.server"}
NOT_AT_ONCE = CLIENTS | DATABASES | WEB | {"numpy"}
OF_REQUESTS = {f"millstream.providers.{name}" for name in ("asking", "http_async", "json_answers", "openai_chat")}
PYDANTIC = {"annotated_types", "pydantic", "pydantic_core", "typing_extensions", "typing_inspection"}


def loaded(program: str) -> set[str]:
    """The modules that a fresh process has after the program and had not before."""
    script = f"import sys; before = set(sys.modules)\n{program}\nafter = set(sys.modules) - before\nprint(*after)"
    env = {**os.environ, "PYTHONPATH": str(SRC)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def third_party(modules: set[str]) -> set[str]:
    # Of the standard library too, though its list of names leaves it out.
    tops = {module.partition(".")[0] for module in modules if not module.startswith("_sysconfigdata")}
    return tops - set(sys.stdlib_module_names) - {"millstream"}


def test_the_root_alone() -> None:
    modules = loaded("import millstream")
    assert third_party(modules) == set()
    assert {module for module in modules if module.startswith("millstream")} == {"millstream"}
    assert modules & {"asyncio", "typing", "dataclasses", "inspect", "json", "logging", "ssl", "uuid"} == set()


def test_messages_are_only_data() -> None:
    modules = loaded("from millstream import HumanMessage, AIMessageChunk; AIMessageChunk('a') + AIMessageChunk('b')")
    assert third_party(modules) <= {"typing_extensions"}  # TypedDict, before 3.12
    assert "asyncio" not in modules


GRAPH = """
from typing import TypedDict
from millstream import StateGraph

class State(TypedDict):
    n: int

g = StateGraph(State)
g.add_node("a", lambda s: {"n": s["n"] + 1})
g.add_edge("__start__", "a")
assert g.compile().invoke({"n": 1}) == {"n": 2}
"""


def test_a_plain_graph_needs_no_pydantic() -> None:
    modules = loaded(GRAPH)
    assert {module for module in modules if module.startswith("pydantic")} == set()
    assert modules & NOT_AT_ONCE == set()


def test_an_agent_and_a_model_need_no_client_before_a_call() -> None:
    modules = loaded("from millstream import ChatOpenAI, StateGraph, create_react_agent")
    assert modules & NOT_AT_ONCE == set()
    assert third_party(modules) <= PYDANTIC
    assert {module for module in modules if module.startswith("millstream.")} & OF_REQUESTS == set()
    # Pydantic looks for plugins by it when it builds the first schema.
    assert modules & {"asyncio", "importlib.metadata", "json", "logging", "queue"} == set()


def test_a_model_is_made_without_what_requests_need() -> None:
    modules = loaded("from millstream import ChatOpenAI; ChatOpenAI(model='m', base_url='http://127.0.0.1/v1')")
    assert modules & (NOT_AT_ONCE | OF_REQUESTS) == set()


def test_the_measure_sees_what_is_loaded() -> None:
    assert "pydantic" in third_party(loaded("import pydantic"))
    model = "ChatOpenAI(model='m', base_url='http://127.0.0.1/v1')"
    modules = loaded(f"from millstream import ChatOpenAI; {model}._asking(); {model}._async_link(); import logging")
    assert modules >= {"json", "logging", "millstream.providers.asking", "millstream.providers.http_async"}


def test_a_missing_name_is_an_error_here_too() -> None:
    with pytest.raises(AssertionError, match="ImportError"):
        loaded("from millstream import Nope")
