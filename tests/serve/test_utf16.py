"""Text cut inside surrogate pairs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from millstream.serve.dialects.utf16 import Utf16Joiner, valid


def units(text: str) -> str:
    """`text` as UTF-16 units, one a character, as some servers cut it."""
    raw = text.encode("utf-16-le", "surrogatepass")
    return "".join(chr(int.from_bytes(raw[i : i + 2], "little")) for i in range(0, len(raw), 2))


@given(st.text(), st.data())
def test_text_cut_anywhere_comes_out_whole(text: str, data: st.DataObject) -> None:
    left = units(text)
    joiner = Utf16Joiner()
    shown = ""
    while left:
        size = data.draw(st.integers(1, len(left)))
        shown += joiner.feed(left[:size])
        left = left[size:]
    assert shown + joiner.close() == text


@given(st.lists(st.text(st.characters(codec=None), max_size=4)))
def test_the_cuts_make_no_difference_and_the_result_can_be_encoded(parts: list[str]) -> None:
    joiner = Utf16Joiner()
    shown = "".join(map(joiner.feed, parts)) + joiner.close()
    assert shown == valid("".join(parts))
    shown.encode()


def test_nothing_is_held_back_but_a_first_half() -> None:
    joiner = Utf16Joiner()
    assert joiner.feed("a\ud83d") == "a"
    assert joiner.feed("b") == "\ufffdb"
    assert joiner.feed("\udc4b") == "\ufffd"
    assert joiner.close() == ""
