"""BaseTool: something that a model may call, with a schema of its arguments."""

from __future__ import annotations

import functools
import inspect
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import pydantic
from pydantic import BaseModel, Field

from ..data.types import ToolCall
from ..errors import AsyncOnlyMethod, InvalidArgument, ToolException, ValidationError
from ..flow.attend import attended
from ..flow.driver import Driver
from ..flow.runnable import Kwargs
from ..spine.callbacks import AsyncCallbackManagerForToolRun, CallbackManagerForToolRun
from ..spine.config import RunnableConfig
from ..spine.config_tools import merge_configs
from ..spine.events import CUSTOM
from ..spine.run import Run
from ..spine.scope import Scope
from .component import WholeComponent
from .marks import injection_mark
from .tool_results import tool_message
from .tool_schema import Parameters, model_of, parameters_of, subset, warn_untyped

__all__ = ["BaseTool", "ErrorHandler", "injected_args"]

ErrorHandler: TypeAlias = bool | str | Callable[[Any], Any] | None

# The name under which what a generator tool yields is reported.
PROGRESS = "tool_progress"


class BaseTool(WholeComponent[str | dict[str, Any] | ToolCall, Any]):
    """A function with a name, a description and a schema, which a model may call.

    A subclass writes `_run`, `_arun` or both. Called with a dict of arguments it returns the result; called with a
    `ToolCall` it returns a `ToolMessage` that answers it. The arguments are validated and converted first.

    Where `_run` is a generator function, what it yields is progress, shown as it comes; its `return` value, else the
    last thing that it yielded, is the result.
    """

    run_type = "tool"

    name: str  # pyright: ignore[reportIncompatibleVariableOverride]
    description: str = ""
    args_schema: Any = None
    return_direct: bool = False
    verbose: bool = False
    callbacks: Any = Field(default=None, exclude=True, repr=False)
    tags: list[str] | None = None
    metadata: dict[str, Any] | None = None
    handle_tool_error: ErrorHandler = False
    handle_validation_error: ErrorHandler = False
    response_format: Literal["content", "content_and_artifact"] = "content"
    extras: dict[str, Any] | None = None

    # What is read from the function once. A slot, because a private attribute of pydantic costs 3 us a read; and a copy
    # of the tool does not get it, as it may have another function.
    __slots__ = ("_leaf_known",)

    if TYPE_CHECKING:
        _leaf_known: ClassVar[_Leaf]  # of each instance; a plain annotation would be a field

    def model_post_init(self, context: Any, /) -> None:
        if self.args_schema is None:
            warn_untyped(self._run, self.name, 3)

    @abstractmethod
    def _run(self, *args: Any, **kwargs: Any) -> Any:
        """The work of the tool."""

    async def _arun(self, *args: Any, **kwargs: Any) -> Any:
        """The work in async form; without an override `_run` runs on a worker thread."""
        raise AsyncOnlyMethod(f"the tool {self.name!r}", "invoke")

    # -- schema ------------------------------------------------------------------------------------------------------

    @property
    def args(self) -> dict[str, Any]:
        """The JSON schema of each argument that the model fills in."""
        schema = self.tool_call_schema
        if not isinstance(schema, dict):
            schema = schema.model_json_schema()
        properties: dict[str, Any] = schema.get("properties", {})
        return properties

    @property
    def tool_call_schema(self) -> type[BaseModel] | dict[str, Any]:
        """The schema of what the model fills in: a pydantic class, or the JSON schema that was given."""
        schema = self._given_schema()
        if schema is None:
            return self._own_model()
        if isinstance(schema, dict):
            return {**schema, "description": self.description} if self.description else schema
        leaf = self._leaf
        model = leaf.model
        if model is None:
            hidden = [name for name in schema.model_fields if name in leaf.hidden]
            leaf.model = model = subset(schema, self.name, self.description, hidden)
        return model

    def get_input_schema(self, config: Any = None) -> type[BaseModel]:
        """The pydantic class that validates the arguments."""
        schema = self._given_schema()
        if isinstance(schema, dict):
            return model_of(self.name, self.description, Parameters(rest=True))
        return schema or self._own_model()

    def _given_schema(self) -> Any:
        return self.__dict__.get("args_schema")

    def _own_model(self) -> type[BaseModel]:
        leaf = self._leaf
        if leaf.model is None:
            leaf.model = model_of(self.name, self.description, leaf.parameters, self._documented_args())
        return leaf.model

    def _documented_args(self) -> dict[str, str]:
        """The descriptions of arguments that are written elsewhere than in their annotations."""
        return {}

    # -- what users call, beside the methods of every runnable -------------------------------------------------------

    def run(
        self, tool_input: Any, *, tool_call_id: str | None = None, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Any:
        """`invoke`, with `callbacks`, `tags`, `metadata`, `run_name` and `run_id` as keywords of their own.

        With `tool_call_id` the arguments are those of a model's call, and a ToolMessage answers it.
        """
        given, config, kwargs = self._run_input(tool_input, tool_call_id, config, kwargs)
        return self.invoke(given, config, **kwargs)

    async def arun(
        self, tool_input: Any, *, tool_call_id: str | None = None, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Any:
        """`run` in async form."""
        given, config, kwargs = self._run_input(tool_input, tool_call_id, config, kwargs)
        return await self.ainvoke(given, config, **kwargs)

    def _run_input(
        self, given: Any, call_id: str | None, config: RunnableConfig | None, kwargs: Kwargs
    ) -> tuple[Any, RunnableConfig, Kwargs]:
        own = {key: kwargs[key] for key in _CONFIG_KEYS & kwargs.keys() if kwargs[key] is not None}
        rest = {key: value for key, value in kwargs.items() if key not in _CONFIG_KEYS}
        if call_id is not None:
            given = {"type": "tool_call", "name": self.name, "args": given, "id": call_id}
        return given, merge_configs(config, own), rest

    # -- what is called ----------------------------------------------------------------------------------------------

    def _forms(self) -> tuple[Any, Any]:
        """The sync and the async form of the work; either may be None."""
        cls = type(self)
        return self._run, self._arun if cls._arun is not BaseTool._arun else None

    @property
    def _leaf(self) -> _Leaf:
        try:
            return self._leaf_known
        except AttributeError:
            pass
        fn, afn = self._forms()
        leaf = _Leaf.of(fn, afn, self.name, self._given_schema())
        object.__setattr__(self, "_leaf_known", leaf)
        return leaf

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if hasattr(self, "_leaf_known"):
            object.__delattr__(self, "_leaf_known")

    # -- running -----------------------------------------------------------------------------------------------------

    async def _exec(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> Any:
        if self.callbacks:
            return await attended(d, self._heard(scope), lambda scope: self._called(d, input, scope, kwargs))
        return await self._called(d, input, scope, kwargs)

    async def _called(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> Any:
        call_id, given = self._read(input)
        leaf = self._leaf
        run: Run | None = None
        if scope.heard("tool"):
            extra: dict[str, Any] = {"tool_call_id": call_id}
            if isinstance(given, str):
                extra["input_str"] = given
            run = self._begin(scope, leaf.shown(given), extra=extra)
            scope = run.scope
        else:
            scope = scope.inner()
        try:
            output = await self._answer(d, leaf, given, call_id, scope, run, kwargs)
        except BaseException as error:
            if run is not None:
                run.fail(error)
            raise
        if run is not None:
            run.end(output)
        return output

    def _read(self, input: Any) -> tuple[str | None, Any]:
        """The id of the call, where there is one, and the arguments."""
        if isinstance(input, dict):
            if input.get("type") == "tool_call" and "args" in input:
                return input.get("id"), input["args"]
            return None, input
        if isinstance(input, str):
            if isinstance(self._given_schema(), dict):
                raise InvalidArgument(
                    f"tool {self.name!r} has a JSON schema, so it takes a dict of arguments, not the string {input!r}."
                )
            return None, input
        raise ValidationError(
            f"tool {self.name!r} takes a dict of arguments, a ToolCall or a string, not {type(input).__name__}."
        )

    async def _answer(
        self, d: Driver, leaf: _Leaf, given: Any, call_id: str | None, scope: Scope, run: Run | None, kwargs: Kwargs
    ) -> Any:
        artifact = None
        try:
            args, named = self._arguments(leaf, given, call_id)
        except pydantic.ValidationError as error:
            if not self.handle_validation_error:
                error.add_note(f"(the arguments of tool {self.name!r})")
                raise
            content = _handled(error, self.handle_validation_error, "Tool input validation error")
            return tool_message(content, None, call_id, self.name, "error")
        named.update(kwargs, **leaf.surroundings(d, scope, run))
        try:
            content = await self._call(d, leaf, args, named, scope, run)
            if self.response_format == "content_and_artifact":
                content, artifact = self._pair(content)
        except ToolException as error:
            if not self.handle_tool_error:
                raise
            content = _handled(error, self.handle_tool_error, error.args[0] if error.args else "Tool execution error")
            return tool_message(content, None, call_id, self.name, "error")
        return tool_message(content, artifact, call_id, self.name, "success")

    def _arguments(self, leaf: _Leaf, given: Any, call_id: str | None) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """What to call the function with, validated.

        Raises:
            pydantic.ValidationError: (a ValueError) the arguments do not fit the schema.
            InvalidArgument: (a ValueError) an argument that others fill in is absent.
        """
        parameters = leaf.parameters
        if parameters.call_id and call_id is None:
            raise InvalidArgument(
                f"tool {self.name!r} needs the id of its call; invoke it with a whole ToolCall: "
                f"{{'type': 'tool_call', 'name': {self.name!r}, 'args': {{...}}, 'id': '...'}}."
            )
        schema = self._given_schema()
        if isinstance(given, str):
            return self._single(leaf, given), {}
        injected = {name: given[name] for name in parameters.injected if name in given}
        injected.update(dict.fromkeys(parameters.call_id, call_id))
        if isinstance(schema, dict):
            named = dict(given)
        elif leaf.takes_anything and schema is None:
            named = {name: value for name, value in given.items() if name not in parameters.injected}
        else:
            model = schema or self._own_model()
            valid = model.model_validate({**given, **injected} if injected else given)
            named = dict(valid.__dict__)
            if valid.__pydantic_extra__:
                named.update(valid.__pydantic_extra__)
            if schema is not None and not parameters.rest:
                # A field that the function does not take is dropped where only its default speaks for it.
                for name in [n for n in named if n not in given and n not in leaf.accepts]:
                    del named[name]
        named.update(injected)
        for name in parameters.required:
            if name not in named:
                raise ValidationError(
                    f"tool {self.name!r} needs the argument {name!r}, which its caller fills in, not the model.",
                    field=name,
                )
        return (), named

    def _single(self, leaf: _Leaf, given: str) -> tuple[Any, ...]:
        """A string, validated as the first argument and passed on as it is."""
        model = self.get_input_schema()
        first = next(iter(model.model_fields), None)
        if first is None and not leaf.takes_anything:
            return ()
        if first is not None:
            model.model_validate({first: given})
        return (given,)

    async def _call(
        self, d: Driver, leaf: _Leaf, args: tuple[Any, ...], named: dict[str, Any], scope: Scope, run: Run | None
    ) -> Any:
        fn, afn = leaf.fn, leaf.afn
        if d.sync and fn is None:
            raise AsyncOnlyMethod(f"the tool {self.name!r}", "ainvoke")
        if not leaf.yields:
            return await d.call(scope, fn, afn, *args, **named)
        result = None
        items = d.iterate(scope, fn, afn, *args, **named)
        try:
            async for item in items:
                if isinstance(item, _Returned):
                    return item.value
                result = item
                if run is not None and run.mask & CUSTOM:
                    run.emit(CUSTOM, (PROGRESS, item))
        finally:
            await items.aclose()
        return result

    def _pair(self, content: Any) -> tuple[Any, Any]:
        if isinstance(content, tuple) and len(content) == 2:
            return content
        raise InvalidArgument(
            f"tool {self.name!r} has response_format='content_and_artifact', so it must return a pair "
            f"(content, artifact), not {type(content).__name__}."
        )


_CONFIG_KEYS = frozenset({"callbacks", "tags", "metadata", "run_name", "run_id"})


def injected_args(tool: BaseTool) -> dict[str, Any]:
    """The arguments that the caller fills in and the model never sees: name, and the mark that says so.

    A mark is the `InjectedToolArg` subclass or instance of the annotation; `InjectedRuntime` stands for an unannotated
    parameter called `runtime`.
    """
    return dict(tool._leaf.parameters.injected)


@dataclass(slots=True)
class _Returned:
    """What a generator function returned, told apart from what it yielded."""

    value: Any


@dataclass(slots=True)
class _Leaf:
    """What of a tool is read from its function, once."""

    fn: Any
    afn: Any
    yields: bool
    parameters: Parameters
    async_parameters: Parameters
    hidden: frozenset[str]
    accepts: frozenset[str]
    model: type[BaseModel] | None = None
    """What the model that calls is told to fill in."""

    @classmethod
    def of(cls, fn: Any, afn: Any, owner: str, schema: Any) -> _Leaf:
        main = fn if fn is not None else afn
        parameters = async_parameters = parameters_of(main, owner)
        if fn is not None and afn is not None:
            # Two forms need not agree on who wants the config or the run manager.
            async_parameters = parameters_of(afn, owner)
        if isinstance(schema, type) and issubclass(schema, BaseModel):
            for name, info in schema.model_fields.items():
                marks = map(injection_mark, [*info.metadata, info.annotation])
                mark = next((item for item in marks if item is not None), None)
                if mark is not None:
                    parameters.inject(name, mark)
        yields = any(_is_generator(form) for form in (fn, afn) if form is not None)
        if yields and fn is not None:
            fn = _with_return(fn)
        return cls(
            fn,
            afn,
            yields,
            parameters,
            async_parameters,
            frozenset(parameters.injected),
            frozenset([*parameters.visible, *parameters.injected]),
        )

    @property
    def takes_anything(self) -> bool:
        """`_run(self, *args, **kwargs)` and no schema: nothing to validate by."""
        return self.parameters.rest and not self.parameters.visible

    def surroundings(self, d: Driver, scope: Scope, run: Run | None) -> dict[str, Any]:
        """What the form that will run is told of its run, where it asks."""
        in_sync_form = d.sync or self.afn is None
        form = self.parameters if in_sync_form else self.async_parameters
        told: dict[str, Any] = {name: scope.config() for name in form.config}
        if form.manager:
            manager = (CallbackManagerForToolRun if in_sync_form else AsyncCallbackManagerForToolRun)(scope, run)
            told.update((name, manager if name == "run_manager" else manager.get_child()) for name in form.manager)
        return told

    def shown(self, given: Any) -> dict[str, Any]:
        """The arguments as watchers see them: without the injected ones."""
        if isinstance(given, str):
            return {next(iter(self.parameters.visible), "input"): given}
        hidden = self.hidden
        return {name: value for name, value in given.items() if name not in hidden} if hidden else given


def _is_generator(function: Any) -> bool:
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)


def _with_return(function: Callable[..., Any]) -> Callable[..., Any]:
    if not inspect.isgeneratorfunction(function):
        return function

    @functools.wraps(function)
    def pour(*args: Any, **kwargs: Any) -> Any:
        value = yield from function(*args, **kwargs)
        if value is not None:
            yield _Returned(value)

    return pour


def _handled(error: Exception, handler: ErrorHandler, default: Any) -> Any:
    if isinstance(handler, bool):
        return default
    return handler if isinstance(handler, str) else handler(error)  # type: ignore[misc]
