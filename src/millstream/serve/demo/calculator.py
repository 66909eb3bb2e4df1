"""Arithmetic from text, by a parser of its own: nothing is ever evaluated as code.

    expression = product (("+" | "-") product)*
    product    = power (("*" | "/" | "//" | "%" | "mod") power)*
    power      = ("+" | "-")* postfix ("^" | "**") power
    postfix    = atom ("!" | "%")*
    atom       = number | name | name "(" expression ("," expression)* ")" | "(" expression ")"

A `%` after a number is a percentage unless an operand follows it. Every step is bounded, so that no input of a model can
hold the process up: the length of the text, its nesting, the size of numbers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Final

__all__ = ["CalculationError", "calculate"]

Number = int | float

MAX_LENGTH: Final = 1_000
MAX_NESTING: Final = 50
MAX_BITS: Final = 4_096  # of a whole number: 1,234 digits
MAX_FACTORIAL: Final = 450

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d[\d_]*\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-zπ]+)|(?P<mark>\*\*|//|[-+*/%^!(),×÷·−]))"
)
_SAME = {"×": "*", "·": "*", "÷": "/", "−": "-", "^": "**", "mod": "%"}
_CONSTANTS = {"pi": math.pi, "π": math.pi, "e": math.e, "tau": math.tau}


class CalculationError(ValueError):
    """The text is no arithmetic, or more of it than is reckoned here; the message says what is wrong."""


def calculate(expression: str) -> str:
    """The value of an arithmetic expression, as text.

    Raises:
        CalculationError: it cannot be worked out.
    """
    if len(expression) > MAX_LENGTH:
        raise CalculationError(f"The expression is longer than {MAX_LENGTH} characters.")
    parser = _Parser(_tokens(expression))
    try:
        value = parser.expression()
    except ZeroDivisionError:
        raise CalculationError("Division by zero.") from None
    except OverflowError:
        raise CalculationError("The result is too large.") from None
    parser.finish()
    return _shown(value)


def _tokens(text: str) -> list[str]:
    tokens: list[str] = []
    at = 0
    text = text.rstrip().removesuffix("=").rstrip()
    # 1,234 is a number, but max(1, 234) has two.
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text) if "(" not in text else text
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise CalculationError(f"{text[at:].strip()[:20]!r} is no arithmetic.")
        token = found[0].strip()
        tokens.append(_SAME.get(token.lower(), token))
        at = found.end()
    return tokens


class _Parser:
    """Reads tokens and reckons as it goes."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    def finish(self) -> None:
        if self._at < len(self._tokens):
            raise CalculationError(f"Did not expect {self._tokens[self._at]!r} there.")

    def expression(self) -> Number:
        value = self._product()
        while (mark := self._accept("+", "-")) is not None:
            right = self._product()
            value = _checked(value + right if mark == "+" else value - right)
        return value

    def _product(self) -> Number:
        value = self._power()
        while (mark := self._accept("*", "/", "//", "%")) is not None:
            value = _checked(_PRODUCTS[mark](value, self._power()))
        return value

    def _power(self) -> Number:
        # -2 ** 2 is -(2 ** 2), and 2 ** -1 is a half.
        if (sign := self._accept("+", "-")) is not None:
            self._deeper()
            value = self._power()
            self._depth -= 1
            return value if sign == "+" else -value
        base = self._postfix()
        if self._accept("**") is None:
            return base
        self._deeper()
        exponent = self._power()
        self._depth -= 1
        return _power(base, exponent)

    def _postfix(self) -> Number:
        value = self._atom()
        while True:
            if self._accept("!") is not None:
                value = _factorial(value)
            elif self._peek() == "%" and not self._operand_follows():
                self._at += 1
                value = value / 100
            else:
                return value

    def _atom(self) -> Number:
        token = self._next()
        if token[0].isdigit() or token[0] == ".":
            return _number(token)
        if token == "(":
            return self._group()[0]
        name = token.lower()
        if name in _CONSTANTS:
            return _CONSTANTS[name]
        if name in _FUNCTIONS and self._accept("(") is not None:
            return _applied(name, self._group(many=True))
        raise CalculationError(f"{token!r} is nothing that can be reckoned with; functions are {_NAMES}.")

    def _group(self, many: bool = False) -> list[Number]:
        self._deeper()
        values = [self.expression()]
        while many and self._accept(",") is not None:
            values.append(self.expression())
        if self._next() != ")":
            raise CalculationError("A closing parenthesis is missing.")
        self._depth -= 1
        return values

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise CalculationError("The expression is nested too deeply.")

    def _operand_follows(self) -> bool:
        following = self._tokens[self._at + 1] if self._at + 1 < len(self._tokens) else ""
        return following == "(" or following[:1].isalnum() or following[:1] in (".", "π")

    def _peek(self) -> str | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _accept(self, *marks: str) -> str | None:
        token = self._peek()
        if token is None or token not in marks:
            return None
        self._at += 1
        return token

    def _next(self) -> str:
        token = self._peek()
        if token is None:
            raise CalculationError("The expression ends too early.")
        self._at += 1
        return token


