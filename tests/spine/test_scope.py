"""How a config is resolved against the surrounding scope."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from millstream import RunnableConfig, RunnableLambda, dispatch_custom_event, get_config, merge_configs
from millstream.errors import InvalidType, OutsideRun
from millstream.spine.events import EVERYTHING, Event
from millstream.spine.run import Run
from millstream.spine.scope import ROOT, enter


class Recorder:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def interest(self, run: Run) -> int:
        return EVERYTHING

    def feed(self, event: Event) -> None:
        self.events.append(event)


def test_defaults_and_unknown_keys() -> None:
    config = enter({"thread": 1, "configurable": {"a": 2}}).config()
    assert config["configurable"] == {"a": 2, "thread": 1}
    assert config["recursion_limit"] == 25
    assert config["tags"] == [] and config["metadata"] == {} and config["callbacks"] is None
    assert "run_name" not in config and "max_concurrency" not in config


def test_the_callers_objects_are_never_changed() -> None:
    given: Any = {"tags": ["a"], "metadata": {"m": 1}, "configurable": {"model": "x"}}
    scope = enter(given)
    scope.config()["tags"].append("b")
    assert scope.config()["metadata"] == {"m": 1, "model": "x"}
    assert given == {"tags": ["a"], "metadata": {"m": 1}, "configurable": {"model": "x"}}


@pytest.mark.parametrize("bad", ["text", 3, ["tags"]])
def test_a_config_that_is_no_dict(bad: Any) -> None:
    with pytest.raises(InvalidType, match="config must be a dict"):
        enter(bad)


def test_tags_given_as_one_string() -> None:
    with pytest.raises(InvalidType, match=r"write \['solo'\]"):
        enter({"tags": "solo"})


def test_callbacks_that_are_no_listeners() -> None:
    with pytest.raises(InvalidType, match=r"`interest\(run\)` and `feed\(event\)`"):
        enter({"callbacks": [object()]})


def test_get_config_outside_of_a_run() -> None:
    with pytest.raises(OutsideRun, match="outside of a runnable context"):
        get_config()
    assert RunnableLambda(lambda _: get_config()["recursion_limit"]).invoke(0) == 25


def test_nested_calls_inherit_all_but_name_and_id() -> None:
    recorder = Recorder()
    seen: list[Any] = []
    inner = RunnableLambda(lambda x: seen.append(get_config()) or x, name="inner")
    outer = RunnableLambda(lambda x: inner.invoke(x, {"tags": ["own"]}), name="outer")
    run_id = UUID(int=7)
    outer.invoke(
        1,
        {"tags": ["t"], "metadata": {"m": 1}, "run_name": "shown", "run_id": run_id, "callbacks": [recorder], "x": 5},  # type: ignore[typeddict-unknown-key]
    )
    runs = list(dict.fromkeys(event.run for event in recorder.events))
    assert [run.name for run in runs] == ["shown", "inner"]
    assert runs[0].id == str(run_id) != runs[1].id
    assert runs[1].parent is runs[0] and runs[1].parent_ids == [runs[0].id]
    assert runs[1].tags == ("t", "own")
    assert seen[0]["tags"] == ["own"] and seen[0]["metadata"] == {"m": 1} and seen[0]["configurable"] == {"x": 5}


def test_a_config_handed_on_explicitly_keeps_the_place_in_the_tree() -> None:
    recorder = Recorder()
    inner = RunnableLambda(lambda x: x, name="inner")

    def outer(value: int, config: Any) -> int:
        return inner.invoke(value, config)

    RunnableLambda(outer).invoke(1, {"callbacks": [recorder]})
    inner_run = next(event.run for event in recorder.events if event.run.name == "inner")
    assert inner_run.parent is not None and inner_run.parent.name == "outer"


def test_a_bound_config_lies_under_that_of_the_call() -> None:
    seen: list[Any] = []
    look = RunnableLambda(lambda x: seen.append(get_config()) or x)
    bound = look.with_config(tags=["b", "a"], metadata={"m": 1, "k": 1}, run_name="bound")
    bound.invoke(0, {"tags": ["c"], "metadata": {"m": 2}})
    assert seen[0]["tags"] == ["a", "b", "c"]
    assert seen[0]["metadata"] == {"m": 2, "k": 1}
    assert bound.with_config(tags=["z"]).config["tags"] == ["z"]  # replaced, not merged
    recorder = Recorder()
    bound.invoke(0, {"callbacks": [recorder]})
    assert recorder.events[0].run.name == "bound"


def test_custom_events_belong_to_the_surrounding_run() -> None:
    recorder = Recorder()
    RunnableLambda(lambda _: dispatch_custom_event("progress", 50), name="work").invoke(0, {"callbacks": [recorder]})
    (event,) = [event for event in recorder.events if event.data == ("progress", 50)]
    assert event.run.name == "work"
    # A config of one's own hands on no run; that of a run that nobody watches does.
    for config in (None, {"tags": ["a"]}, {"callbacks": [recorder]}):
        with pytest.raises(OutsideRun, match="outside of a run"):
            dispatch_custom_event("progress", 50, config=config)
    configs: list[Any] = []

    def keep(x: int, config: RunnableConfig) -> None:
        configs.append(config)

    for callbacks in (None, [recorder]):
        RunnableLambda(keep, name="work").invoke(0, {"callbacks": callbacks})
        dispatch_custom_event("late", 100, config=configs[-1])
    assert recorder.events[-1].data == ("late", 100)


def test_a_scope_without_config_is_shared() -> None:
    assert enter(None) is ROOT
    assert ROOT.inner() is ROOT and ROOT.child("seq:step:1") is ROOT


def test_an_error_names_the_innermost_run_once() -> None:
    def fail(_: Any) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no") as caught:
        (RunnableLambda(lambda x: x) | RunnableLambda(fail)).invoke(1, {"callbacks": [Recorder()]})
    assert caught.value.__notes__ == ["while running 'fail' (chain)"]


def test_a_config_shows_the_metadata_that_it_was_given_and_runs_have_all() -> None:
    shown: list[Any] = []

    def inner(x: int, config: Any) -> int:
        shown.append(config["metadata"])
        return int(RunnableLambda(lambda y, config: shown.append(config["metadata"]) or y, name="innermost").invoke(x))

    def outer(x: int) -> int:
        bound = RunnableLambda(inner).with_config(metadata={"bound": 1})
        bound.invoke(x)
        return int(bound.invoke(x, {"metadata": {"own": 1}, "configurable": {"model": "m"}}))

    recorder = Recorder()
    RunnableLambda(outer).invoke(1, {"metadata": {"outer": 1}, "callbacks": [recorder]})
    alone, given = {"bound": 1}, {"bound": 1, "own": 1, "model": "m"}
    assert shown == [alone, alone, given, given]
    assert recorder.events[-2].run.metadata == {"outer": 1, **given}


def test_no_config_is_merged_to_none_and_a_none_is_no_value() -> None:
    assert merge_configs() == merge_configs(None, None) == {}
    seen = RunnableLambda(lambda x, config: config["configurable"]).invoke(1, {"a": 1, "b": None})  # type: ignore[typeddict-unknown-key]
    assert seen == {"a": 1}


def test_merged_configs_inherit_from_the_surrounding_run() -> None:
    def merged(x: int) -> Any:
        return merge_configs({"tags": ["own"]}, {"max_concurrency": None})

    config = {"tags": ["t"], "metadata": {"m": 1}, "recursion_limit": 7}
    found = RunnableLambda(merged).invoke(1, config)  # type: ignore[arg-type]
    assert found == {
        "tags": ["own", "t"],
        "metadata": {"m": 1},
        "configurable": {},
        "recursion_limit": 7,
    }
    assert merge_configs({"max_concurrency": None}, {"x": 1}) == {"tags": [], "metadata": {}, "configurable": {"x": 1}}


def test_runs_of_types_that_no_listener_names_are_not_heard() -> None:
    class Tools(Recorder):
        types = frozenset({"tool"})

    quiet, tools, all_of_them = ROOT, ROOT.with_listener(Tools()), ROOT.with_listener(Tools()).with_listener(Recorder())
    assert [scope.heard("tool") for scope in (quiet, tools, all_of_them)] == [False, True, True]
    assert [scope.heard("chain") for scope in (quiet, tools, all_of_them)] == [False, False, True]
    # A listener without `types` is asked about every run, wherever it was added.
    heard = Recorder()
    chain = RunnableLambda(lambda n: n) | RunnableLambda(lambda n: n).with_config({"callbacks": [heard]})
    assert chain.invoke(1, {"callbacks": [Tools()]}) == 1
    assert {event.run.name for event in heard.events} == {"RunnableLambda"}
