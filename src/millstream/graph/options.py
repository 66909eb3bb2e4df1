"""The options of one run of a graph, and the shape that they give to what it streams."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Final

from ..errors import InvalidArgument, InvalidType
from .constants import INTERRUPT
from .draining import RunControl
from .out import Item, mask_of

__all__ = ["Options"]

_BOLD, _YELLOW, _PLAIN = "\033[1m", "\033[1;30;33m", "\033[0m"
_DURABILITY: Final = ("sync", "async", "exit")


class Options:
    """What `invoke` and `stream` were told beside input and config, checked."""

    __slots__ = (
        "bare",
        "context",
        "control",
        "durability",
        "interrupt_after",
        "interrupt_before",
        "mask",
        "modes",
        "output_keys",
        "prints",
        "subgraphs",
        "version",
    )

    def __init__(
        self,
        *,
        context: Any = None,
        stream_mode: str | Sequence[str] | None = None,
        print_mode: str | Sequence[str] = (),
        output_keys: str | Sequence[str] | None = None,
        interrupt_before: Any = None,
        interrupt_after: Any = None,
        durability: str | None = None,
        checkpoint_during: bool | None = None,
        control: RunControl | None = None,
        subgraphs: bool = False,
        debug: bool | None = None,
        version: str = "v1",
        **unknown: Any,
    ) -> None:
        if unknown:
            raise InvalidType(f"a graph's run has no option {sorted(unknown)[0]!r}.")
        if version not in ("v1", "v2"):
            raise InvalidArgument(f"version must be 'v1' or 'v2', not {version!r}.")
        if checkpoint_during is not None:
            durability = _durability(checkpoint_during, durability)
        if durability is not None and durability not in _DURABILITY:
            raise InvalidArgument(f"durability must be one of {_DURABILITY}, not {durability!r}.")
        self.context = context
        self.bare = not isinstance(stream_mode, list)  # as it is known: with other sequences items come bare too
        self.modes: tuple[str, ...] | None = None
        if stream_mode is not None:
            self.modes = (stream_mode,) if isinstance(stream_mode, str) else tuple(stream_mode)
        self.prints = (print_mode,) if isinstance(print_mode, str) else tuple(print_mode)
        if debug:
            self.prints = (*self.prints, "updates", "values")
        self.mask = mask_of(self.modes or ())
        self.output_keys: str | tuple[str, ...] | None = (
            output_keys if output_keys is None or isinstance(output_keys, str) else tuple(output_keys)
        )
        self.interrupt_before = interrupt_before
        self.interrupt_after = interrupt_after
        self.control = control
        self.durability = durability
        self.subgraphs = subgraphs
        self.version = version

    @property
    def plain(self) -> bool:
        """Whether an item of the stream is its payload and nothing else."""
        return self.version != "v2" and self.bare and not self.subgraphs

    def shape(self, coerce: Callable[[str, tuple[str, ...], Any], Any]) -> Callable[[Item], Any]:
        """How an item of the stream looks to its consumer; `coerce(mode, ns, data)` is for `version="v2"`."""
        if self.version == "v2":
            return lambda item: _part(item, coerce)
        if self.bare:
            return _with_ns_bare if self.subgraphs else _bare
        return _with_ns_tagged if self.subgraphs else _tagged

    def printing(self, modes: Sequence[str], reader: Callable[[Item], Any]) -> Callable[[Item], None]:
        """What prints the modes that `print_mode` names, and gives `reader` those that were asked for."""
        printed, wanted = frozenset(self.prints), frozenset(modes)

        def put(item: Item) -> None:
            ns, mode, payload = item
            if mode in printed:
                where = f"{_YELLOW}[graph={ns!r}]{_PLAIN} " if ns else ""
                print(f"{_BOLD}[{mode}]{_PLAIN} {where}{payload!r}")
            if mode in wanted:
                reader(item)

        return put


def _durability(during: bool, durability: str | None) -> str:
    warnings.warn(
        "checkpoint_during is now durability='async' (True) or 'exit' (False).", DeprecationWarning, stacklevel=5
    )
    if durability is not None:
        raise InvalidArgument("durability and checkpoint_during say the same; give durability alone.")
    return "async" if during else "exit"


DEFAULT: Final = Options()


def options_of(kwargs: dict[str, Any]) -> Options:
    """The options among the keyword arguments of a call."""
    return Options(**kwargs) if kwargs else DEFAULT


def only_given(
    kwargs: dict[str, Any],
    context: Any,
    stream_mode: Any,
    print_mode: Any,
    output_keys: Any,
    interrupt_before: Any,
    interrupt_after: Any,
    durability: Any,
    control: RunControl | None,
    version: str,
    subgraphs: bool = False,
    debug: bool | None = None,
) -> None:
    """Put what was given, and only that, into the keyword arguments."""
    if context is not None:
        kwargs["context"] = context
    if stream_mode is not None:
        kwargs["stream_mode"] = stream_mode
    if print_mode:
        kwargs["print_mode"] = print_mode
    if output_keys is not None:
        kwargs["output_keys"] = output_keys
    if interrupt_before:
        kwargs["interrupt_before"] = interrupt_before
    if interrupt_after:
        kwargs["interrupt_after"] = interrupt_after
    if durability is not None:
        kwargs["durability"] = durability
    if control is not None:
        kwargs["control"] = control
    if version != "v1":
        kwargs["version"] = version
    if subgraphs:
        kwargs["subgraphs"] = subgraphs
    if debug:
        kwargs["debug"] = debug


def _bare(item: Item) -> Any:
    return item[2]


def _tagged(item: Item) -> Any:
    return item[1:]


def _with_ns_bare(item: Item) -> Any:
    return item[0], item[2]


def _with_ns_tagged(item: Item) -> Any:
    return item


def _part(item: Item, coerce: Callable[[str, tuple[str, ...], Any], Any]) -> dict[str, Any]:
    ns, mode, data = item
    part: dict[str, Any] = {"type": mode, "ns": ns}
    if mode == "values":
        interrupts: tuple[Any, ...] = ()
        if isinstance(data, dict) and INTERRUPT in data:
            data = dict(data)
            interrupts = tuple(data.pop(INTERRUPT))
        part["data"] = coerce(mode, ns, data)
        part["interrupts"] = interrupts
    else:
        part["data"] = coerce(mode, ns, data)
    return part
