"""The examples in the docstrings of these layers do what they show."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re

import pytest

import millstream
import millstream.chat
import millstream.data

MODULES = [
    f"{package.__name__}.{each.name}"
    for package in (millstream.chat, millstream.data)
    for each in pkgutil.iter_modules(package.__path__)
]


def examples_of(module: str) -> list[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    return [test for test in finder.find(importlib.import_module(module)) if test.examples]


def test_there_are_examples() -> None:
    assert sum(bool(examples_of(module)) for module in MODULES) >= 15


@pytest.mark.parametrize("module", MODULES)
def test_an_example_gives_what_it_shows(module: str) -> None:
    for test in examples_of(module):
        # What an example names and does not make is public, as for its readers.
        names = set(re.findall(r"\w+", "".join(example.source for example in test.examples)))
        public = {name: getattr(millstream, name) for name in names & set(millstream.__all__)}
        test.globs = {**public, "__name__": "example"}
        told: list[str] = []
        outcome = doctest.DocTestRunner(verbose=False).run(test, out=told.append)
        assert outcome.failed == 0, "".join(told)
