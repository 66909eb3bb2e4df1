"""JSON schemas as providers want them: without titles and references; and in the strict form."""

from __future__ import annotations

from typing import Any

__all__ = ["closed_schema", "plain_schema", "strict_schema"]


def plain_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """A copy without titles, with `$ref`s replaced by what they point at.

    A type that contains itself keeps its references, and the `$defs` that they need.
    """
    definitions = {**schema.get("definitions", {}), **schema.get("$defs", {})}
    kept: set[str] = set()
    plain = _plain({k: v for k, v in schema.items() if k not in ("$defs", "definitions")}, definitions, (), kept)
    made: dict[str, Any] = dict(plain)
    done: set[str] = set()
    while kept - done:
        name = min(kept - done)
        done.add(name)
        made.setdefault("$defs", {})[name] = _plain(definitions[name], definitions, (name,), kept)
    return made


def _plain(node: Any, definitions: dict[str, Any], within: tuple[str, ...], kept: set[str]) -> Any:
    if isinstance(node, list):
        return [_plain(item, definitions, within, kept) for item in node]
    if not isinstance(node, dict):
        return node
    reference = node.get("$ref")
    if isinstance(reference, str) and reference.rpartition("/")[2] in definitions:
        name = reference.rpartition("/")[2]
        if name in within:
            kept.add(name)
            return {**node, "$ref": f"#/$defs/{name}"}
        beside = {key: value for key, value in node.items() if key != "$ref"}
        return {
            **_plain(definitions[name], definitions, (*within, name), kept),
            **_plain(beside, definitions, within, kept),
        }
    made: dict[str, Any] = {}
    for key, value in node.items():
        if key == "title" and isinstance(value, str):
            continue
        if key == "properties" and isinstance(value, dict):
            # A property may itself be called `title`.
            made[key] = {name: _plain(item, definitions, within, kept) for name, item in value.items()}
        elif key in ("default", "enum", "const", "examples"):
            made[key] = value
        else:
            made[key] = _plain(value, definitions, within, kept)
    return made


def strict_schema(schema: Any) -> Any:
    """A copy in which every object requires all of its properties and allows no others, none at all where any were allowed."""
    return _closed(schema, all_required=True)


def closed_schema(schema: Any) -> Any:
    """A copy in which no object allows properties beyond its own; what may be left out still may."""
    return _closed(schema, all_required=False)


def _closed(schema: Any, *, all_required: bool) -> Any:
    if isinstance(schema, list):
        return [_closed(item, all_required=all_required) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {
        key: {name: _closed(item, all_required=all_required) for name, item in value.items()}
        if key in ("properties", "$defs")
        # Values, not schemas: an enum of dicts must stay as it is.
        else value
        if key in ("default", "enum", "const", "examples")
        else _closed(value, all_required=all_required)
        for key, value in schema.items()
    }
    if any(key in made for key in ("properties", "additionalProperties")) or made.get("type") == "object":
        # Of a dict with any keys too: providers refuse to hold an answer to a schema that leaves them open.
        made["additionalProperties"] = False
    if "properties" in made and all_required:
        made["required"] = list(made["properties"])
    return made
