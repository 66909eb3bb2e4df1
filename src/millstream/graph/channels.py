"""How the writes of a superstep become the value of a state key.

A channel holds no value: it is a rule, shared by all runs of a graph. `fold` takes the old value (`ABSENT`
when there is none) and the writes of one step in order, and gives the new value. `logged` does the same and
also says what changed, as data that a saver can replay without knowing any reducer:

    ("set", value) · ("append", [items]) · ("put", (index, item)) · ("drop", index) · ("unset", None)
"""

from __future__ import annotations

import collections.abc as abc
import operator
from collections.abc import Callable, Sequence
from copy import copy
from typing import Any, TypeAlias, get_origin

from ..errors import EmptyChannelError, ErrorCode, InvalidArgument, InvalidUpdateError
from .constants import ABSENT
from .control import Overwrite

__all__ = [
    "AnyValue",
    "BaseChannel",
    "BinaryOperatorAggregate",
    "DeltaChannel",
    "EphemeralValue",
    "LastValue",
    "Topic",
    "UntrackedValue",
]

Op: TypeAlias = tuple[str, Any]
Reducer: TypeAlias = Callable[[Any, Any], Any]
LoggedReducer: TypeAlias = Callable[[Any, Any], tuple[Any, list[Op]]]

# Reducers that can say what they changed. What another one did is found by comparing (differences.py).
LOGGED_REDUCERS: dict[Reducer, LoggedReducer] = {}

# Of reducers that cost as much for one write as for many: what makes one write of those of a step, where it may.
JOINED_WRITES: dict[Reducer, Callable[[Sequence[Any]], Sequence[Any]]] = {}


class BaseChannel:
    """The rule of one state key."""

    __slots__ = ("key", "typ", "value")

    volatile = False
    """Whether a step that writes nothing changes the value (see `idle`)."""

    stored = True
    """Whether checkpoints keep the value."""

    compared = False
    """Whether what a step changed is found by comparing the value with the one before."""

    held = False
    """Whether what is kept is not what is shown (see `shown`)."""

    def __init__(self, typ: Any = Any, key: str = "") -> None:
        self.typ = typ
        self.key = key
        self.value: Any = ABSENT

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "update" in cls.__dict__:  # a rule of a user's, written as an object that takes updates
            cls.held = cls.volatile = True

    # -- the rule ----------------------------------------------------------------------------------------------------

    def initial(self) -> Any:
        """The value before any write."""
        return self.from_checkpoint(ABSENT).checkpoint() if self.held else ABSENT

    def fold(self, key: str, old: Any, writes: Sequence[Any]) -> Any:
        """The value after a step with these writes (at least one)."""
        channel = self.from_checkpoint(old)
        channel.update(list(writes))
        return channel.checkpoint()

    def logged(self, key: str, old: Any, writes: Sequence[Any]) -> tuple[Any, list[Op]]:
        """`fold`, and what it changed."""
        new = self.fold(key, old, writes)
        return new, [("set", new)]

    def idle(self, old: Any) -> Any:
        """The value after a step without a write, for volatile channels."""
        return self.fold("", old, ()) if self.held else old

    def shown(self, kept: Any) -> Any:
        """What nodes and callers see of what is kept; ABSENT for nothing."""
        channel = self.from_checkpoint(kept)
        return channel.get() if channel.is_available() else ABSENT

    def finished(self, kept: Any) -> Any:
        """What is kept once the run is out of work; the same where that makes no difference."""
        return kept

    # -- an object with a value of its own: how users write rules, and try them out -------------------------------------

    @property
    def ValueType(self) -> Any:  # noqa: N802 - the name that is known
        """The type of the value."""
        return self.typ

    @property
    def UpdateType(self) -> Any:  # noqa: N802
        """The type of what is written."""
        return self.typ

    def update(self, values: Sequence[Any]) -> bool:
        """Take what a step wrote, nothing too; whether that changed the value.

        A subclass that has its own needs no `fold`: the graph makes an object of it with `from_checkpoint`, updates that, and
        keeps what its `checkpoint` gives.
        """
        old = self.value
        if values:
            self.value = self.fold(self.key, self._begun(), values)
        elif self.volatile:
            self.value = self.idle(old)
        return bool(values) or self.value is not old

    def get(self) -> Any:
        """The value.

        Raises:
            EmptyChannelError: (a LookupError) there is none.
        """
        value = self._begun()
        if value is not ABSENT and self.held and type(self).get is BaseChannel.get:
            value = self.shown(value)
        if value is ABSENT:
            raise EmptyChannelError(f"nothing was written to the channel {self.key or type(self).__name__!r} yet.")
        return value

    def is_available(self) -> bool:
        """Whether there is a value."""
        try:
            self.get()
        except EmptyChannelError:
            return False
        return True

    def checkpoint(self) -> Any:
        """What is to be kept of it."""
        try:
            return self.get()
        except EmptyChannelError:
            return ABSENT

    def from_checkpoint(self, checkpoint: Any) -> BaseChannel:
        """A new object with what was kept."""
        new = copy(self)
        new.value = checkpoint
        return new

    def copy(self) -> BaseChannel:
        """A new object with the same value."""
        return copy(self)

    def consume(self) -> bool:
        """What reads it has begun; whether that changed the value."""
        return False

    def finish(self) -> bool:
        """The run is out of work; whether that changed the value."""
        if self.value is ABSENT or (new := self.finished(self.value)) == self.value:
            return False
        self.value = new
        return True

    def _begun(self) -> Any:
        return self.initial() if self.value is ABSENT and not self.held else self.value

    def same_rule(self, other: BaseChannel) -> bool:
        """Whether two declarations of a key mean the same."""
        return type(self) is type(other)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({getattr(self.typ, '__name__', self.typ)})"


