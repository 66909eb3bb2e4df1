"""What a person wants of the three tools, told from the words of a message by fixed rules. No language is understood."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from .calculator import CalculationError, calculate
from .clock import UnknownPlace, find_zone

__all__ = ["Intent", "intents"]


class Intent(NamedTuple):
    """A tool to call, and its arguments."""

    tool: str
    args: dict[str, Any]


# Arithmetic in words, in signs.
_WORDS = [
    (re.compile(r"\b(?:the )?square root of (\d[\d.,]*)", re.I), r"sqrt(\1)"),
    (re.compile(r"\b(?:the )?factorial of (\d+)", re.I), r"\1!"),
    (re.compile(r"(\d)\s*(?:%|percent) of (\d)", re.I), r"\1% * \2"),
    (re.compile(r"(\d)\s*percent\b", re.I), r"\1%"),
    (re.compile(r"(?<=[\d)!%]) (?:plus|and then add) (?=[\d(.-])", re.I), " + "),
    (re.compile(r"(?<=[\d)!%]) minus (?=[\d(.-])", re.I), " - "),
    (re.compile(r"(?<=[\d)!%])\s*(?:times|multiplied by|x)\s*(?=[\d(.-])", re.I), " * "),
    (re.compile(r"(?<=[\d)!%]) (?:divided by|over) (?=[\d(.-])", re.I), " / "),
    (re.compile(r"(?<=[\d)!%]) to the power(?: of)? (?=[\d(.-])", re.I), " ^ "),
    (re.compile(r"(?<=[\d)]) squared\b", re.I), " ^ 2"),
]
# Text that may be arithmetic: it begins like it and holds nothing else; the calculator has the last word.
_ARITHMETIC = re.compile(
    r"(?:(?:sqrt|sin|cos|tan|ln|log|exp|abs|round|floor|ceil|min|max)\s*\(|[\d(.−-])"
    r"(?:[\d\s.,_()+*/^%!×÷·−-]|\*\*|\b(?:sqrt|sin|cos|tan|ln|log|exp|abs|round|floor|ceil|min|max|mod|pi|e)\b)*",
    re.I,
)
_OPERATION = re.compile(r"[-+*/^!×÷·−]|%\s*\*|[a-z]\s*\(|\bmod\b|\d%", re.I)
_DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}|\d{1,2}/\d{1,2}/\d{2,4}")

_TIME = re.compile(r"\b(?:time|clock|o'clock|hour|date|today|day is it|what day)\b", re.I)
_NOT_THE_TIME = re.compile(
    r"\b(?:time out|timeout|run ?time|time travel|first time|every time|at a time|next time)\b", re.I
)
_CLAUSE = re.compile(r"[?!;\n]+|\.(?=\s|$)|,\s*(?:and\s+)?|\band\b|\bthen\b", re.I)
_GREETING = re.compile(r"\s*(?:hi|hello|hey|thanks|thank you|good (?:morning|evening|day)|help|bye)\b[\s!.]*$", re.I)
_SEARCH = re.compile(
    r"\b(?:search|look up|find|docs?|documentation|millstream|how|what|why|which|where|explain|tell me about|does|do|is|are|can)\b",
    re.I,
)
_FILLER = re.compile(
    r"^\s*(?:also|and|please|can you|could you|search(?: the docs?| the documentation)?(?: for)?|look up|find|tell me|explain"
    r"|in the docs|what do the docs say about|say about)\s+",
    re.I,
)
# A place that no zone is known for is for the clock to say so.
_NAMED = re.compile(r"\b(?:in|at|for)\s+([A-Z][\w-]*(?:\s+[A-Z][\w-]*)*)")
_WORD = re.compile(r"[A-Za-z][A-Za-z_/+-]*(?:\d[\d:]*)?")
_MOST = 8


def intents(text: str) -> list[Intent]:
    """The calls that answer `text`, in its order; none if nothing fits."""
    found: list[tuple[int, Intent]] = []
    text = text[:4_000]
    rest = _take_arithmetic(text, found)
    _take_clauses(rest, found)
    ordered = dict.fromkeys(
        (intent.tool, tuple(intent.args.items())) for _, intent in sorted(found, key=lambda it: it[0])
    )
    return [Intent(tool, dict(args)) for tool, args in list(ordered)[:_MOST]]


def _take_arithmetic(text: str, found: list[tuple[int, Intent]]) -> str:
    """Notes the arithmetic in `text` and returns the text without it."""
    for pattern, signs in _WORDS:
        text = pattern.sub(signs, text)
    if _DATE.search(text):
        return text
    rest: list[str] = []
    at = 0
    for start, expression in _expressions(text):
        found.append((start, Intent("calculator", {"expression": expression})))
        rest.append(text[at:start])
        # What is left of the clause ("what is", "calculate") asks for nothing else.
        rest.append("\0")
        at = start + len(expression)
    rest.append(text[at:])
    return "".join(rest)


def _expressions(text: str) -> Iterator[tuple[int, str]]:
    for match in _ARITHMETIC.finditer(text):
        whole = match[0].rstrip(" \t\n.,(")
        if _reckons(whole):
            yield match.start(), whole
            continue
        # Perhaps a list of several.
        for piece in re.finditer(r"(?:(?!,\s).)+", whole, re.DOTALL):
            expression = piece[0].strip()
            if _reckons(expression):
                yield match.start() + piece.start() + piece[0].index(expression), expression


def _reckons(expression: str) -> bool:
    if not _OPERATION.search(expression[1:]):
        return False
    try:
        calculate(expression)
    except CalculationError as error:
        # Arithmetic that cannot be worked out is for the calculator to say so.
        return "zero" in str(error) or "too large" in str(error)
    return True


def _take_clauses(text: str, found: list[tuple[int, Intent]]) -> None:
    offset, telling_time = 0, False
    pieces = [(match.start(), match[0]) for match in _CLAUSE.finditer(text)] + [(len(text), "")]
    for end, mark in pieces:
        clause, start = text[offset:end], offset
        offset = end + len(mark)
        if "\0" in clause or not clause.strip():
            continue
        places = _places(clause)
        asks_time = bool(_TIME.search(clause)) and not _NOT_THE_TIME.search(clause)
        if asks_time or (telling_time and places and len(clause.split()) <= 5):
            telling_time = True
            found += [
                (start, Intent("clock", {"place": place})) for place in places or _NAMED.findall(clause) or ["UTC"]
            ]
            continue
        telling_time = False
        query = _query(clause)
        if query and not _GREETING.fullmatch(clause) and (_SEARCH.search(clause) or "millstream" in text.lower()):
            found.append((start, Intent("search_docs", {"query": query})))


def _places(clause: str) -> list[str]:
    """The places named in a clause, as they are written; a time zone, a city, or an offset."""
    words = _WORD.findall(clause)
    places: list[str] = []
    at = 0
    while at < len(words):
        size = next((size for size in (3, 2, 1) if _is_place(words[at : at + size], size)), 0)
        if size:
            places.append(" ".join(words[at : at + size]))
        at += size or 1
    return places


def _is_place(words: list[str], size: int) -> bool:
    name = " ".join(words)
    # Zone names hold short words that mean something else in a sentence.
    if len(words) < size or (size == 1 and len(name) < 3 and name.lower() not in ("uk",)):
        return False
    if name.lower() in ("zulu", "the", "est", "met", "now", "universal", "gmt", "time"):
        return name.lower() == "gmt"
    try:
        find_zone(name)
    except UnknownPlace:
        return False
    return True


def _query(clause: str) -> str:
    query = clause.strip()
    while (shorter := _FILLER.sub("", query)) != query:
        query = shorter
    return query.strip(" \t.,?!'\"")[:200]
