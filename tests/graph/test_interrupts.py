"""Questions to a person, breakpoints, and going on with their answers; the same in every colour."""

from __future__ import annotations

from typing import Any, TypedDict

import pytest
from colours import Colour, colour
from graph_helpers import chunks, graph_of, run, thread

from millstream import START, CannotResume, Command, GraphInterrupt, InMemorySaver, Interrupt, interrupt

__all__ = ["colour"]


def asking(c: Colour, *questions: Any, ran: list[str] | None = None, name: str = "ask") -> Any:
    def ask(state: Any) -> Any:
        if ran is not None:
            ran.append(name)
        return {"log": [interrupt(question) for question in questions]}

    return c.function(ask)


async def snapshot(c: Colour, app: Any, config: Any, **options: Any) -> Any:
    return app.get_state(config, **options) if c.sync else await app.aget_state(config, **options)


def test_a_question_stops_the_run_and_its_answer_goes_on(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        ran: list[str] = []
        app = graph_of(
            ("a", "ask"), ("ask", "b"),
            a=c.function(lambda s: {"log": ["a"]}), ask=asking(c, {"q": 1}, ran=ran), b=c.function(lambda s: {"log": ["b"]}),
        ).compile(checkpointer=InMemorySaver())  # fmt: skip
        paused = await run(c, app, {"log": []}, thread())
        [question] = paused["__interrupt__"]
        assert question == Interrupt({"q": 1}, question.id)
        assert paused["log"] == ["a"]
        state = await snapshot(c, app, thread())
        assert (state.next, state.interrupts, state.tasks[0].interrupts) == (("ask",), (question,), (question,))
        again = await run(c, app, None, thread())
        assert again["__interrupt__"] == [question]  # not answered: asked again, under the same id
        assert await run(c, app, Command(resume="yes"), thread()) == {"log": ["a", "yes", "b"]}
        assert ran == ["ask"] * 3
        assert (await snapshot(c, app, thread())).next == ()

    colour.run(body)


def test_what_the_stream_says_of_it(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app = graph_of(ask=asking(c, "q")).compile(checkpointer=InMemorySaver())
        found = await chunks(c, app, {"log": []}, thread(), stream_mode=["values", "updates"])
        question = found[1][1]["__interrupt__"][0]
        assert found == [
            ("values", {"log": []}),
            ("updates", {"__interrupt__": (question,)}),
            ("values", {"log": [], "__interrupt__": (question,)}),
        ]

    colour.run(body)


@pytest.mark.parametrize("answer", [0, "", [], False, {"not": "an id"}])
def test_falsy_answers_are_answers(answer: Any, colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app = graph_of(ask=asking(c, "q")).compile(checkpointer=InMemorySaver())
        await run(c, app, {"log": []}, thread())
        assert await run(c, app, Command(resume=answer), thread()) == {"log": [answer]}

    colour.run(body)


def test_questions_of_one_node_are_answered_in_order(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app = graph_of(ask=asking(c, "name?", "age?")).compile(checkpointer=InMemorySaver())
        first = (await run(c, app, {"log": []}, thread()))["__interrupt__"][0]
        second = (await run(c, app, Command(resume="bob"), thread()))["__interrupt__"][0]
        assert (first.value, second.value) == ("name?", "age?")
        assert first.id != second.id
        assert await run(c, app, Command(resume=7), thread()) == {"log": ["bob", 7]}

    colour.run(body)


def test_several_questions_at_once_are_answered_by_id_in_rounds(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        ran: list[str] = []
        nodes = {name: asking(c, name, ran=ran, name=name) for name in "abc"}
        nodes["plain"] = c.function(lambda s: ran.append("plain") or {"log": ["plain"]})
        app = graph_of(*[(START, name) for name in nodes], **nodes).compile(checkpointer=InMemorySaver())
        paused = await run(c, app, {"log": []}, thread())
        assert paused["log"] == ["plain"]  # shown, though the step is not over
        ids = {question.value: question.id for question in paused["__interrupt__"]}
        with pytest.raises(CannotResume, match="multiple pending interrupts") as caught:
            await run(c, app, Command(resume="x"), thread())
        assert isinstance(caught.value, RuntimeError)
        left = await run(c, app, Command(resume={ids["b"]: "B", ids["c"]: "C"}), thread())
        assert [(q.value, q.id) for q in left["__interrupt__"]] == [("a", ids["a"])]
        state = await snapshot(c, app, thread())
        assert state.next == ("a",)
        assert state.values == {"log": ["B", "C", "plain"]}
        assert await run(c, app, Command(resume="A"), thread()) == {"log": ["A", "B", "C", "plain"]}
        assert {name: ran.count(name) for name in nodes} == {"a": 3, "b": 2, "c": 2, "plain": 1}

    colour.run(body)


def test_a_graph_inside_asks_and_goes_on_where_it_was(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        ran: list[str] = []
        first = c.function(lambda s: ran.append("first") or {"log": ["first"]})
        kid = graph_of(("first", "ask"), first=first, ask=asking(c, "q", ran=ran)).compile()
        app = graph_of(kid=kid).compile(checkpointer=InMemorySaver())
        await run(c, app, {"log": []}, thread())
        state = await snapshot(c, app, thread(), subgraphs=True)
        assert state.next == ("kid",)
        assert state.tasks[0].state.next == ("ask",)
        assert state.tasks[0].state.values == {"log": ["first"]}
        assert await run(c, app, Command(resume="yes"), thread()) == {"log": ["first", "yes"]}
        assert ran == ["first", "ask", "ask"]

    colour.run(body)


def test_without_a_checkpointer_it_stops_and_cannot_go_on(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app = graph_of(ask=asking(c, "q")).compile()
        assert [q.value for q in (await run(c, app, {"log": []}))["__interrupt__"]] == ["q"]
        with pytest.raises(RuntimeError, match="without checkpointer"):
            await run(c, app, Command(resume=1))

    colour.run(body)


def test_an_answer_is_checked_against_its_schema(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app = graph_of(ask=c.function(lambda s: {"log": [interrupt("n?", response_schema=int)]})).compile(
            checkpointer=InMemorySaver()
        )
        await run(c, app, {"log": []}, thread())
        with pytest.raises(ValueError, match="int"):
            await run(c, app, Command(resume="many"), thread())
        assert [q.value for q in (await snapshot(c, app, thread())).interrupts] == ["n?"]
        assert await run(c, app, Command(resume="7"), thread()) == {"log": [7]}

    colour.run(body)


class Name(TypedDict):
    first: str


def test_an_answer_may_have_the_form_of_a_typed_dict(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        ask = c.function(lambda s: {"log": [interrupt("n?", response_schema=list[Name])]})
        app = graph_of(ask=ask).compile(checkpointer=InMemorySaver())
        await run(c, app, {"log": []}, thread())
        with pytest.raises(ValueError, match="first"):
            await run(c, app, Command(resume=[{}]), thread())
        assert await run(c, app, Command(resume=[{"first": "Ann"}]), thread()) == {"log": [[{"first": "Ann"}]]}

    colour.run(body)


def test_outside_of_a_node_nobody_can_be_asked() -> None:
    with pytest.raises(RuntimeError, match="outside of a graph's run"):
        interrupt("q")


def test_breakpoints_stop_before_and_after(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        nodes = {name: c.function(lambda s, name=name: {"log": [name]}) for name in "abc"}
        if not c.sync:
            nodes = {name: _node(name) for name in "abc"}
        app = graph_of(("a", "b"), ("b", "c"), **nodes).compile(
            checkpointer=InMemorySaver(), interrupt_before=["b"], interrupt_after=["b"]
        )
        assert (await chunks(c, app, {"log": []}, thread()))[-1] == {"__interrupt__": ()}
        assert (await snapshot(c, app, thread())).next == ("b",)
        assert await run(c, app, None, thread()) == {"log": ["a", "b"]}
        assert (await snapshot(c, app, thread())).next == ("c",)
        assert await run(c, app, None, thread()) == {"log": ["a", "b", "c"]}

    colour.run(body)


def _node(name: str) -> Any:
    async def node(state: Any) -> Any:
        return {"log": [name]}

    return node


def test_a_breakpoint_of_one_call(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app = graph_of(
            ("a", "b"), a=c.function(lambda s: {"log": ["a"]}), b=c.function(lambda s: {"log": ["b"]})
        ).compile(checkpointer=InMemorySaver())
        seen = [await run(c, app, {"log": []}, thread(), interrupt_before="*")]
        for _ in range(2):
            seen.append(await run(c, app, None, thread(), interrupt_before="*"))
        assert seen == [{"log": []}, {"log": ["a"]}, {"log": ["a", "b"]}]

    colour.run(body)


def test_new_input_gives_up_the_question(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app = graph_of(ask=asking(c, "q")).compile(checkpointer=InMemorySaver())
        first = await run(c, app, {"log": []}, thread())
        second = await run(c, app, {"log": ["new"]}, thread())
        assert second["__interrupt__"][0].id != first["__interrupt__"][0].id
        assert await run(c, app, Command(resume="r"), thread()) == {"log": ["new", "r"]}

    colour.run(body)


def test_it_is_control_flow() -> None:
    assert issubclass(GraphInterrupt, Exception)


def test_an_answer_may_name_the_checkpoint_that_asked(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app = graph_of(a=c.function(lambda s: {"log": [interrupt("?")]})).compile(checkpointer=InMemorySaver())
        await run(c, app, {"n": 1, "log": []}, thread())
        asked = (app.get_state(thread()) if c.sync else await app.aget_state(thread())).config
        assert (await run(c, app, Command(resume="one"), asked))["log"] == ["one"]
        # The answer that was given wins, and no fork is made for it.
        assert (await run(c, app, Command(resume="two"), asked))["log"] == ["one"]
        history = app.get_state_history(thread()) if c.sync else [s async for s in app.aget_state_history(thread())]
        assert [s.metadata["source"] for s in history] == ["loop", "loop", "loop", "input"]
        # Gone back to without an answer, it asks again; then another one may be given.
        assert "__interrupt__" in await run(c, app, None, asked)
        assert (await run(c, app, Command(resume="three"), thread()))["log"] == ["three"]

    colour.run(body)


def test_a_question_of_a_graph_that_keeps_nothing_is_answered_when_it_is_run_again(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        calls: list[str] = []

        def before(state: Any) -> Any:
            calls.append("before")
            return {"log": ["before"]}

        inner = graph_of(
            ("before", "ask"), before=c.function(before), ask=c.function(lambda s: {"log": [interrupt("?")]})
        ).compile(checkpointer=False)
        app = graph_of(kid=inner).compile(checkpointer=InMemorySaver())
        [question] = (await run(c, app, {"log": []}, thread()))["__interrupt__"]
        result = await run(c, app, Command(resume={question.id: "yes"}), thread())
        assert result["log"] == ["before", "yes"]
        assert calls == ["before", "before"]

    colour.run(body)