class LastValue(BaseChannel):
    """Keeps the value written last; two writes in one step are an error."""

    __slots__ = ()

    def fold(self, key: str, old: Any, writes: Sequence[Any]) -> Any:
        if len(writes) != 1:
            raise _several(key, len(writes))
        return writes[0]


class AnyValue(BaseChannel):
    """Keeps the last of the values written in a step, taking them to be equal; a step without one clears it."""

    __slots__ = ()
    volatile = True

    def fold(self, key: str, old: Any, writes: Sequence[Any]) -> Any:
        return writes[-1]

    def idle(self, old: Any) -> Any:
        return ABSENT


class EphemeralValue(BaseChannel):
    """Keeps a value for one step only."""

    __slots__ = ("guard",)
    volatile = True

    def __init__(self, typ: Any = Any, guard: bool = True) -> None:
        super().__init__(typ)
        self.guard = guard

    def fold(self, key: str, old: Any, writes: Sequence[Any]) -> Any:
        if self.guard and len(writes) != 1:
            raise _several(key, len(writes))
        return writes[-1]

    def idle(self, old: Any) -> Any:
        return ABSENT


class UntrackedValue(EphemeralValue):
    """As `LastValue`, but never part of a checkpoint."""

    __slots__ = ()
    volatile = False
    stored = False


class Topic(BaseChannel):
    """Collects all values of a step in a list; lists among them are flattened."""

    __slots__ = ("accumulate",)

    def __init__(self, typ: Any = Any, accumulate: bool = False) -> None:
        super().__init__(typ)
        self.accumulate = accumulate

    @property
    def volatile(self) -> bool:  # type: ignore[override]
        return not self.accumulate

    def _items(self, writes: Sequence[Any]) -> list[Any]:
        items: list[Any] = []
        for write in writes:
            items.extend(write) if isinstance(write, list) else items.append(write)
        return items

    def fold(self, key: str, old: Any, writes: Sequence[Any]) -> Any:
        items = self._items(writes)
        kept = old if self.accumulate and old is not ABSENT else []
        return [*kept, *items] or ABSENT

    def logged(self, key: str, old: Any, writes: Sequence[Any]) -> tuple[Any, list[Op]]:
        new = self.fold(key, old, writes)
        if new is ABSENT:
            return new, [("unset", None)]
        if self.accumulate and old is not ABSENT:
            return new, [("append", new[len(old) :])]
        return new, [("set", new)]

    def idle(self, old: Any) -> Any:
        return ABSENT


class BinaryOperatorAggregate(BaseChannel):
    """Folds each write into the value with a reducer, in the order of the tasks."""

    __slots__ = ("_joined", "_logged", "_start", "operator")

    def __init__(self, typ: Any, operator: Reducer, key: str = "") -> None:
        super().__init__(typ, key)
        self.operator = operator
        self._start: Callable[[], Any] | None = _constructor(typ)
        try:
            self._logged: LoggedReducer | None = LOGGED_REDUCERS.get(operator)
            self._joined = JOINED_WRITES.get(operator)
        except TypeError:  # an unhashable callable object
            self._logged = self._joined = None

    @property
    def compared(self) -> bool:  # type: ignore[override]
        return self._logged is None

    def initial(self) -> Any:
        return ABSENT if self._start is None else self._start()

    def fold(self, key: str, old: Any, writes: Sequence[Any]) -> Any:
        reduce = self.operator
        if self._joined is not None and len(writes) > 1:
            writes = self._joined(writes)
        replaced = False
        for write in writes:
            # A dict may be the JSON form of an Overwrite; nothing else can be.
            if type(write) in _MAYBE_OVERWRITE and (whole := _overwrite(write)) is not None:
                if replaced:
                    raise InvalidUpdateError(
                        f"At key {key!r}: two Overwrite values in one step; let only one node overwrite it.",
                        code=ErrorCode.INVALID_CONCURRENT_GRAPH_UPDATE,
                    )
                old, replaced = whole[0], True
            elif not replaced:
                old = write if old is ABSENT else reduce(old, write)
        return old

    def logged(self, key: str, old: Any, writes: Sequence[Any]) -> tuple[Any, list[Op]]:
        reduce = self._logged
        if reduce is None or old is ABSENT or any(type(w) in _MAYBE_OVERWRITE for w in writes):
            new = self.fold(key, old, writes)
            return new, [("set", new)]
        ops: list[Op] = []
        for write in writes if self._joined is None or len(writes) == 1 else self._joined(writes):
            old, more = reduce(old, write)
            if more and more[0][0] == "set":
                ops = more
            else:
                ops += more
        return old, ops

    def same_rule(self, other: BaseChannel) -> bool:
        if not isinstance(other, BinaryOperatorAggregate):
            return False
        names = {getattr(f, "__name__", None) for f in (self.operator, other.operator)}
        # Two lambdas cannot be told apart, so a lambda counts as the same as any other.
        return self.operator == other.operator or "<lambda>" in names


