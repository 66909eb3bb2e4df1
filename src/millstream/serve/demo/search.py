"""Search over the project's own documentation: sections of markdown, ranked by BM25."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata, resources
from pathlib import Path

__all__ = ["Index", "Section", "load_docs", "sections"]

_WORD = re.compile(r"[a-z0-9_]+")
_STOP_WORDS = """a about an and are as at be by can do does for from has have how i in is it me my of on or say tell
    that the there this to was what when where which who why will with you your millstream docs
    documentation"""
_STOP = frozenset(_STOP_WORDS.split())
# BM25's usual constants: how soon repetition stops counting, how much long sections are held back.
_K1, _B = 1.5, 0.75
# A word in the title says more than one in the text.
_TITLE_WEIGHT = 3
_EXCERPT = 400


@dataclass(frozen=True, slots=True)
class Section:
    """A piece of a page under one heading."""

    page: str
    title: str
    text: str


@dataclass(slots=True)
class _Indexed:
    section: Section
    words: Counter[str]
    length: int = field(default=0)


class Index:
    """Sections that can be searched."""

    def __init__(self, found: Iterable[Section]) -> None:
        self._sections = [_indexed(section) for section in found]
        self._average = sum(item.length for item in self._sections) / max(len(self._sections), 1)
        self._having = Counter(word for item in self._sections for word in item.words)

    def __len__(self) -> int:
        return len(self._sections)

    def search(self, query: str, limit: int = 3) -> list[Section]:
        """The sections nearest to `query`, best first; those that share no word with it are left out."""
        wanted = set(words(query))
        scored = [(self._score(item, wanted), index) for index, item in enumerate(self._sections)]
        best = sorted(((score, -index) for score, index in scored if score > 0), reverse=True)[:limit]
        return [self._sections[-index].section for _, index in best]

    def _score(self, item: _Indexed, wanted: set[str]) -> float:
        score = 0.0
        for word in wanted:
            count = item.words[word]
            if count:
                having = self._having[word]
                rarity = math.log(1 + (len(self._sections) - having + 0.5) / (having + 0.5))
                score += rarity * count * (_K1 + 1) / (count + _K1 * (1 - _B + _B * item.length / self._average))
        return score


def words(text: str) -> list[str]:
    """The words of a text that are worth looking for, in their plainest form."""
    return [_stem(word) for word in _WORD.findall(text.lower()) if word not in _STOP]


def _stem(word: str) -> str:
    for ending in ("ies", "ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word.removesuffix(ending)
            return word + "y" if ending == "ies" else word.removesuffix("e")
    return word.removesuffix("e") if len(word) > 3 else word


def _indexed(section: Section) -> _Indexed:
    counted = Counter(words(section.text))
    for word in words(section.title):
        counted[word] += _TITLE_WEIGHT
    return _Indexed(section, counted, counted.total())


def sections(page: str, text: str) -> list[Section]:
    """The sections of a markdown page; headings inside code blocks are none."""
    found: list[Section] = []
    title, lines, fenced = page, [], False
    for line in text.splitlines():
        fenced ^= line.lstrip().startswith("```")
        heading = None if fenced else re.match(r"#{1,4}\s+(.+)", line)
        if heading is None:
            lines.append(line)
            continue
        _finish(found, page, title, lines)
        title, lines = heading[1].strip(), []
    _finish(found, page, title, lines)
    return found


def _finish(found: list[Section], page: str, title: str, lines: list[str]) -> None:
    text = "\n".join(lines).strip()
    if text:
        found.append(Section(page, title, text))


def excerpt(section: Section, query: str) -> str:
    """The part of a section that says most about `query`, cut between paragraphs where it can be."""
    wanted = set(words(query))
    paragraphs = _paragraphs(section.text)
    start = max(range(len(paragraphs)), key=lambda index: (_weight(paragraphs[index], wanted), -index))
    text = paragraphs[start]
    for paragraph in paragraphs[start + 1 :]:
        if len(text) + len(paragraph) > _EXCERPT:
            break
        text += "\n\n" + paragraph
    return text if len(text) <= 2 * _EXCERPT else text[: 2 * _EXCERPT].rsplit(" ", 1)[0] + " …"


def _paragraphs(text: str) -> list[str]:
    """Paragraphs of markdown; a code block is one."""
    found: list[list[str]] = [[]]
    fenced = False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not line.strip() and not fenced:
            found.append([])
            continue
        found[-1].append(line)
    return ["\n".join(lines) for lines in found if lines]


def _weight(paragraph: str, wanted: set[str]) -> float:
    # Where prose says as much as code, the prose is the answer.
    return len(wanted & set(words(paragraph))) - (0.5 if paragraph.startswith("```") else 0)


@cache
def load_docs() -> Index:
    """The project's documentation: the pages of this checkout or those that the installed package carries."""
    return Index(section for page, text in _pages() for section in sections(page, text))


def _pages() -> list[tuple[str, str]]:
    # src/millstream/serve/demo/search.py in a checkout; the package's own copy in an installation.
    checkout = Path(__file__).resolve().parents[4]
    if (checkout / "docs" / "design.md").is_file():
        files = [checkout / "README.md", *sorted((checkout / "docs").rglob("*.md"))]
        return [(str(file.relative_to(checkout)), file.read_text("utf-8")) for file in files if file.is_file()]
    carried = resources.files("millstream") / "_docs"
    if carried.is_dir():
        with resources.as_file(carried) as folder:
            return [(str(file.relative_to(folder)), file.read_text("utf-8")) for file in sorted(folder.rglob("*.md"))]
    try:
        return [("README.md", str(metadata.metadata("millstream").json.get("description") or ""))]
    except metadata.PackageNotFoundError:
        return []
