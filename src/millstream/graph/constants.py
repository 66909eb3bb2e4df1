"""Names with a meaning of their own in graphs."""

from __future__ import annotations

import sys
from typing import Any, Final

__all__ = ["ABSENT", "CONF", "END", "REMOVE_ALL_MESSAGES", "RESERVED", "START", "TAG_HIDDEN", "TAG_NOSTREAM", "TASKS"]

START: Final = sys.intern("__start__")
"""The virtual node before the first one: edges from it are the entry points."""

END: Final = sys.intern("__end__")
"""The virtual node after the last one."""

TAG_NOSTREAM: Final = "nostream"
"""A model with this tag is not heard on the `messages` stream."""

TAG_HIDDEN: Final = "langsmith:hidden"
"""A node with this tag gives no updates and no events."""

REMOVE_ALL_MESSAGES: Final = "__remove_all__"
"""The id of a `RemoveMessage` that drops all that came before it."""

ROOT: Final = "__root__"
PARENT: Final = "__parent__"
INPUT: Final = "__input__"
INTERRUPT: Final = "__interrupt__"
RESUME: Final = "__resume__"
ERROR: Final = "__error__"
NO_WRITES: Final = "__no_writes__"
RETURN: Final = "__return__"
PREVIOUS: Final = "__previous__"
PULL: Final = "__pregel_pull"
PUSH: Final = "__pregel_push"
TASKS: Final = "__pregel_tasks"
"""The channel of Sends among the writes of a task."""

CONF: Final = "configurable"
"""The key of a config under which a run's own values stand."""

HANDLER: Final = "__error_source_node__"
TO: Final = "branch:to:"

NULL_TASK: Final = "00000000-0000-0000-0000-000000000000"
"""The task that the writes of a `Command` given as input belong to."""

RESERVED: Final = frozenset(
    {INPUT, INTERRUPT, RESUME, ERROR, NO_WRITES, RETURN, PREVIOUS, PULL, PUSH, TASKS, PARENT}
    | {HANDLER, "__scheduled__", "__copy__", "__metadata__"}
)
"""Names that neither a node nor a state key may have."""


class _Absent:
    """The value of a channel that nothing was written to."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "ABSENT"

    def __bool__(self) -> bool:
        return False

    def __reduce__(self) -> str:
        return "ABSENT"


ABSENT: Any = _Absent()