class DeltaChannel(BinaryOperatorAggregate):
    """Folds all writes of a step at once with `reducer(state, writes)`.

    Here every channel is stored as what changed, so `snapshot_frequency` is accepted and not needed.
    """

    __slots__ = ("snapshot_frequency",)

    def __init__(self, reducer: Reducer, typ: Any = list, *, snapshot_frequency: int = 100) -> None:
        super().__init__(typ, reducer)
        self._logged = None
        self.snapshot_frequency = snapshot_frequency

    def fold(self, key: str, old: Any, writes: Sequence[Any]) -> Any:
        whole = [w for w in map(_overwrite, writes) if w is not None]
        if len(whole) > 1:
            raise InvalidUpdateError(
                f"At key {key!r}: two Overwrite values in one step; let only one node overwrite it.",
                code=ErrorCode.INVALID_CONCURRENT_GRAPH_UPDATE,
            )
        if whole:
            return whole[0][0]
        return self.operator(old, list(writes))


_MAYBE_OVERWRITE = frozenset({Overwrite, dict})

_CONCRETE: dict[Any, Callable[[], Any]] = {
    abc.Sequence: list,
    abc.MutableSequence: list,
    abc.Collection: list,
    abc.Iterable: list,
    abc.Set: set,
    abc.MutableSet: set,
    abc.Mapping: dict,
    abc.MutableMapping: dict,
}


def _constructor(typ: Any) -> Callable[[], Any] | None:
    origin: Any = get_origin(typ) or typ
    make: Any = _CONCRETE.get(origin, origin)
    try:
        make()
    except Exception:  # a type that needs arguments, or no type: the first write is the first value
        return None
    return make  # type: ignore[no-any-return]


def _overwrite(write: Any) -> tuple[Any] | None:
    """The replacing value in a 1-tuple when the write is an Overwrite in one of its three forms."""
    if isinstance(write, Overwrite):
        return (write.value,)
    if isinstance(write, dict):
        if len(write) == 1 and "__overwrite__" in write:
            return (write["__overwrite__"],)
        if write.get("type") == "__overwrite__":
            return (write.get("value"),)
    return None


def _several(key: str, count: int) -> InvalidUpdateError:
    return InvalidUpdateError(
        f"At key {key!r}: Can receive only one value per step, and {count} were written. "
        f"Give the key a reducer to combine them: `{key}: Annotated[<type>, <function of old and new>]`.",
        code=ErrorCode.INVALID_CONCURRENT_GRAPH_UPDATE,
    )


def _add_logged(old: Any, write: Any) -> tuple[Any, list[Op]]:
    new = operator.add(old, write)
    if type(old) is list and type(write) is list:
        return new, [("append", write)] if write else []
    return new, [("set", new)]


def _concat_logged(old: Any, write: Any) -> tuple[Any, list[Op]]:
    """`operator.iadd`-like reducers change the old list in place; the appended items are the same."""
    new = operator.iadd(old, write)  # type: ignore[no-untyped-call]
    if type(old) is list and isinstance(write, list):
        return new, [("append", write)] if write else []
    return new, [("set", new)]


LOGGED_REDUCERS[operator.add] = _add_logged
LOGGED_REDUCERS[operator.concat] = _add_logged
LOGGED_REDUCERS[operator.iadd] = _concat_logged


def check_reducer_arity(key: str, reducer: Any, positional: int) -> None:
    """Raise for a reducer that does not take exactly the old value and the new one."""
    if positional != 2:
        raise InvalidArgument(
            f"Invalid reducer signature for key {key!r}: {reducer!r} takes {positional} positional "
            "arguments; a reducer takes two, the old value and the new one."
        )
