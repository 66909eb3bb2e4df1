"""Models held to a JSON schema by their provider: how the schema is told, and how the answer is read."""

from __future__ import annotations

import typing
from typing import Any

from pydantic import BaseModel

from ..chat.function_calling import convert_to_openai_function
from ..chat.json_parsers import JsonOutputParser, PydanticOutputParser
from ..chat.json_schema import closed_schema, plain_schema
from ..errors import InvalidArgument, OutputParserException

__all__ = ["answer_parser", "answer_schema", "is_pydantic", "json_format", "named_schema"]

# How providers say that they ended an answer before its end.
_CUT = ("length", "max_tokens", "max_output_tokens", "model_context_window_exceeded")


def named_schema(schema: Any, *, strict: bool | None = None) -> dict[str, Any]:
    """`{"name", "description", "schema", "strict"}` of a pydantic class, a TypedDict, a JSON schema with a title, or a function.

    What has that form already is taken as it is.
    With `strict` every property is required and no other is allowed; without a word a pydantic class is strict.
    """
    if schema is None:
        raise InvalidArgument("method='json_schema' needs a `schema`; method='json_mode' works without.")
    if strict is None and is_pydantic(schema):
        strict = True
    if isinstance(schema, dict) and "name" in schema and isinstance(schema.get("schema"), dict):
        strict = schema.get("strict") if strict is None else strict
        schema = {
            **{key: schema[key] for key in ("name", "description") if key in schema},
            "parameters": schema["schema"],
        }
    told = convert_to_openai_function(schema, strict=strict)
    made: dict[str, Any] = {"name": told["name"], "schema": told.get("parameters") or {}}
    if told.get("description"):
        made["description"] = told["description"]
    if strict is not None:
        made["strict"] = strict
    return made


def json_format(schema: Any, *, strict: bool | None = None) -> dict[str, Any]:
    """The `response_format` of chat completions that holds an answer to a schema."""
    return {"type": "json_schema", "json_schema": named_schema(schema, strict=strict)}


def answer_schema(form: Any) -> Any:
    """The JSON schema, and nothing around it, of whatever says how an answer is to look; it allows no other properties.

    Raises:
        InvalidArgument: there is no schema in it.
    """
    if isinstance(form, dict) and form.get("type") in ("json_object", "json_schema"):
        inner = form.get("json_schema")
        form = (inner if isinstance(inner, dict) else form).get("schema")
        if form is None:
            raise InvalidArgument("Anthropic's API has no mode for JSON of any form: give the answer a JSON schema.")
    if isinstance(form, dict) and not any(key in form for key in ("title", "name", "function")):
        return closed_schema(plain_schema(form))
    return closed_schema(named_schema(form, strict=False)["schema"])


def answer_parser(schema: Any) -> JsonOutputParser:
    """The parser of an answer in that form: an instance for a pydantic class, else the value."""
    return _PydanticAnswer(pydantic_object=schema) if is_pydantic(schema) else _JsonAnswer()


def is_pydantic(schema: Any) -> bool:
    """It is a pydantic class."""
    return isinstance(schema, type) and issubclass(schema, BaseModel) and not typing.is_typeddict(schema)


def _check(message: Any) -> None:
    """Raise where there is no answer to parse, or not all of it."""
    text = getattr(message, "text", "")
    if refusal := getattr(message, "additional_kwargs", {}).get("refusal"):
        raise OutputParserException(f"The model refused to answer: {refusal}", llm_output=refusal)
    told = getattr(message, "response_metadata", {})
    reason = (
        told.get("finish_reason") or told.get("stop_reason") or (told.get("incomplete_details") or {}).get("reason")
    )
    if reason in _CUT:
        raise OutputParserException(f"The answer was cut ({reason}): give the model more tokens.", llm_output=text)
    if reason == "content_filter":
        raise OutputParserException("The provider's content filter stopped the answer.", llm_output=text)
    if reason == "refusal":
        raise OutputParserException("The model refused to answer.", llm_output=text)


def _calls_instead(message: Any) -> bool:
    """The model wants to know more before it answers."""
    return bool(getattr(message, "tool_calls", None)) and not message.text.strip()


class _JsonAnswer(JsonOutputParser):
    """The JSON that the answer is."""

    def parse_result(self, result: list[Any], *, partial: bool = False) -> Any:
        message = getattr(result[0], "message", None)
        _check(message)
        return None if _calls_instead(message) else super().parse_result(result, partial=partial)


class _PydanticAnswer(PydanticOutputParser):
    """An instance of the JSON that the answer is."""

    def parse_result(self, result: list[Any], *, partial: bool = False) -> Any:
        message = getattr(result[0], "message", None)
        _check(message)
        return None if _calls_instead(message) else super().parse_result(result, partial=partial)
