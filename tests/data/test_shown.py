from __future__ import annotations

from millstream.data.shown import shown_keywords


def test_of_headers_and_queries_only_the_names_are_shown() -> None:
    given = {
        "seed": 7,
        "extra_headers": {"x-api-key": "secret"},
        "extra_query": {"key": "secret"},
        "extra_body": {"a": 1},
    }
    shown = shown_keywords(given)
    assert "secret" not in repr(shown) and shown.keys() == given.keys()
    assert shown["seed"] == 7 and shown["extra_body"] == {"a": 1}
    assert shown["extra_headers"].keys() == {"x-api-key"} and shown["extra_query"].keys() == {"key"}
    assert given["extra_headers"] == {"x-api-key": "secret"}
    assert shown_keywords({"extra_headers": None}) == {"extra_headers": None}
