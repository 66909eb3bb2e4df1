"""Questions to a person: asking them in a node, and finding the task that an answer belongs to."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import CannotResume, GraphInterrupt, UnknownInterruptError
from .constants import INTERRUPT
from .control import UNNAMED, Interrupt, id_of
from .runtime import current_task

if TYPE_CHECKING:
    from .task import Task

__all__ = ["NodeInterrupt", "interrupt"]

T = TypeVar("T")

ANY = ""
_counting = Lock()  # what a node calls may run in several threads
_ID = re.compile("[0-9a-f]{32}")


def interrupt(value: Any, *, response_schema: Any = None) -> Any:
    """Stop the run here and ask; when the run is resumed with an answer, return that.

    The graph needs a checkpointer, and is resumed by `Command(resume=answer)` on the same thread. The node then
    runs again from its start, and the n-th call of `interrupt` in it returns the n-th answer. Don't catch the
    exception that this raises.

    Raises:
        GraphInterrupt: (control flow) there is no answer yet.
        OutsideRun: (a RuntimeError) called outside of a node.
    """
    return asked(value, lambda answer: _validated(answer, response_schema), response_schema)


def asked(value: Any, check: Callable[[Any], T], schema: Any = None) -> T:
    """`interrupt`, and what `check` makes of the answer; where that raises a ValueError, the question stays open."""
    task = current_task("interrupt()")
    with _counting:
        index, task.asked = task.asked, task.asked + 1
    if index < len(task.answers):
        try:
            return check(task.answers[index])
        except ValueError:
            task.answers = list(task.answers[:index])  # the question is still open
            raise
    # Tools of one node may ask at once; which is heard is a matter of luck, and its answer is the node's next one.
    raise GraphInterrupt((storable(Interrupt(value, interrupt_id(task, len(task.answers)), schema)),))


class NodeInterrupt(GraphInterrupt):
    """Raised by a node to stop the run there; `interrupt()` does the same and gives the answer when the run goes on."""

    def __init__(self, value: Any, id: str | None = None) -> None:
        warnings.warn("NodeInterrupt is deprecated; call `interrupt(value)`.", DeprecationWarning, stacklevel=2)
        super().__init__((Interrupt(value, id) if id is not None else Interrupt(value),))


def without_questions(output: Any) -> Any:
    """What a run gave, without the questions that it waits with: as watchers are told of its end."""
    if isinstance(output, dict) and INTERRUPT in output:
        return {key: value for key, value in output.items() if key != INTERRUPT}
    return output


def named(task: Task, asked: GraphInterrupt) -> tuple[Interrupt, ...]:
    """The questions, each with an id: a NodeInterrupt is made without one."""
    index = max(task.asked - 1, 0)
    return tuple(replace(q, id=interrupt_id(task, index)) if q.id == UNNAMED else q for q in asked.interrupts)


def interrupt_id(task: Task, index: int) -> str:
    """The id of the question number `index` of a task: the same as long as it is not answered."""
    ns = task.ns if task.failure is None else task.ns_of(task.failure.node)  # a handler's question is the node's
    return id_of(ns if not index else f"{ns}#{index}")


def answers_of(resume: Any, pending: Sequence[Interrupt], strict: bool = False) -> dict[str, Any]:
    """The answers by the id of their question; `pending` are the questions that wait.

    Raises:
        CannotResume: (a RuntimeError) one answer for several questions; if `strict`, every other mismatch too.
    """
    if strict:
        _check(resume, pending)
    if isinstance(resume, Mapping) and all(isinstance(k, str) and _ID.fullmatch(k) for k in resume):
        return dict(resume)
    if len(pending) > 1:
        raise CannotResume(
            "When there are multiple pending interrupts, you must specify the interrupt id when resuming: "
            f"Command(resume={{{pending[0].id!r}: ..., {pending[1].id!r}: ...}})."
        )
    # Under no id too: a graph inside a task may have been changed since it asked, and its question then has another one.
    return {question.id: resume for question in pending} | ({ANY: resume} if pending else {})


def _check(resume: Any, pending: Sequence[Interrupt]) -> None:
    waiting = [question.id for question in pending]
    if isinstance(resume, Mapping) and all(isinstance(k, str) and _ID.fullmatch(k) for k in resume):
        if not resume:
            raise UnknownInterruptError(f"no answers were given; these questions wait: {waiting}.", reason="empty")
        if unknown := [id for id in resume if id not in waiting]:
            raise UnknownInterruptError(f"no question waits under {unknown}; these do: {waiting}.")
    elif len(waiting) > 1:
        raise UnknownInterruptError(
            f"one answer was given and several questions wait: {waiting}; answer by id.", reason="ambiguous"
        )
    elif not waiting:
        raise UnknownInterruptError("an answer was given and no question waits.")


def own_answer(task: Task, answers: Mapping[str, Any], given: Sequence[Any]) -> list[Any] | None:
    """All answers of a task that has `given` already, if one of `answers` is for its next question."""
    for index in (len(given), 0):
        key = interrupt_id(task, index)
        if key in answers:
            return [*given, answers[key]]
    return None


def is_answered(task: Task, question: Interrupt, given: Sequence[Any]) -> bool:
    """Whether one of the answers that a task has is for this question."""
    return any(interrupt_id(task, index) == question.id for index in range(len(given)))


def storable(question: Interrupt) -> Interrupt:
    """The question with its schema as data."""
    schema = question.response_schema
    if schema is None or isinstance(schema, dict):
        return question
    from pydantic import TypeAdapter

    from ..chat.typed_dicts import readable

    return replace(question, response_schema=TypeAdapter(readable(schema)).json_schema())


def _validated(answer: Any, schema: Any) -> Any:
    if schema is None or isinstance(schema, dict):
        return answer
    from pydantic import TypeAdapter

    from ..chat.typed_dicts import readable
    from .savers.registry import register_all

    register_all([schema])  # what comes of it may be stored: the user's code names the class
    return TypeAdapter(readable(schema)).validate_python(answer)
