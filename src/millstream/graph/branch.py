"""Conditional edges: a path function chooses where to go after a node has run."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Literal, get_args, get_origin

from ..errors import InvalidArgument, InvalidUpdateError, MissingKey
from .callables import Call, parameter_hints
from .constants import END, START
from .control import Send
from .purity import Glance, only_looks
from .schema import has_fields

__all__ = ["Branch"]


class Branch:
    """One conditional edge, resolved: the path, and the names that its results stand for."""

    __slots__ = ("call", "ends", "input_type", "name")

    def __init__(self, path: Any, path_map: Mapping[Hashable, str] | Sequence[str] | None) -> None:
        self.call = Call(path)
        own = getattr(path, "__name__" if self.call.runnable is None else "name", None)
        self.call.name = "Unnamed" if own is None or own == "<lambda>" else own
        self.name: str = "condition" if self.call.name == "Unnamed" else self.call.name
        parameters, hints = ([], {}) if self.call.runnable else parameter_hints(path)
        self.ends: dict[Hashable, str] | None = _ends(path_map, hints.get("return"))
        first = hints.get(parameters[0].name) if parameters else None
        self.input_type = first if isinstance(first, type) and has_fields(first) else None
        if self.call.run is None:
            raise InvalidArgument(f"the path {self.name!r} is a generator function; a path returns its destination.")
        if not self.call.inject and only_looks(path):
            self.call.run = Glance(path, self.call.run)

    def targets(self, result: Any, source: str) -> list[str | Send]:
        """The destinations that a result of the path names.

        Raises:
            MissingKey: (a KeyError) a result that the path map does not have.
            InvalidArgument: (a ValueError) None or START as destination.
            InvalidUpdateError: a Send to END.
        """
        found: list[str | Send] = []
        for each in result if isinstance(result, (list, tuple)) else [result]:
            if isinstance(each, Send):
                if each.node == END:
                    raise InvalidUpdateError(f"the branch {self.name!r} of {source!r} sends a task to END.")
                found.append(each)
                continue
            if self.ends is not None:
                if each not in self.ends:
                    raise MissingKey(
                        f"the branch {self.name!r} of {source!r} returned {each!r}, which its path map does not "
                        f"have; add it, or return one of {list(self.ends)}.",
                        key=str(each),
                    )
                each = self.ends[each]
            if each is None or each == START:
                raise InvalidArgument(
                    f"Branch did not return a valid destination: {self.name!r} of {source!r} returned {each!r}; "
                    "return the name of a node, END or a Send."
                )
            found.append(each)
        return found

    def __repr__(self) -> str:
        return f"Branch({self.name!r})"


def _ends(path_map: Mapping[Hashable, str] | Sequence[str] | None, returned: Any) -> dict[Hashable, str] | None:
    if isinstance(path_map, Mapping):
        return dict(path_map) or None
    if path_map:
        return {name: name for name in path_map}
    if get_origin(returned) in (list, tuple) and get_args(returned):
        returned = get_args(returned)[0]
    if get_origin(returned) is Literal:
        return {name: name for name in get_args(returned)}
    return None
