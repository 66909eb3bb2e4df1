"""Leases: one owner of a thread, and nothing stored by another one; and steps that are committed once without them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from graph_helpers import graph_of, thread

from millstream import (
    AsyncSqliteSaver,
    Command,
    Lease,
    LeaseHeld,
    LeaseLost,
    PostgresSaver,
    SqliteSaver,
    StepAlreadyCommitted,
    interrupt,
)
from millstream.graph.savers import leases


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let the clock of leases go forward."""
    now = [1000.0]
    monkeypatch.setattr("millstream.graph.savers.sql_saver.clock", lambda: now[0])
    monkeypatch.setattr("millstream.graph.savers.memory.clock", lambda: now[0])

    def of_postgres() -> Any:
        yield from ()
        return now[0]

    monkeypatch.setattr(PostgresSaver, "now", staticmethod(of_postgres))

    def forward(seconds: float) -> None:
        now[0] += seconds

    return forward


def under(lease: Lease | None, id: str = "1") -> Any:
    return {"configurable": {"thread_id": id, "lease": lease}}


def app_on(saver: Any) -> Any:
    return graph_of(a=lambda state: {"log": ["a"]}).compile(checkpointer=saver)


def test_the_owner_works_and_others_are_refused(saver: Any, later: Any) -> None:
    app = app_on(saver)
    lease = saver.acquire_lease("1", seconds=30)
    assert app.invoke({"log": []}, under(lease)) == {"log": ["a"]}
    with pytest.raises(LeaseHeld, match="lease") as refused:
        app.invoke({"log": []}, thread("1"))
    assert refused.value.thread_id == "1"
    assert refused.value.seconds == 30
    with pytest.raises(LeaseHeld):
        saver.acquire_lease("1")
    assert app.get_state(thread("1")).values == {"log": ["a"]}  # reading needs none
    assert app.invoke({"log": []}, thread("2")) == {"log": ["a"]}
    lease.release()
    assert app.invoke({"log": []}, thread("1")) == {"log": ["a", "a"]}


def test_an_owner_that_slept_too_long_stores_nothing(saver: Any, later: Any) -> None:
    app = app_on(saver)
    first = saver.acquire_lease("1", seconds=30)
    app.invoke({"log": []}, under(first))
    later(31)
    second = saver.acquire_lease("1", seconds=30)
    assert second.epoch == first.epoch + 1
    before = list(saver.list(thread("1")))
    for attempt in (
        lambda: app.invoke({"log": []}, under(first)),
        lambda: app.update_state(under(first), {"log": ["x"]}),
        lambda: saver.put_writes(
            {"configurable": {**before[0].config["configurable"], "lease": first}}, [("k", 1)], "t"
        ),
        first.renew,
    ):
        with pytest.raises(LeaseLost, match="epoch 1") as lost:
            attempt()
        assert (lost.value.thread_id, lost.value.epoch) == ("1", 1)
    first.release()  # not the thread's any more: does nothing
    assert list(saver.list(thread("1"))) == before
    assert app.invoke({"log": []}, under(second)) == {"log": ["a", "a"]}


def test_a_lease_that_ran_out_is_kept_until_somebody_comes(saver: Any, later: Any) -> None:
    app = app_on(saver)
    lease = saver.acquire_lease("1", seconds=1)
    later(5)
    assert app.invoke({"log": []}, under(lease)) == {"log": ["a"]}
    lease.renew(10)
    later(9)
    with pytest.raises(LeaseHeld):
        app.invoke({"log": []}, thread("1"))
    later(2)
    app.invoke({"log": []}, thread("1"))  # somebody without a lease
    with pytest.raises(LeaseLost):
        app.invoke({"log": []}, under(lease))


def test_a_clock_that_began_anew_ends_leases(saver: Any, later: Any) -> None:
    saver.acquire_lease("1", seconds=30)
    later(-900)
    assert saver.acquire_lease("1").epoch == 2


def test_a_lease_is_for_its_thread(saver: Any) -> None:
    with saver.acquire_lease("1") as lease, pytest.raises(ValueError, match=r"thread '1'.*thread '2'"):
        app_on(saver).invoke({"log": []}, under(lease, "2"))
    with pytest.raises(ValueError, match="acquire_lease"):
        app_on(saver).invoke({"log": []}, under("mine"))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="more than 0"):
        saver.acquire_lease("1", seconds=0)


def test_an_erased_thread_takes_its_lease_with_it(saver: Any) -> None:
    app = app_on(saver)
    lease = saver.acquire_lease("1")
    app.invoke({"log": []}, under(lease))
    saver.delete_thread("1")
    again = saver.acquire_lease("1")
    assert again.epoch == lease.epoch  # a row as new, and still not the old owner's
    with pytest.raises(LeaseLost):
        app.invoke({"log": []}, under(lease))