def _number(token: str) -> Number:
    token = token.replace("_", "")
    value: Number = int(token) if token.isdigit() else float(token)
    return _checked(value)


def _checked(value: Number) -> Number:
    if isinstance(value, complex):
        raise CalculationError("The result is not a real number.")
    if isinstance(value, float) and not math.isfinite(value):
        raise CalculationError("The result is too large.")
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise CalculationError("The result is too large.")
    return value


def _power(base: Number, exponent: Number) -> Number:
    if isinstance(base, int) and isinstance(exponent, int) and exponent >= 0:
        # The size is known before the work is done.
        if base.bit_length() * exponent > MAX_BITS + base.bit_length():
            raise CalculationError("The result is too large.")
        return _checked(base**exponent)
    value: Number = base**exponent
    return _checked(value)


def _factorial(value: Number) -> int:
    if not isinstance(value, int) or not 0 <= value <= MAX_FACTORIAL:
        raise CalculationError(f"Factorials are reckoned of whole numbers from 0 to {MAX_FACTORIAL}.")
    return math.factorial(value)


def _root(value: Number) -> Number:
    if isinstance(value, int) and value >= 0 and math.isqrt(value) ** 2 == value:
        return math.isqrt(value)
    return math.sqrt(value)


def _divided(left: Number, right: Number) -> Number:
    if isinstance(left, int) and isinstance(right, int) and right and left % right == 0:
        return left // right
    return left / right


_PRODUCTS: dict[str, Callable[[Number, Number], Number]] = {
    "*": lambda left, right: left * right,
    "/": _divided,
    "//": lambda left, right: left // right,
    "%": lambda left, right: left % right,
}
# Name: function, fewest and most arguments.
_FUNCTIONS: dict[str, tuple[Callable[..., Number], int, int]] = {
    "abs": (lambda value: abs(value), 1, 1),
    "ceil": (math.ceil, 1, 1),
    "cos": (math.cos, 1, 1),
    "exp": (math.exp, 1, 1),
    "floor": (math.floor, 1, 1),
    "ln": (math.log, 1, 1),
    "log": (lambda value, base=10: math.log(value, base), 1, 2),
    "max": (lambda *values: max(values), 2, 50),
    "min": (lambda *values: min(values), 2, 50),
    "round": (lambda value, digits=0: round(value, max(0, min(int(digits), 15))) if digits else round(value), 1, 2),
    "sin": (math.sin, 1, 1),
    "sqrt": (_root, 1, 1),
    "tan": (math.tan, 1, 1),
}
_NAMES = ", ".join(_FUNCTIONS)


def _applied(name: str, values: list[Number]) -> Number:
    function, fewest, most = _FUNCTIONS[name]
    if not fewest <= len(values) <= most:
        raise CalculationError(f"{name} does not take {len(values)} numbers.")
    try:
        return _checked(function(*values))
    except ValueError as error:
        if isinstance(error, CalculationError):
            raise
        raise CalculationError(f"{name} is not defined there.") from None


def _shown(value: Number) -> str:
    if isinstance(value, int):
        return str(value)
    # Twelve digits are what arithmetic in binary leaves of 0.1 + 0.2.
    rounded = float(f"{value:.12g}")
    if rounded.is_integer() and abs(rounded) < 1e15:
        return str(int(rounded))
    return format(Decimal(repr(rounded)).normalize(), "f") if 1e-6 < abs(rounded) < 1e15 else repr(rounded)
