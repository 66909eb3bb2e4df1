"""Jinja2 templates, for those who ask for them by name and have installed the package.

Only a small part of the language is let through: fields, conditions and loops over plain data. There are no calls, no
assignments, no arithmetic and no globals; names are looked up in dicts and lists only. What is left takes time and space
in proportion to the template and to bounded output, so a template from outside can neither reach out nor run away.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import InvalidArgument, Unsupported
from .templates import shortened

if TYPE_CHECKING:
    from jinja2 import Environment, nodes

__all__ = ["JinjaTemplate"]

_MOST_CHARACTERS = 10_000_000
_MOST_ROUNDS = 100_000
_DEEPEST_LOOP = 3
_DEEPEST = 50

# A name that no template can write.
_BUDGET = " budget"

_NODES = frozenset(
    [
        "Template",
        "Output",
        "TemplateData",
        "Name",
        "Const",
        "Getattr",
        "Getitem",
        "If",
        "CondExpr",
        "For",
        "And",
        "Or",
        "Not",
        "Compare",
        "Operand",
        "Neg",
        "List",
        "Tuple",
        "Filter",
        "Test",
    ]
)
_TESTS = frozenset(
    ["defined", "undefined", "none", "string", "number", "mapping", "boolean", "true", "false", "odd", "even"]
)
_OF_LOOPS = frozenset({"index", "index0", "revindex", "revindex0", "first", "last", "length", "depth", "depth0"})


class JinjaTemplate:
    """A text in the safe part of Jinja2.

    Raises:
        InvalidArgument: (ValueError) it is not valid, or uses more of the language; the message says what.
        Unsupported: (NotImplementedError) the package jinja2 is not installed.
    """

    __slots__ = ("_template", "literal", "names", "text")

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise InvalidArgument(f"a template must be a str, not {text!r}.")
        environment = _environment()
        from jinja2 import TemplateError
        from jinja2.meta import find_undeclared_variables

        self.text = text
        try:
            tree = environment.parse(text)
            _check(tree, text)
            names = sorted(find_undeclared_variables(tree))
            self._template = environment.from_string(tree)
        except InvalidArgument:
            raise
        except (TemplateError, RecursionError, ValueError) as error:
            raise InvalidArgument(f"template {shortened(text)} is not a valid jinja2 template: {error}.") from error
        self.names = tuple(names)
        self.literal: str | None = None

    def render(self, values: Mapping[str, Any]) -> str:
        """The text for these variables.

        Raises:
            InvalidArgument: (ValueError) it grew beyond all use, or does not fit the values.
        """
        from jinja2 import TemplateError

        budget = _Budget(self.text)
        pieces: list[str] = []
        try:
            for piece in self._template.generate({**values, _BUDGET: budget}):
                budget.spend(len(piece), 0)
                pieces.append(piece)
        except InvalidArgument:
            raise
        except (TemplateError, RecursionError, TypeError, ValueError) as error:
            raise InvalidArgument(f"template {shortened(self.text)} does not fit its values: {error}.") from error
        return "".join(pieces)


class _Budget:
    def __init__(self, text: str) -> None:
        self.text = text
        self.characters = _MOST_CHARACTERS
        self.rounds = _MOST_ROUNDS

    def spend(self, characters: int, rounds: int) -> None:
        self.characters -= characters
        self.rounds -= rounds
        if self.characters < 0 or self.rounds < 0:
            raise InvalidArgument(
                f"template {shortened(self.text)} was given values with which it grows beyond "
                f"{_MOST_CHARACTERS:,} characters or {_MOST_ROUNDS:,} rounds of its loops."
            )


def _check(node: nodes.Node, text: str, depth: int = 0, loops: int = 0) -> None:
    """Let only the safe part through, and make each loop count its rounds."""
    from jinja2 import nodes

    kind = type(node).__name__
    if kind not in _NODES:
        raise _refused(text, f"{kind.lower()} is not available in prompts")
    if depth > _DEEPEST:
        raise _refused(text, f"it is nested deeper than {_DEEPEST}")
    if isinstance(node, (nodes.List, nodes.Tuple)) and getattr(node, "ctx", "load") == "load":
        if not all(isinstance(item, nodes.Const) for item in node.items):
            raise _refused(text, "a list may hold only constants")
    elif isinstance(node, nodes.Filter) and node.name not in _FILTERS:
        raise _refused(text, f"the filter {node.name!r} is not available in prompts; use {', '.join(sorted(_FILTERS))}")
    elif isinstance(node, nodes.Test) and node.name not in _TESTS:
        raise _refused(text, f"the test {node.name!r} is not available in prompts; use {', '.join(sorted(_TESTS))}")
    elif isinstance(node, nodes.For):
        loops += 1
        if loops > _DEEPEST_LOOP or node.recursive:
            raise _refused(text, f"loops may be nested {_DEEPEST_LOOP} deep, and not be recursive")
    for child in node.iter_child_nodes():
        _check(child, text, depth + 1, loops)
    if isinstance(node, nodes.For):
        node.iter = nodes.Filter(node.iter, _ROUNDS, [], [], None, None)


def _refused(text: str, what: str) -> InvalidArgument:
    return InvalidArgument(f"template {shortened(text)}: {what}.")


@functools.cache
def _environment() -> Environment:
    try:
        from jinja2 import ChainableUndefined, pass_context
        from jinja2.runtime import LoopContext
        from jinja2.sandbox import ImmutableSandboxedEnvironment
    except ModuleNotFoundError as error:
        raise Unsupported(
            "template_format='jinja2' needs the package jinja2: pip install 'millstream[jinja2]'."
        ) from error

    class SafeEnvironment(ImmutableSandboxedEnvironment):
        """Knows no globals, calls nothing, and reads items of dicts and lists in place of attributes."""

        def getattr(self, obj: Any, attribute: str) -> Any:
            if isinstance(obj, LoopContext) and attribute in _OF_LOOPS:
                return getattr(obj, attribute)
            return self.getitem(obj, attribute)

        def getitem(self, obj: Any, argument: Any) -> Any:
            found = _item(obj, argument)
            return self.undefined(obj=obj, name=argument) if found is _ABSENT else found

        def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
            return False

        def is_safe_callable(self, obj: Any) -> bool:
            return False

    environment = SafeEnvironment(undefined=ChainableUndefined)
    environment.globals.clear()
    environment.filters = {**_FILTERS, _ROUNDS: pass_context(_rounds)}
    environment.tests = {name: test for name, test in environment.tests.items() if name in _TESTS}
    return environment


_ABSENT = object()


def _item(value: Any, key: Any) -> Any:
    # By the methods of dict and list themselves: those of a subclass may do anything.
    if isinstance(value, dict) and isinstance(key, (str, int, float)):
        return dict.get(value, key, _ABSENT)
    if isinstance(value, (list, tuple)) and type(key) is int and -len(value) <= key < len(value):
        return value[key]
    return _ABSENT


# -- filters ---------------------------------------------------------------------------------------------------------

_ROUNDS = " rounds"


def _rounds(context: Any, value: Any) -> list[Any]:
    """What a loop goes over: the items of plain data, nothing else; each is a round."""
    items = _items_of(value)
    context.resolve(_BUDGET).spend(0, len(items))
    return items


def _items_of(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple, dict, set, frozenset)) else []


def _bounded(size: int) -> None:
    """Filters can be chained, and each could multiply what it is given."""
    if size > _MOST_CHARACTERS:
        raise InvalidArgument(f"a filter of a template would make a text of more than {_MOST_CHARACTERS:,} characters.")


def _replace(value: Any, old: Any, new: Any) -> str:
    text, old, new = str(value), str(old), str(new)
    _bounded(len(text) + text.count(old) * len(new))
    return text.replace(old, new)


def _join(value: Any, between: Any = "") -> str:
    texts = [str(item) for item in _items_of(value)]
    separator = str(between)
    _bounded(sum(map(len, texts)) + len(texts) * len(separator))
    return separator.join(texts)


def _json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    _bounded(len(text))
    return text


def _default(value: Any, other: Any = "", also_when_false: Any = False) -> Any:
    from jinja2 import Undefined

    return other if isinstance(value, Undefined) or (also_when_false and not value) else value


def _number(of: Callable[[Any], Any]) -> Callable[..., Any]:
    def number(value: Any, other: Any = 0) -> Any:
        try:
            return of(value) if isinstance(value, (str, int, float)) else other
        except (ValueError, OverflowError):
            return other

    return number


def _text(of: Callable[[str], str]) -> Callable[[Any], str]:
    return lambda value: of(str(value))


def _length(value: Any) -> int:
    return len(value) if isinstance(value, str) else len(_items_of(value))


def _end(place: int) -> Callable[[Any], Any]:
    def end(value: Any) -> Any:
        items = value if isinstance(value, str) else _items_of(value)
        return items[place] if items else ""

    return end


_FILTERS: dict[str, Callable[..., Any]] = {
    "capitalize": _text(str.capitalize),
    "count": _length,
    "d": _default,
    "default": _default,
    "first": _end(0),
    "float": _number(float),
    "int": _number(int),
    "items": lambda value: list(dict.items(value)) if isinstance(value, dict) else [],
    "join": _join,
    "last": _end(-1),
    "length": _length,
    "list": _items_of,
    "lower": _text(str.lower),
    "replace": _replace,
    "reverse": lambda value: _items_of(value)[::-1],
    "sort": lambda value: sorted(_items_of(value)),
    "string": str,
    "title": _text(str.title),
    "tojson": _json,
    "trim": _text(str.strip),
    "upper": _text(str.upper),
}
