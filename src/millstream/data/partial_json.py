"""JSON that is still arriving: what can be known of the value so far.

`PartialJson` is fed piece by piece; its cost is linear in the new characters. The value at any point is that
of the text with its open strings and brackets closed, less whatever cannot stand yet: an unfinished word or
escape, a key without a value, a trailing comma or decimal point.

Text that breaks the rules keeps the value that it had before the break, without the containers that were closed
since; a closing bracket that matches no opening one makes the value None.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from json import JSONDecodeError
from typing import Any, Final

from ..errors import ValidationError

__all__ = ["AROUND", "MAX_DEPTH", "PartialJson", "parse_json_markdown", "parse_lenient", "parse_partial_json"]

MAX_DEPTH = 500  # who reads a value recurses into it, and Python's stack ends

# Stretches of a string that C code can decode: no quote, no broken or unfinished escape, no half of a surrogate pair.
# Possessive, so that a long run of escapes leaves nothing to go back to.
# (Python before 3.11.5 goes wrong there when an alternative fails midway: gh-106052.)
_MANY = "*+" if sys.version_info >= (3, 11, 5) else "*"
_STRETCH = (
    r"(?:%s|\\[\"\\/bfnrt]|\\u(?![dD][89abAB])[0-9a-fA-F]{4}"
    r"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
)
_LENIENT = re.compile(_STRETCH % r'[^"\\]++' + _MANY)
_STRICT = re.compile(_STRETCH % r'[^"\\\x00-\x09\x0b-\x1f]++' + _MANY)  # a raw newline is forgiven: models write them
_BLANKS = re.compile(r"[ \t\n\r]*")
_SCALAR_TEXT = re.compile(r"[-+.0-9A-Za-z]*")
_SCALAR_START = frozenset("-0123456789tfnNI")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_WORDS = (
    ("true", True),
    ("false", False),
    ("null", None),
    ("NaN", float("nan")),
    ("Infinity", float("inf")),
    ("-Infinity", float("-inf")),
)
_MARK = re.compile(r'["{}\[\]]')
_QUOTE_OR_BACKSLASH = re.compile(r'["\\]')
_HEX = frozenset("0123456789abcdefABCDEF")
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_OPENER = {"}": "{", "]": "["}
_NOTHING: Any = object()

# What may stand around JSON in an answer: blanks, and the marks of code in a line.
AROUND = " \t\n\r`"

# What may come next. A scalar lasts until the first character that cannot belong to one.
_VALUE, _FIRST_VALUE, _KEY, _FIRST_KEY, _COLON, _AFTER, _END, _STRING, _KEY_STRING, _SCALAR, _BROKEN = range(11)
_STRINGS = (_STRING, _KEY_STRING)


# `json.loads(text, strict=False)` makes a decoder at each call, which costs more than most texts do.
parse_lenient: Final[Callable[[str], Any]] = json.JSONDecoder(strict=False).decode


def parse_partial_json(s: str, *, strict: bool = False) -> Any:
    """Parse JSON that may be cut off anywhere.

    `strict` refuses control characters in strings, newlines excepted. A closing bracket that matches no
    opening one gives None.

    Raises:
        json.JSONDecodeError: nothing of the text can be parsed.
        ValidationError: (ValueError) it is nested too deeply.
    """
    parse = json.loads if strict else parse_lenient
    try:
        return parse(s)
    except JSONDecodeError:
        pass
    except RecursionError:
        raise _too_deep() from None
    parser = PartialJson(strict=strict)
    parser.feed(s)
    try:
        return parser.value
    except JSONDecodeError:
        pass
    # Once more, for an error that says where. Kept from the first time it would hold this frame, and the frame it.
    return parse(s)


def parse_json_markdown(text: str, *, parser: Callable[[str], Any] = parse_partial_json) -> Any:
    """Parse JSON from a model's answer: the text itself, also as code in a line, else what follows its first fence.

    Raises:
        json.JSONDecodeError: there is none.
    """
    _, fence, rest = text.partition("```")
    if not fence:
        return parser(text.strip(AROUND))
    if text.lstrip()[:1] in ("{", "[", '"'):  # prose may begin with what a lenient parser takes for a number
        try:
            value = parser(text)
        except JSONDecodeError:
            value = None
        if value is not None:
            return value
    rest = rest.removeprefix("json").lstrip()
    try:
        # A whole value ends where it ends, whatever is said after the closing fence.
        return json.JSONDecoder(strict=False).raw_decode(rest)[0]
    except JSONDecodeError:
        return parser(rest.rstrip().rstrip("`"))
    except RecursionError:
        raise _too_deep() from None


class PartialJson:
    """An incremental parser: `feed` it text as it comes, read `value` whenever you like.

    At every point `value` equals `parse_partial_json` of all the text so far. Values share their finished
    parts, so treat them as read-only.
    """

    __slots__ = (
        "_deep",
        "_done",
        "_escape",
        "_holders",
        "_keys",
        "_kinds",
        "_mismatch",
        "_pieces",
        "_root",
        "_skipping_string",
        "_state",
        "_strict",
    )

    def __init__(self, *, strict: bool = False) -> None:
        self._strict = strict
        self._state = _VALUE
        self._kinds: list[str] = []  # the open brackets
        self._holders: list[Any] = []  # the open containers: as many, until the text breaks
        self._keys: list[str] = []  # of each open container, the key being filled
        self._pieces: list[str] = []  # of the string or scalar being read
        self._escape = ""  # an unfinished escape, or the first half of a surrogate pair
        self._root: Any = None
        self._done = False  # the outermost value is finished
        self._mismatch = False
        self._deep = False
        self._skipping_string = False  # after a break: inside a string

    @property
    def complete(self) -> bool:
        """Whether the outermost value is finished. A number at top level is when a blank follows it."""
        return self._done

    @property
    def value(self) -> Any:
        """The value so far. Costs as much as the open containers are wide.

        Raises:
            json.JSONDecodeError: nothing can be parsed yet, or the text broke before anything could.
            ValidationError: (ValueError) the text is nested too deeply.
        """
        if self._mismatch:
            return None
        if self._deep:
            raise _too_deep()
        inner = self._pending()
        if not self._holders:
            if self._done:
                return self._root
            if inner is _NOTHING:
                raise JSONDecodeError("Nothing can be parsed of this JSON text", "", 0)
            return inner
        for holder, key in zip(reversed(self._holders), reversed(self._keys), strict=True):
            # Only what is open will change again, so only that is copied.
            open_child = holder is not self._holders[-1]
            if isinstance(holder, list):
                copy: Any = holder[:-1] if open_child else holder[:]
                if inner is not _NOTHING:
                    copy.append(inner)
            else:
                copy = holder.copy()
                if inner is not _NOTHING:
                    copy[key] = inner
            inner = copy
        return inner

    def feed(self, text: str) -> None:
        """Take the next piece of the text. Never raises: what is wrong with the text shows in `value`."""
        at, end = 0, len(text)
        while at < end:
            state = self._state
            if state in _STRINGS:
                at = self._read_string(text, at, end)
            elif state == _SCALAR:
                at = self._read_scalar(text, at, end)
            elif state == _BROKEN:
                at = self._skim(text, at, end)
            else:
                at = self._read_mark(text, at, end)

    def _pending(self) -> Any:
        """The string or scalar that is being read, as far as it stands."""
        if self._state == _STRING:
            self._pieces = ["".join(self._pieces)]
            return self._pieces[0]
        if self._state == _SCALAR:
            return _scalar("".join(self._pieces))[0]
        return _NOTHING

    def _read_mark(self, text: str, at: int, end: int) -> int:
        """Read blanks and one mark, or begin a scalar."""
        at = _BLANKS.match(text, at).end()  # type: ignore[union-attr]
        if at == end:
            return at
        char, state = text[at], self._state
        if state <= _FIRST_VALUE:
            if char == '"':
                self._state = _STRING
            elif char == "{":
                self._open("{", {}, _FIRST_KEY)
            elif char == "[":
                self._open("[", [], _FIRST_VALUE)
            elif char == "]" and state == _FIRST_VALUE:
                self._close()
            elif char in _SCALAR_START:
                self._state = _SCALAR
                return at
            else:
                return self._break(at)
        elif state <= _FIRST_KEY:
            if char == '"':
                self._state = _KEY_STRING
            elif char == "}" and state == _FIRST_KEY:
                self._close()
            else:
                return self._break(at)
        elif state == _COLON and char == ":":
            self._state = _VALUE
        elif state == _AFTER and char == ",":
            self._state = _KEY if self._kinds[-1] == "{" else _VALUE
        elif state == _AFTER and self._kinds[-1] == _OPENER.get(char):
            self._close()
        else:
            return self._break(at)
        return at + 1

    def _open(self, kind: str, container: Any, state: int) -> None:
        if len(self._kinds) == MAX_DEPTH:
            self._deep = True
            self._state = _BROKEN
            return
        self._place(container)
        self._kinds.append(kind)
        self._holders.append(container)
        self._keys.append("")
        self._done = False
        self._state = state

    def _close(self) -> None:
        self._kinds.pop()
        self._holders.pop()
        self._keys.pop()
        self._done = not self._holders
        self._state = _AFTER if self._holders else _END

    def _place(self, value: Any) -> None:
        """Put a value where it belongs."""
        if not self._holders:
            self._root = value
            self._done = True
            self._state = _END
            return
        holder = self._holders[-1]
        if isinstance(holder, list):
            holder.append(value)
        else:
            holder[self._keys[-1]] = value
        self._state = _AFTER

    def _read_string(self, text: str, at: int, end: int) -> int:
        quote = slash = -1  # the next of each; looked for again only once passed, so that each is found once
        while at < end:
            if self._escape:
                at = self._read_escape(text, at)
                if self._state == _BROKEN:
                    return at
                continue
            if quote < at:
                quote = text.find('"', at)
                quote = end if quote < 0 else quote
            if slash < at:
                slash = text.find("\\", at)
                slash = end if slash < 0 else slash
            stop = quote if quote < slash else slash
            if stop == slash < end or self._strict:
                stop = (_STRICT if self._strict else _LENIENT).match(text, at).end()  # type: ignore[union-attr]
            if stop > at:
                piece = text[at:stop]
                self._pieces.append(json.loads(f'"{piece}"', strict=False) if "\\" in piece else piece)
                at = stop
            elif text[at] == '"':
                self._end_string()
                return at + 1
            elif text[at] == "\\":
                self._escape = "\\"
                at += 1
            else:
                return self._break(at, in_string=True)
        return at

    def _end_string(self) -> None:
        string = "".join(self._pieces)
        self._pieces = []
        if self._state == _KEY_STRING:
            self._keys[-1] = string
            self._state = _COLON
        else:
            self._place(string)

    def _read_escape(self, text: str, at: int) -> int:
        """Read one character of an escape that did not come whole, or that is half of a surrogate pair."""
        escape, char = self._escape, text[at]
        size = len(escape)
        if size == 6:  # \uD83D: the second half may follow
            if char == "\\":
                self._escape += char
                return at + 1
            self._pieces.append(_unit(escape))
            self._escape = ""
            return at
        if size == 7 and char != "u":
            self._pieces.append(_unit(escape[:6]))
            self._escape = "\\"
            return at
        if size == 1 and char in _ESCAPES:
            self._pieces.append(_ESCAPES[char])
            self._escape = ""
            return at + 1
        if char != "u" if size in (1, 7) else char not in _HEX:
            return self._break(at, in_string=True)
        escape += char
        self._escape = escape
        if size == 5 and not _is_high(escape):
            self._pieces.append(_unit(escape))
            self._escape = ""
        elif size == 11:
            self._end_pair(escape[:6], escape[6:])
        return at + 1

    def _end_pair(self, high: str, second: str) -> None:
        self._escape = ""
        if second[:3].lower() == "\\ud" and second[3] in "cdefCDEF":
            self._pieces.append(json.loads(f'"{high}{second}"'))
            return
        self._pieces.append(_unit(high))
        if _is_high(second):
            self._escape = second
        else:
            self._pieces.append(_unit(second))

    def _read_scalar(self, text: str, at: int, end: int) -> int:
        stop = _SCALAR_TEXT.match(text, at).end()  # type: ignore[union-attr]
        self._pieces.append(text[at:stop])
        if stop == end:
            return stop
        value, whole = _scalar("".join(self._pieces))
        self._pieces = []
        if value is not _NOTHING:
            self._place(value)
        return stop if whole else self._break(stop)

    def _break(self, at: int, *, in_string: bool = False) -> int:
        """The text breaks the rules at `at`."""
        self._state = _BROKEN
        self._skipping_string = in_string
        self._pieces = []
        self._escape = ""
        return at

    def _skim(self, text: str, at: int, end: int) -> int:
        """Follow only the brackets of broken text."""
        while at < end and not (self._mismatch or self._deep):
            if self._escape:
                self._escape = ""
                at += 1
                continue
            found = (_QUOTE_OR_BACKSLASH if self._skipping_string else _MARK).search(text, at)
            if found is None:
                return end
            char, at = found.group(), found.end()
            if char == '"':
                self._skipping_string = not self._skipping_string
            elif char == "\\":
                self._escape = char
            elif char in "{[":
                self._kinds.append(char)
            elif not self._kinds or self._kinds.pop() != _OPENER[char]:
                self._mismatch = True
            elif len(self._kinds) < len(self._holders):
                self._drop_innermost()
        return end

    def _drop_innermost(self) -> None:
        """The container in which the text broke was closed: it is not part of the value."""
        self._holders.pop()
        self._keys.pop()
        if not self._holders:
            self._root = None
        elif isinstance(self._holders[-1], list):
            self._holders[-1].pop()
        else:
            self._holders[-1].pop(self._keys[-1], None)


def _scalar(text: str) -> tuple[Any, bool]:
    """The value of the longest beginning of `text` that is a scalar, and whether that is all of it."""
    for word, value in _WORDS:
        if text.startswith(word):
            return value, len(text) == len(word)
    number = _NUMBER.match(text)
    if number is None:
        return _NOTHING, False
    digits = number.group()
    return (float(digits) if number.lastindex else int(digits)), len(digits) == len(text)


def _unit(escape: str) -> str:
    return chr(int(escape[2:], 16))


def _is_high(escape: str) -> bool:
    return 0xD800 <= int(escape[2:], 16) <= 0xDBFF


def _too_deep() -> ValidationError:
    return ValidationError(f"This JSON text is nested more than {MAX_DEPTH} levels deep.")