def test_a_subgraph_works_under_the_lease_of_its_run(saver: Any) -> None:
    inner = graph_of(b=lambda state: {"log": ["b"]}).compile(checkpointer=True)
    app = graph_of(inner=inner).compile(checkpointer=saver)
    lease = saver.acquire_lease("1")
    assert app.invoke({"log": []}, under(lease))["log"] == ["b"]
    assert {found.config["configurable"]["checkpoint_ns"] for found in saver.list(thread("1"))} == {"", "inner"}


def test_leases_in_async_programs(tmp_path: Path) -> None:
    async def main() -> None:
        async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "t.sqlite")) as saver:
            app = app_on(saver)
            async with await saver.aacquire_lease("1") as lease:
                await lease.arenew()
                assert await app.ainvoke({"log": []}, under(lease)) == {"log": ["a"]}
                with pytest.raises(LeaseHeld):
                    await app.ainvoke({"log": []}, thread("1"))
                with pytest.raises(LeaseHeld):
                    await saver.aacquire_lease("1")
            assert await app.ainvoke({"log": []}, thread("1")) == {"log": ["a", "a"]}
        with SqliteSaver.from_conn_string(str(tmp_path / "t.sqlite")) as other:
            lease = await other.aacquire_lease("1")  # on a worker thread
            assert lease.epoch == 2
            await lease.arelease()

    asyncio.run(main())


def test_the_clock_of_leases_only_goes_forward() -> None:
    assert leases.clock() <= leases.clock()


# -- without leases --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("durability", ["sync", "async"])
def test_a_second_owner_cannot_end_the_same_step(saver: Any, durability: Any) -> None:
    runs: list[Any] = []

    def meddle(state: Any) -> Any:
        runs.append(None)
        if len(runs) == 2:
            runs.append(app.invoke(None, thread(), durability="sync"))  # somebody else resumes the same run meanwhile
        return {"log": ["done"]}

    app = graph_of(("a", "b"), a=lambda s: None, b=meddle).compile(checkpointer=saver, interrupt_before=["b"])
    app.invoke({"log": []}, thread())
    runs.append(None)
    with pytest.raises(StepAlreadyCommitted, match="same step"):
        app.invoke(None, thread(), durability=durability)
    assert runs[-1] == {"log": ["done"]}
    steps = [found.metadata["step"] for found in saver.list(thread())]
    assert len(steps) == len(set(steps))
    assert app.get_state(thread()).values == {"log": ["done"]}


def test_runs_with_inputs_of_their_own_do_not_meet(saver: Any) -> None:
    def nest(state: Any) -> Any:
        if state["log"] == ["outer"]:
            app.invoke({"log": ["inner"]}, thread())
        return {"log": ["done"]}

    app = graph_of(a=nest).compile(checkpointer=saver)
    app.invoke({"log": ["outer"]}, thread())
    assert app.get_state(thread()).values["log"][0] == "outer"


# -- questions of named checkpoints ------------------------------------------------------------------------------------


def asking(saver: Any, *questions: str) -> Any:
    def ask(state: Any) -> Any:
        return {"log": [interrupt(question) for question in questions]}

    return graph_of(ask=ask).compile(checkpointer=saver)


def test_a_question_is_answered_at_the_checkpoint_that_asked_it(saver: Any) -> None:
    app = asking(saver, "?")
    app.invoke({"log": []}, thread())
    asked = app.get_state(thread()).config
    assert "checkpoint_id" in asked["configurable"]
    assert app.invoke(Command(resume="x"), asked)["log"] == ["x"]
    assert [found.metadata["step"] for found in saver.list(thread())] == [1, 0, -1]


def test_an_answer_that_was_given_wins_over_another_one(saver: Any) -> None:
    app = asking(saver, "?")
    app.invoke({"log": []}, thread())
    asked = app.get_state(thread()).config
    app.invoke(Command(resume="x"), thread())
    # By the checkpoint's id a branch may begin where the step has ended already.
    assert app.invoke(Command(resume="y"), asked)["log"] == ["x"]
    found = list(saver.list(thread()))
    assert [each.metadata["step"] for each in found] == [1, 1, 0, -1]
    assert "fork" not in {each.metadata["source"] for each in found}
    # To answer otherwise: go back first, which asks again.
    again = app.invoke(None, asked)
    assert [question.value for question in again["__interrupt__"]] == ["?"]
    assert app.invoke(Command(resume="z"), thread())["log"] == ["z"]


def test_the_second_of_two_questions_is_answered_at_its_checkpoint(saver: Any) -> None:
    app = asking(saver, "1?", "2?")
    app.invoke({"log": []}, thread())
    app.invoke(Command(resume="one"), thread())
    asked = app.get_state(thread()).config
    assert app.invoke(Command(resume="two"), asked)["log"] == ["one", "two"]
