"""What a saver forgets, and that what it keeps reads as before."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from graph_helpers import graph_of, thread

from millstream import AsyncSqliteSaver, CheckpointGone, interrupt


def growing(saver: Any, **options: Any) -> Any:
    return graph_of(a=lambda state: {"log": [f"{len(state['log'])} " + "long " * 400]}).compile(
        checkpointer=saver, **options
    )


def values_by_id(saver: Any, id: str = "1") -> dict[str, Any]:
    return {found.checkpoint["id"]: found.checkpoint["channel_values"] for found in saver.list(thread(id))}


@pytest.mark.parametrize("keep", [1, 2, 7])
def test_the_newest_are_kept_and_read_as_before(saver: Any, keep: int) -> None:
    app = growing(saver)
    for id in "12":
        for _ in range(12):
            app.invoke({"log": ["in"]}, thread(id))
    before, other = values_by_id(saver), values_by_id(saver, "2")
    saver.prune(["1"], keep=keep)
    after = values_by_id(saver)
    assert list(after.items()) == list(before.items())[:keep]
    assert values_by_id(saver, "2") == other
    oldest = list(saver.list(thread("1")))[-1]
    assert oldest.parent_config is None
    result = app.invoke({"log": ["in"]}, thread("1"))
    assert len(result["log"]) == 26
    assert app.get_state(thread("1")).values == result
    assert len(list(app.get_state_history(thread("1")))) == keep + 3


def test_branches_are_kept_whole(saver: Any) -> None:
    app = growing(saver)
    for _ in range(6):
        app.invoke({"log": ["in"]}, thread())
    old = list(app.get_state_history(thread()))[9].config
    app.invoke({"log": ["branch"]}, old)
    before = values_by_id(saver)
    saver.prune(keep=8)
    assert list(values_by_id(saver).items()) == list(before.items())[:8]


def test_only_what_is_older_goes(saver: Any) -> None:
    app = growing(saver)
    app.invoke({"log": ["in"]}, thread())
    moment = datetime.now(UTC)
    app.invoke({"log": ["in"]}, thread())
    before = values_by_id(saver)
    saver.prune(older_than=timedelta(hours=1))
    assert values_by_id(saver) == before
    saver.prune(older_than=moment)
    assert list(values_by_id(saver).items()) == list(before.items())[:3]
    saver.prune(["1"], strategy="delete", older_than=moment)
    assert len(values_by_id(saver)) == 3
    saver.prune(["1"], strategy="delete")
    assert values_by_id(saver) == {}


def test_the_states_of_graphs_inside_go_with_the_checkpoints_they_belong_to(saver: Any) -> None:
    inner = graph_of(b=lambda state: {"log": [interrupt("?")]}).compile()
    kept = graph_of(c=lambda state: {"log": ["c"]}).compile(checkpointer=True)
    app = graph_of(("kept", "inner"), kept=kept, inner=inner).compile(checkpointer=saver)
    for _ in range(4):
        app.invoke({"log": []}, thread())
    names = [found.config["configurable"]["checkpoint_ns"] for found in saver.list(thread())]
    assert sum(":" in name for name in names) == 4 * 2
    saver.prune()
    left = [found.config["configurable"]["checkpoint_ns"] for found in saver.list(thread())]
    assert sorted(name.partition(":")[0] for name in left) == ["", "inner", "inner", "kept"]
    assert app.get_state(thread(), subgraphs=True).tasks[0].state.interrupts[0].value == "?"


def test_checkpoints_of_runs_are_forgotten(saver: Any) -> None:
    app = growing(saver)
    for run in ("r1", "r2", "r3"):
        app.invoke({"log": ["in"]}, thread("1", metadata={"run_id": run}))
    before = values_by_id(saver)
    saver.delete_for_runs(["r2"])
    assert list(values_by_id(saver).items()) == [*list(before.items())[:3], *list(before.items())[6:]]


def test_a_copied_thread_goes_its_own_way(saver: Any) -> None:
    app = growing(saver)
    for _ in range(5):
        app.invoke({"log": ["in"]}, thread("1"))
    before = values_by_id(saver)
    saver.copy_thread("1", "2")
    assert values_by_id(saver, "2") == before
    app.invoke({"log": ["in"]}, thread("2"))
    saver.delete_thread("2")
    assert values_by_id(saver) == before


def test_a_thread_that_was_erased_while_a_run_went_on_stays_erased(saver: Any) -> None:
    def forget(state: Any) -> Any:
        saver.delete_thread("1")
        return {"log": ["late"]}

    app = graph_of(a=forget).compile(checkpointer=saver)
    with pytest.raises(CheckpointGone, match="erased while the run went on"):
        app.invoke({"log": ["secret"]}, thread())
    assert list(saver.list(None)) == []


def test_arguments_are_checked(saver: Any) -> None:
    for options in ({"strategy": "all"}, {"keep": 0}, {"thread_ids": "1"}):
        with pytest.raises(ValueError):
            saver.prune(**options)


def stored(folder: Path) -> int:
    return sum(each.stat().st_size for each in folder.iterdir())


def test_space_is_given_back(tmp_path: Path) -> None:
    async def main() -> None:
        path = str(tmp_path / "t.sqlite")
        async with AsyncSqliteSaver.from_conn_string(path) as saver:
            app = growing(saver)
            for _ in range(60):
                await app.ainvoke({"log": ["in"]}, thread())
            await saver.aprune()
            assert stored(tmp_path) < 250_000
            assert len((await app.aget_state(thread())).values["log"]) == 120
            await saver.acopy_thread("1", "2")
            await saver.adelete_for_runs(["none"])
            await saver.adelete_thread("1")
            assert [found.config["configurable"]["thread_id"] async for found in saver.alist(None)] == ["2"]

    asyncio.run(main())
