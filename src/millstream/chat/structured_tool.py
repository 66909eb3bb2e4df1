"""Tools made from functions: `@tool`, StructuredTool, Tool."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Literal, TypedDict, Unpack, overload

from pydantic import BaseModel, Field

from ..errors import InvalidArgument, InvalidType, ToolException
from ..flow.runnable import Runnable
from .docstrings import dedented, google_docstring
from .tool_schema import warn_untyped
from .tools import BaseTool

__all__ = ["StructuredTool", "Tool", "tool"]

ResponseFormat = Literal["content", "content_and_artifact"]


class StructuredTool(BaseTool):
    """A tool whose work is a function, in sync form, async form, or both."""

    func: Callable[..., Any] | None = None
    coroutine: Callable[..., Any] | None = None

    documented_args: dict[str, str] = Field(default_factory=dict, repr=False)
    """What the docstring says of each argument."""

    def model_post_init(self, context: Any, /) -> None:
        if self.func is None and self.coroutine is None and type(self)._run is StructuredTool._run:
            raise InvalidArgument(f"tool {self.name!r} has neither `func` nor `coroutine`; give it one.")
        if self.args_schema is None:
            # Made when it is first read: see __getattr__.
            vars(self).pop("args_schema")

    def __getattr__(self, name: str) -> Any:
        if name == "args_schema":
            return self._own_model()
        return super().__getattr__(name)  # type: ignore[misc]

    @classmethod
    def from_function(
        cls,
        func: Callable[..., Any] | None = None,
        coroutine: Callable[..., Any] | None = None,
        name: str | None = None,
        description: str | None = None,
        return_direct: bool = False,
        args_schema: Any = None,
        infer_schema: bool = True,
        *,
        response_format: ResponseFormat = "content",
        parse_docstring: bool = False,
        error_on_invalid_docstring: bool = False,
        **kwargs: Any,
    ) -> StructuredTool:
        """The tool that calls a function; name, description and schema come from it where they are not given.

        Raises:
            InvalidArgument: (a ValueError) there is no function, no description, or the docstring documents an argument
                that the function does not take.
        """
        stacklevel = kwargs.pop("stacklevel", 2)
        source = func if func is not None else coroutine
        if source is None:
            raise InvalidArgument("a tool needs a function: give `func` or `coroutine`.")
        name = name or _name_of(source)
        documented: dict[str, str] = {}
        doc = source.__doc__ if _has_own_doc(source) else None
        if parse_docstring:
            known = set(inspect.signature(source).parameters)
            text, documented = google_docstring(doc, known, f"tool {name!r}")
            if error_on_invalid_docstring and not documented and known - {"callbacks", "run_manager"}:
                raise InvalidArgument(
                    f"tool {name!r} is to parse its docstring, which documents no argument; write an `Args:` section "
                    "after a blank line, or pass error_on_invalid_docstring=False."
                )
        else:
            text = dedented(doc)
        if args_schema is None:
            warn_untyped(source, name, stacklevel)
        return cls(
            name=name,
            description=_description(name, description, text, args_schema),
            func=func,
            coroutine=coroutine,
            args_schema=args_schema,
            return_direct=return_direct,
            response_format=response_format,
            documented_args=documented,
            **kwargs,
        )

    def _documented_args(self) -> dict[str, str]:
        return self.documented_args

    def _forms(self) -> tuple[Any, Any]:
        cls = type(self)
        if cls._run is not StructuredTool._run or cls._arun is not StructuredTool._arun:
            return super()._forms()
        fn, afn = self.func, self.coroutine
        if fn is not None and afn is None and _is_async(fn):
            return None, fn
        return fn, afn

    def _run(self, *args: Any, **kwargs: Any) -> Any:
        assert self.func is not None
        return self.func(*args, **kwargs)

    async def _arun(self, *args: Any, **kwargs: Any) -> Any:
        if self.coroutine is None:
            return self._run(*args, **kwargs)
        return await self.coroutine(*args, **kwargs)


class Tool(StructuredTool):
    """A tool that takes one string."""

    def __init__(self, name: str, func: Callable[..., Any] | None, description: str, **kwargs: Any) -> None:
        super().__init__(name=name, func=func, description=description, **kwargs)

    @classmethod
    def from_function(  # type: ignore[override]  # as of old, it takes its arguments in another order
        cls,
        func: Callable[..., Any] | None,
        name: str,
        description: str,
        return_direct: bool = False,
        args_schema: Any = None,
        coroutine: Callable[..., Any] | None = None,
        **kwargs: Any,
    ) -> Tool:
        """The tool that calls a function of one string.

        Raises:
            InvalidArgument: (a ValueError) there is no function.
        """
        return cls(
            name=name,
            func=func,
            description=description,
            coroutine=coroutine,
            return_direct=return_direct,
            args_schema=args_schema,
            **kwargs,
        )

    @property
    def takes_text(self) -> bool:
        """Whether it takes one text, as no schema says otherwise."""
        return self._given_schema() is None

    @property
    def args(self) -> dict[str, Any]:
        if not self.takes_text:
            return super().args
        return {"tool_input": {"type": "string"}}

    @property
    def tool_call_schema(self) -> type[BaseModel] | dict[str, Any]:
        if self._given_schema() is not None:
            return super().tool_call_schema
        return {"title": self.name, "type": "object", "properties": self.args, "required": ["tool_input"]}

    def _arguments(self, leaf: Any, given: Any, call_id: str | None) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if self._given_schema() is not None or isinstance(given, str):
            args, named = super()._arguments(leaf, given, call_id) if self._given_schema() else ((given,), {})
            return (*args, *named.values()), {}
        values = tuple(given.values())
        if len(values) != 1:
            raise ToolException(f"tool {self.name!r} takes one argument, got {len(values)}: {sorted(given)}.")
        return values, {}


class _Options(TypedDict, total=False):
    description: str | None
    return_direct: bool
    args_schema: Any
    infer_schema: bool
    response_format: ResponseFormat
    parse_docstring: bool
    error_on_invalid_docstring: bool
    extras: dict[str, Any] | None


@overload
def tool(
    name_or_callable: Callable[..., Any], runnable: None = None, **options: Unpack[_Options]
) -> StructuredTool: ...
@overload
def tool(name_or_callable: str, runnable: Runnable[Any, Any], **options: Unpack[_Options]) -> StructuredTool: ...
@overload
def tool(
    name_or_callable: str | None = None, runnable: None = None, **options: Unpack[_Options]
) -> Callable[[Callable[..., Any]], StructuredTool]: ...
def tool(
    name_or_callable: str | Callable[..., Any] | None = None,
    runnable: Runnable[Any, Any] | None = None,
    *,
    description: str | None = None,
    return_direct: bool = False,
    args_schema: Any = None,
    infer_schema: bool = True,
    response_format: ResponseFormat = "content",
    parse_docstring: bool = False,
    error_on_invalid_docstring: bool = True,
    extras: dict[str, Any] | None = None,
) -> Any:
    """Make a tool of a function: `@tool`, `@tool("name")`, `@tool(parse_docstring=True, ...)`; or of a runnable.

    The name is the function's, the description its docstring, the schema its signature. Async functions and generator
    functions work as well.

    Example:
        >>> @tool
        ... def add(a: int, b: int) -> int:
        ...     '''Add two numbers.'''
        ...     return a + b
        >>> add.invoke({"a": 1, "b": "2"})
        3

    Raises:
        InvalidArgument: (a ValueError) there is no description.
    """

    def make(source: Callable[..., Any] | Runnable[Any, Any], name: str | None) -> StructuredTool:
        if isinstance(source, Runnable):
            from .runnable_tool import convert_runnable_to_tool

            return convert_runnable_to_tool(source, args_schema, name=name, description=description)
        options: dict[str, Any] = {
            "return_direct": return_direct,
            "response_format": response_format,
            "extras": extras,
            "func": None if _is_async(source) else source,
            "coroutine": source if _is_async(source) else None,
        }
        if not infer_schema and args_schema is None:
            text = _description(name or _name_of(source), description, dedented(source.__doc__), None)
            return Tool(name=name or _name_of(source), description=text, **options)
        return StructuredTool.from_function(
            name=name,
            description=description,
            args_schema=args_schema,
            parse_docstring=parse_docstring,
            error_on_invalid_docstring=error_on_invalid_docstring,
            stacklevel=4,
            **options,
        )

    if isinstance(name_or_callable, str):
        if runnable is not None:
            return make(runnable, name_or_callable)
        return lambda source: make(source, name_or_callable)
    if name_or_callable is None:
        return lambda source: make(source, None)
    if not callable(name_or_callable):
        raise InvalidType(f"tool() takes a function or a name, not {name_or_callable!r}.")
    return make(name_or_callable, None)


def _name_of(function: Callable[..., Any]) -> str:
    name = getattr(function, "__name__", None) or getattr(getattr(function, "func", None), "__name__", None)
    return str(name or type(function).__name__)


def _has_own_doc(function: Callable[..., Any]) -> bool:
    """A partial or a callable object shows the docstring of its class, which describes neither."""
    return inspect.isroutine(function)


def _description(name: str, given: str | None, documented: str, args_schema: Any) -> str:
    if given is not None:
        return given
    if documented:
        return documented
    if isinstance(args_schema, dict) and args_schema.get("description"):
        return str(args_schema["description"])
    if isinstance(args_schema, type) and args_schema.__doc__ and args_schema.__doc__ != BaseModel.__doc__:
        return dedented(args_schema.__doc__)
    raise InvalidArgument(
        f"tool {name!r} has no description, so a model cannot know when to call it; "
        "write a docstring or give `description=`."
    )


def _is_async(function: Any) -> bool:
    if isinstance(function, functools.partial):
        function = function.func
    elif not inspect.isroutine(function):
        function = type(function).__call__
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
