"""The one public namespace: every name of `millstream` is there, is documented, and is said to be public where it lives."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections import Counter
from pathlib import Path

import pytest

import millstream

MODULES = sorted(millstream._EXPORTS)
NAMES = [(module, name) for module in MODULES for name in millstream._EXPORTS[module].split()]


def test_no_name_is_given_twice() -> None:
    assert [name for name, times in Counter(name for _, name in NAMES).items() if times > 1] == []


def test_all_is_what_can_be_had() -> None:
    assert millstream.__all__ == sorted(name for _, name in NAMES)
    assert set(millstream.__all__) <= set(dir(millstream))


@pytest.mark.parametrize("module", MODULES)
def test_a_name_is_public_where_it_lives(module: str) -> None:
    names = set(millstream._EXPORTS[module].split())
    public = importlib.import_module(f"millstream.{module}").__all__
    assert len(public) == len(set(public)), "a name stands twice in __all__"
    assert names - set(public) == set()


@pytest.mark.parametrize(("module", "name"), NAMES, ids=[name for _, name in NAMES])
def test_a_name_resolves_and_is_documented(module: str, name: str) -> None:
    value = getattr(millstream, name)
    assert value is getattr(importlib.import_module(f"millstream.{module}"), name)
    if inspect.isclass(value) or inspect.isfunction(value):
        # A docstring of its own: a dataclass's made-up one and a parent's say nothing.
        doc = value.__dict__.get("__doc__") if inspect.isclass(value) else value.__doc__
        assert doc and not doc.startswith(f"{name}("), f"{module}.{name} has no docstring"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nope'"):
        _ = millstream.Nope


def test_checkers_see_the_names_that_there_are() -> None:
    """The imports for type checkers at the end of the root are the table that it loads by."""
    tree = ast.parse(Path(millstream.__file__).read_text())
    seen = [node for node in tree.body if isinstance(node, ast.If)][-1]
    shown = {
        (each.module, alias.name, alias.asname)
        for each in seen.body
        if isinstance(each, ast.ImportFrom)
        for alias in each.names
    }
    assert shown == {(module, name, name) for name, module in millstream._MODULE_OF.items()}
