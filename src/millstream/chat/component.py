"""Component: the base of what users configure once and subclass, a pydantic model that is a Runnable."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from ..errors import MillstreamError
from ..flow.driver import Driver
from ..flow.runnable import Kwargs, Runnable, folded
from ..flow.single import Single
from ..spine.events import MISSING
from ..spine.run import Run
from ..spine.scope import Scope

__all__ = ["Component", "Configured", "RunnableSerializable", "WholeComponent", "is_ours", "whole_of"]

Input = TypeVar("Input")
Output = TypeVar("Output")


class Configured(BaseModel):
    """A pydantic model whose own checks raise our errors as they are, where pydantic would wrap them into one of its own.

    Schemas are built on first use: a pydantic schema costs about a millisecond, and an import should pay for none.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, defer_build=True, protected_namespaces=())

    def __init__(self, /, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            cause = error.errors()[0].get("ctx", {}).get("error")
            if isinstance(cause, MillstreamError):
                raise cause from None
            raise

    def __repr_args__(self) -> Any:
        # Only what was set: a repr is read in logs and error messages.
        return [(key, value) for key, value in super().__repr_args__() if value not in (None, [], {}, False, "")]


class Component(Configured, Runnable[Input, Output]):
    """A runnable with annotated fields, made with keywords; its fields may be assigned to."""

    if not TYPE_CHECKING:
        # Runnable's annotation alone would make a pydantic field of it.
        run_type: ClassVar[str] = "chain"

    def __class_getitem__(cls, item: Any) -> Any:
        # `BaseOutputParser[dict]` says something to a type checker only. A real pydantic specialisation would cost
        # 36 ms each at import and make a second class that `isinstance` does not expect.
        return cls

    def _heard(self, scope: Scope) -> Scope:
        """`scope`, with the callbacks of the constructor for the next run, which is this object's."""
        callbacks = self.__dict__.get("callbacks")
        return scope.heard_once(callbacks) if callbacks else scope

    def _begin(
        self, scope: Scope, input: Any, metadata: Mapping[str, Any] | None = None, extra: dict[str, Any] | None = None
    ) -> Run:
        """Start this object's run with the tags and metadata of its constructor, which are its run's alone.

        The callbacks of the constructor are in `scope` already; `_heard` puts them there.
        """
        own = self.__dict__
        given = own.get("metadata")
        return scope.begin(
            self.get_name(),
            self.run_type,
            input,
            tags=own.get("tags") or (),
            metadata={**(metadata or {}), **given} if given else metadata,
            extra={**(extra or {}), "object": self},
        )


class WholeComponent(Component[Input, Output]):
    """A component that works on the whole of its input and has one result: its run has a start and an end, no chunk."""

    async def _exec(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> Any:
        if not scope.heard(self.run_type):
            return await self._body(d, input, scope.inner(), kwargs)
        run = self._begin(scope, input)
        try:
            output = await self._body(d, input, run.scope, kwargs)
        except BaseException as error:
            run.fail(error)
            raise
        run.end(output)
        return output

    def _flow(
        self, d: Driver, inputs: AsyncIterator[Any], scope: Scope, kwargs: Kwargs, given: Any = MISSING
    ) -> AsyncGenerator[Any, None]:
        return Single(partial(self._exec_whole, d, inputs, scope, kwargs, given))

    async def _exec_whole(self, d: Driver, inputs: AsyncIterator[Any], scope: Scope, kwargs: Kwargs, given: Any) -> Any:
        whole = await whole_of(inputs, given)
        return MISSING if whole is MISSING else await self._exec(d, whole, scope, kwargs)


class RunnableSerializable(Component[Input, Output]):
    """A runnable of a user with annotated fields, made with keywords; it overrides `invoke`, and other verbs as it likes.

    Example:
        >>> class Repeat(RunnableSerializable[str, str]):
        ...     times: int = 2
        ...
        ...     def invoke(self, input, config=None, **kwargs):
        ...         return input * self.times
        >>> Repeat(times=3).invoke("ab")
        'ababab'
    """


def is_ours(method: Any) -> bool:
    """Whether a method is no override of a user."""
    return bool(method.__module__.startswith("millstream."))


async def whole_of(inputs: AsyncIterator[Any], given: Any) -> Any:
    """The whole input of a stream: what is known of it, else all its chunks as one value, MISSING when there are none."""
    if given is not MISSING:
        return given
    return await folded(inputs)


class _FieldOfInstances:
    """Hides a class attribute from the class, but not from instances, whose `__dict__` comes first."""

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        raise AttributeError("name")


# pydantic would warn in each subclass with a `name` field of its own that it shadows the attribute of Runnable.
type.__setattr__(Component, "name", _FieldOfInstances())
# And would ask a generic subclass of a user for our type variables.
Component.__parameters__ = ()  # type: ignore[attr-defined]
Component.__pydantic_generic_metadata__ = {"origin": None, "args": (), "parameters": ()}
