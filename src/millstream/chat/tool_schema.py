"""What a tool's function takes, read from its signature: arguments for the model, and those that others fill in."""

from __future__ import annotations

import inspect
import sys
import types
import typing
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.fields import FieldInfo

from ..errors import InvalidArgument
from ..spine.config import RunnableConfig
from .marks import InjectedToolCallId, injection_mark
from .typed_dicts import readable

__all__ = ["Parameters", "UntypedParameterWarning", "model_of", "parameters_of", "subset", "warn_untyped"]

# Filled in by name, as users of callbacks expect.
_BY_NAME = frozenset({"callbacks", "run_manager"})


class UntypedParameterWarning(UserWarning):
    """A tool's parameter has no type, so the model may send any JSON value for it."""


@dataclass(slots=True)
class Parameters:
    """The parameters of a tool's function, by who fills them in."""

    visible: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    """By the model: annotation, and default (`...` when required)."""
    injected: dict[str, Any] = field(default_factory=dict)
    """By the caller: the mark that says so."""
    required: list[str] = field(default_factory=list)
    """The injected ones without a default."""
    call_id: list[str] = field(default_factory=list)
    config: list[str] = field(default_factory=list)
    manager: list[str] = field(default_factory=list)
    rest: bool = False
    """The function takes any further keyword."""

    def inject(self, name: str, mark: Any) -> None:
        """Note that others fill this one in, as the mark says."""
        self.injected.setdefault(name, mark)
        if (mark is InjectedToolCallId or isinstance(mark, InjectedToolCallId)) and name not in self.call_id:
            self.call_id.append(name)


def parameters_of(function: Callable[..., Any], owner: str) -> Parameters:
    """Read a function's signature; `owner` is the tool's name, for error messages.

    Raises:
        InvalidArgument: (a ValueError) an annotation is a string that names nothing.
    """
    found = Parameters()
    try:
        signature = _signature(function)
    except ValueError:  # a builtin that does not tell
        return Parameters(rest=True)
    for name, parameter in signature.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            found.rest = True
        elif parameter.kind is not inspect.Parameter.VAR_POSITIONAL:
            _sort_in(found, name, _resolved(parameter.annotation, function, name, owner), parameter.default)
    return found


def _sort_in(found: Parameters, name: str, annotation: Any, default: Any) -> None:
    untyped = annotation is inspect.Parameter.empty
    if name in _BY_NAME:
        found.manager.append(name)
        return
    if not untyped and _takes_config(annotation):
        found.config.append(name)
        return
    # A parameter called `runtime` is the runtime of the agent, unless its type says that it is something else.
    mark = InjectedRuntime if untyped and name == "runtime" else injection_mark(annotation)
    if mark is None:
        found.visible[name] = (
            Any if untyped else readable(annotation),
            ... if default is inspect.Parameter.empty else default,
        )
        return
    found.inject(name, mark)
    if name not in found.call_id and default is inspect.Parameter.empty:
        found.required.append(name)


class InjectedRuntime:
    """Stands for the mark of an unannotated `runtime` parameter."""


def warn_untyped(function: Callable[..., Any], owner: str, stacklevel: int) -> None:
    """Warn of each parameter that nothing tells the type of."""
    try:
        signature = _signature(function)
    except ValueError:
        return
    for name, parameter in signature.items():
        if (
            parameter.annotation is inspect.Parameter.empty
            and parameter.kind not in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
            and name not in _BY_NAME
            and name != "runtime"
        ):
            warnings.warn(
                f"parameter {name!r} of tool {owner!r} has no type, so any JSON value is accepted for it; "
                f"annotate it (`{name}: str`) or give the tool an args_schema.",
                UntypedParameterWarning,
                stacklevel=stacklevel + 1,
            )


def model_of(
    name: str,
    description: str,
    parameters: Parameters,
    documented: Mapping[str, str] | None = None,
) -> type[BaseModel]:
    """The pydantic model of the arguments that the model fills in."""
    fields = {
        key: _field(annotation, default, (documented or {}).get(key))
        for key, (annotation, default) in parameters.visible.items()
    }
    return _made(name, description, fields, extra="allow" if parameters.rest else "ignore")


def subset(model: type[BaseModel], name: str, description: str, without: Iterable[str]) -> type[BaseModel]:
    """`model` without some fields."""
    gone = set(without)
    fields = {key: (info.annotation, info) for key, info in model.model_fields.items() if key not in gone}
    return _made(name, description, fields, extra="ignore")


def _made(name: str, description: str, fields: dict[str, Any], *, extra: Any) -> type[BaseModel]:
    config = ConfigDict(arbitrary_types_allowed=True, defer_build=True, protected_namespaces=(), extra=extra)
    with warnings.catch_warnings():
        # An argument called `json` or `schema` is fine: values are read from the instance's dict, not by attribute.
        warnings.filterwarnings("ignore", message=r'Field name ".*" in ".*" shadows an attribute', category=UserWarning)
        model: type[BaseModel] = create_model(name, __config__=config, __doc__=description or None, **fields)
    return model


def _field(annotation: Any, default: Any, documented: str | None) -> tuple[Any, Any]:
    """What `create_model` wants; the text in `Annotated[T, "text"]` is the description, a documented one comes after it."""
    text = documented
    if get_origin(annotation) is Annotated:
        texts = [item for item in get_args(annotation)[1:] if isinstance(item, str)]
        text = texts[0] if texts else text
    if isinstance(default, FieldInfo):
        if text and not default.description:
            default = FieldInfo.merge_field_infos(default, description=text)
        return annotation, default
    if text is None or _describes_itself(annotation):
        return annotation, default
    return annotation, Field(default, description=text)


def _describes_itself(annotation: Any) -> bool:
    return get_origin(annotation) is Annotated and any(
        isinstance(item, FieldInfo) and item.description for item in get_args(annotation)[1:]
    )


def _takes_config(annotation: Any) -> bool:
    if annotation is RunnableConfig:
        return True
    if get_origin(annotation) in (Union, types.UnionType, Annotated):
        return any(_takes_config(item) for item in get_args(annotation))
    return False


def _signature(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    if sys.version_info >= (3, 14):
        import annotationlib

        return inspect.signature(function, annotation_format=annotationlib.Format.FORWARDREF).parameters
    return inspect.signature(function).parameters


def _resolved(annotation: Any, function: Callable[..., Any], name: str, owner: str) -> Any:
    if not isinstance(annotation, (str, typing.ForwardRef)):
        return annotation
    plain = inspect.unwrap(getattr(function, "func", function))  # a partial's function
    plain = getattr(plain, "__func__", plain)
    closure = inspect.getclosurevars(plain).nonlocals if inspect.isfunction(plain) else {}
    holder = types.SimpleNamespace(__annotations__={name: annotation})
    try:
        return typing.get_type_hints(holder, getattr(plain, "__globals__", {}), closure, include_extras=True)[name]
    except NameError as error:
        raise InvalidArgument(
            f"the annotation {annotation!r} of parameter {name!r} of tool {owner!r} names something that cannot be found "
            f"({error}); define it at the top of the module, or give the tool an args_schema."
        ) from error
