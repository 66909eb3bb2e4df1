"""A runnable offered to a model as a tool."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from ..errors import InvalidArgument
from ..flow.driver import Driver
from ..flow.runnable import NO_KWARGS, Runnable, exec_of
from ..spine.run import Run
from ..spine.scope import Scope
from .function_calling import typed_dict_keys
from .structured_tool import StructuredTool, Tool
from .tool_schema import Parameters, model_of
from .typed_dicts import is_typed_dict, readable

__all__ = ["convert_runnable_to_tool"]


class _Runs(BaseModel):
    """A tool that runs the runnable as a child of its own run, in the same colour."""

    runnable: Any

    def _run(self, *texts: Any, **arguments: Any) -> Any:
        return self.runnable.invoke(*texts or (arguments,))

    async def _call(
        self, d: Driver, leaf: Any, args: tuple[Any, ...], named: dict[str, Any], scope: Scope, run: Run | None
    ) -> Any:
        return await exec_of(self.runnable)(d, args[0] if args else named, scope, NO_KWARGS)


class _RunnableTool(_Runs, StructuredTool):
    """For a runnable that takes a dict."""


class _TextTool(_Runs, Tool):
    """For a runnable that takes one text."""


def convert_runnable_to_tool(
    runnable: Runnable[Any, Any],
    args_schema: Any = None,
    *,
    name: str | None = None,
    description: str | None = None,
    arg_types: Mapping[str, Any] | None = None,
) -> StructuredTool:
    """The tool that runs `runnable` with the dict of its arguments.

    `arg_types` names the arguments where the runnable does not: `{"city": str}`. Without a description the JSON schema of what it
    takes is one.

    Raises:
        InvalidArgument: (a ValueError) nothing tells what the arguments are.
    """
    name = name or runnable.get_name()
    said = description or ""
    description = f"Takes {_schema_of(runnable, args_schema)}." if description is None else description
    if args_schema is None and arg_types is not None:
        parameters = Parameters(visible={key: (readable(annotation), ...) for key, annotation in arg_types.items()})
        args_schema = model_of(name, said, parameters)
    shape = None if args_schema is not None else runnable._input_shape()
    if shape is str:
        return _TextTool(name=name, func=None, description=description, runnable=runnable)
    if is_typed_dict(shape):
        args_schema = model_of(name, said, typed_dict_keys(shape))
    if args_schema is None:
        read = getattr(runnable, "get_input_schema", None)
        args_schema = read() if read is not None else None
    fields = getattr(args_schema, "model_fields", None)
    if not isinstance(args_schema, dict) and (not fields or "root" in fields):  # a RootModel names no arguments
        raise InvalidArgument(
            f"what {name!r} takes is not known, so a model cannot call it; give `arg_types={{'argument': str}}` or `args_schema`."
        )
    return _RunnableTool(name=name, description=description, args_schema=args_schema, runnable=runnable)


def _schema_of(runnable: Runnable[Any, Any], given: Any) -> Any:
    schema = runnable.get_input_schema() if given is None else given
    return schema.model_json_schema() if hasattr(schema, "model_json_schema") else schema
