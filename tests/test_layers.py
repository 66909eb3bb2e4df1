"""The layers import only leftwards, and nothing imports what it must not."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SRC = Path(__file__).parent.parent / "src" / "millstream"
LAYERS = ["errors", "data", "spine", "flow", "chat", "graph", "providers", "serve", "demo", "cli", "__main__"]

# The only calls rightwards, through the lazy root (docs/design.md): part and the pattern of the function's name.
THROUGH_THE_ROOT = {
    "message + x makes a prompt template": ("data", r"__r?add__"),
    "Runnable.as_tool": ("flow", r"as_tool"),
    "Runnable.get_prompts": ("flow", r"get_prompts"),
    '"provider:model" given to an agent': ("graph", r".*model.*"),
}

# Loaded on use, inside the function that needs it.
HEAVY = {
    "pydantic",
    "httpx2",
    "orjson",
    "apsw",
    "aiosqlite",
    "psycopg",
    "redis",
    "fastapi",
    "starlette",
    "uvicorn",
    "numpy",
    "opentelemetry",
}
LIGHT_LAYERS = {"errors", "data", "spine", "flow", "graph"}

# Reading them back can run what the bytes name.
UNSAFE = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "marshal", "shelve", "jsonpickle"}


@dataclass(frozen=True, slots=True)
class Import:
    target: str
    line: int
    function: str | None
    """The innermost function around it; None at module level."""
    typing_only: bool


def part_of(module: str) -> str:
    """The layer that a module of ours is in; "" for the root."""
    return module.removeprefix("millstream").lstrip(".").partition(".")[0]


def imports(source: str, module: str, *, package: bool = False) -> list[Import]:
    """Every import of a module, those inside functions and under TYPE_CHECKING included."""
    return list(_walk(ast.parse(source), module if package else module.rpartition(".")[0], None, False))


def _walk(node: ast.AST, package: str, function: str | None, typing_only: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        inner = child.name if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else function
        guarded = typing_only or (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test))
        for target in _targets(child, package):
            yield Import(target, child.lineno, function, typing_only)  # type: ignore[attr-defined]
        yield from _walk(child, package, inner, guarded)


def _targets(node: ast.AST, package: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = ".".join(
            [*package.split(".")[: len(package.split(".")) - node.level + 1], *(node.module or "").split(".")]
        )
        base = (base if node.level else node.module or "").strip(".")
        # `from .. import data` names a layer; `from ..data import Message` a name in one.
        yield from (f"{base}.{alias.name}" if base == "millstream" else base for alias in node.names)
    elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in {"import_module", "__import__"}:
        first = node.args[0] if node.args else None
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            yield first.value


def wrong(found: Import, module: str) -> str | None:
    """Why a module of ours may not import this; None where it may."""
    top = found.target.partition(".")[0]
    here = part_of(module)
    if top in UNSAFE:
        return f"{top} is imported nowhere: reading it can run code"
    if top in HEAVY and here in LIGHT_LAYERS and found.function is None and not found.typing_only:
        return f"{top} is imported inside the function that needs it, not with {here}"
    if top != "millstream" or here == "testing":
        return None
    there = part_of(found.target)
    if there == "testing":
        return None if here == "cli" else "nothing but tests (and the command line) imports testing"
    if there in LAYERS:
        left = LAYERS.index(there) <= LAYERS.index(here)
        return None if left else f"{there} is to the right of {here}"
    allowed = any(here == part and re.fullmatch(name, found.function or "") for part, name in THROUGH_THE_ROOT.values())
    return None if allowed else f"{found.target} reaches rightwards through the root"


def modules() -> list[tuple[str, Path]]:
    """Every module but the root, which names all layers and loads them lazily."""
    named = []
    for path in sorted(SRC.rglob("*.py")):
        parts = path.relative_to(SRC.parent).with_suffix("").parts
        named.append((".".join(part for part in parts if part != "__init__"), path))
    return [(name, path) for name, path in named if name != "millstream"]


@pytest.mark.parametrize(("module", "path"), modules(), ids=[name for name, _ in modules()])
def test_imports_go_leftwards(module: str, path: Path) -> None:
    assert part_of(module) in {*LAYERS, "testing"}, f"{module} is in no layer"
    found = imports(path.read_text(encoding="utf-8"), module, package=path.name == "__init__.py")
    said = [f"{path}:{it.line}: {why}" for it in found if (why := wrong(it, module))]
    assert not said, "\n".join(said)


def test_the_root_imports_nothing_by_itself() -> None:
    found = imports((SRC / "__init__.py").read_text(encoding="utf-8"), "millstream", package=True)
    assert {it.target for it in found if not it.typing_only} <= {"__future__", "importlib"}


def test_no_two_modules_import_each_other_at_module_level() -> None:
    known = {name for name, _ in modules()}
    graph = {
        name: {
            it.target
            for it in imports(path.read_text(encoding="utf-8"), name, package=path.name == "__init__.py")
            if it.function is None and not it.typing_only and it.target in known
        }
        for name, path in modules()
    }
    assert cycle(graph) is None


def cycle(graph: dict[str, set[str]]) -> list[str] | None:
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> list[str] | None:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return None
        for target in sorted(graph[name]):
            if found := visit(target, [*path, name]):
                return found
        done.add(name)
        return None

    return next((found for name in graph if (found := visit(name, []))), None)


CASES = [
    ("millstream.data.x", "from ..flow import runnable", "flow is to the right of data"),
    ("millstream.data.x", "from .. import chat", "chat is to the right of data"),
    ("millstream.data.x", "from ..errors import MillstreamError", None),
    ("millstream.flow.x", "import millstream.graph.plan", "graph is to the right of flow"),
    ("millstream.flow.x", "def f():\n    from ..graph import plan", "graph is to the right of flow"),
    ("millstream.flow.x", "if TYPE_CHECKING:\n    from ..chat import models", "chat is to the right of flow"),
    (
        "millstream.flow.x",
        "import importlib\nimportlib.import_module('millstream.chat')",
        "chat is to the right of flow",
    ),
    ("millstream.flow.x", "def f():\n    from millstream import tool", "rightwards through the root"),
    ("millstream.flow.x", "class R:\n    def as_tool(self):\n        from millstream import tool", None),
    ("millstream.chat.x", "def as_tool():\n    import millstream", "rightwards through the root"),
    ("millstream.serve.x", "from ..testing import ScriptedModel", "nothing but tests"),
    ("millstream.testing.x", "from ..serve import router", None),
    ("millstream.graph.x", "import pickle", "imported nowhere"),
    ("millstream.graph.x", "def f():\n    import pickle", "imported nowhere"),
    ("millstream.flow.x", "from pydantic import BaseModel", "inside the function"),
    ("millstream.flow.x", "def f():\n    from pydantic import BaseModel", None),
    ("millstream.flow.x", "if TYPE_CHECKING:\n    from pydantic import BaseModel", None),
    ("millstream.chat.x", "from pydantic import BaseModel", None),
]


@pytest.mark.parametrize(("module", "source", "expected"), CASES)
def test_a_bad_import_is_caught(module: str, source: str, expected: str | None) -> None:
    said = [why for it in imports(source, module) if (why := wrong(it, module))]
    assert (len(said) == 1 and expected in said[0]) if expected else not said, said


def test_a_cycle_is_caught() -> None:
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert cycle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) is None
