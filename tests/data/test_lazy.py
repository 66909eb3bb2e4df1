"""Modules that are imported when something of them is first used."""

from __future__ import annotations

import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from types import ModuleType
from typing import Any

import pytest

from millstream.data import lazy, merging
from millstream.data.lazy import Lazy, logger_of


def test_a_module_takes_the_place_of_what_stood_for_it() -> None:
    into: dict[str, Any] = {"__package__": "millstream.data"}
    module = Lazy("colorsys", into)
    assert "colorsys" not in into
    assert module.rgb_to_hls(0, 0, 0) == (0.0, 0.0, 0.0)
    assert into["colorsys"] is sys.modules["colorsys"]


def test_a_neighbour_takes_its_place_by_its_own_name() -> None:
    into: dict[str, Any] = {"__package__": lazy.__package__}
    assert Lazy(".merging", into).merge_lists is merging.merge_lists
    assert into["merging"] is merging


def test_what_a_module_has_not_is_an_error() -> None:
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = Lazy("colorsys", {"__package__": None}).nothing_like_it


def test_a_thread_that_comes_while_another_imports_waits_for_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gates = ModuleType("half_loaded_gates")
    gates.__dict__.update(begun=Event(), go=Event())
    monkeypatch.setitem(sys.modules, "half_loaded_gates", gates)
    (tmp_path / "half_loaded.py").write_text(
        "from half_loaded_gates import begun, go\nbegun.set()\nassert go.wait(10)\nlast = []\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    into: dict[str, Any] = {"__package__": None}
    module = Lazy("half_loaded", into)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(lambda: module.last)
        assert gates.begun.wait(10)
        second = pool.submit(lambda: module.last)
        with pytest.raises(TimeoutError):
            second.result(0.05)
        gates.go.set()
        assert first.result(10) is second.result(10) is into["half_loaded"].last
    monkeypatch.delitem(sys.modules, "half_loaded")


def test_a_logger_is_the_one_of_its_name(caplog: pytest.LogCaptureFixture) -> None:
    logger = logger_of("millstream.tests.lazy")
    logger.warning("the mill is %s", "dry")
    (record,) = caplog.records
    assert (record.name, record.getMessage(), record.funcName) == (
        "millstream.tests.lazy",
        "the mill is dry",
        "test_a_logger_is_the_one_of_its_name",
    )
    assert logger.getEffectiveLevel() == logging.getLogger("millstream.tests.lazy").getEffectiveLevel()
