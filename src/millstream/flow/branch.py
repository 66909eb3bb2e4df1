"""Runnables that choose: RunnableBranch by condition, RouterRunnable by key."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, TypedDict, TypeVar

from ..errors import InvalidArgument, InvalidType, MissingKey
from ..spine.events import MISSING
from ..spine.scope import Scope
from .coerce import coerce
from .driver import Driver, Outcome
from .many import Many
from .overrides import folded, hearer_of
from .runnable import NO_KWARGS, Kwargs, Runnable, exec_of, flow_of, once

if TYPE_CHECKING:
    from pydantic import BaseModel

    from ..spine.config import RunnableConfig

__all__ = ["RouterInput", "RouterRunnable", "RunnableBranch"]

In = TypeVar("In", contravariant=True)
Out = TypeVar("Out", covariant=True)


class RunnableBranch(Runnable[In, Out], Generic[In, Out]):
    """The first arm whose condition holds, else the default: `RunnableBranch((condition, arm), ..., default)`.

    Conditions are invoked in order; the chosen arm is streamed when the branch is.

    Raises:
        InvalidArgument: (a ValueError) fewer than two arguments, or an arm that is not a pair.
        InvalidType: (a TypeError) something that cannot be a runnable, or an arm that is no tuple or list.
    """

    _takes_whole = True
    _must_add = True

    def __init__(self, *branches: Any) -> None:
        if len(branches) < 2:
            raise InvalidArgument("RunnableBranch needs at least one (condition, arm) pair and a default.")
        *arms, default = branches
        if not isinstance(default, (Runnable, Mapping)) and not callable(default):
            raise InvalidType(
                f"the default of a RunnableBranch must be a runnable, a function or a dict, not {default!r}."
            )
        self.branches: list[tuple[Runnable[Any, Any], Runnable[Any, Any]]] = []
        for arm in arms:
            if not isinstance(arm, (tuple, list)):
                raise InvalidType(f"an arm of a RunnableBranch must be a (condition, runnable) pair, not {arm!r}.")
            if len(arm) != 2:
                raise InvalidArgument(f"an arm of a RunnableBranch must be a (condition, runnable) pair, not {arm!r}.")
            self.branches.append((coerce(arm[0]), coerce(arm[1])))
        self.default = coerce(default)

    def get_input_schema(self, config: RunnableConfig | None = None) -> type[BaseModel]:
        """That of the first part that says what it takes: the default, else an arm, else a condition."""
        telling = self._telling()
        return super().get_input_schema(config) if telling is None else telling.get_input_schema(config)

    def _input_shape(self) -> Any:
        telling = self._telling()
        return Any if telling is None else telling._input_shape()

    def _telling(self) -> Runnable[Any, Any] | None:
        parts = [self.default, *(arm for _, arm in self.branches), *(condition for condition, _ in self.branches)]
        return next((part for part in parts if part._input_shape() is not Any), None)

    def _output_shape(self) -> Any:
        return self.default._output_shape()

    def _parts_inside(self) -> Sequence[Runnable[Any, Any]]:
        return [self.default, *(part for arm in self.branches for part in arm)]

    async def _chosen(self, d: Driver, input: Any, scope: Scope) -> tuple[Runnable[Any, Any], Scope]:
        for number, (condition, arm) in enumerate(self.branches, 1):
            if await exec_of(condition)(d, input, scope.child(f"condition:{number}", hearer_of(condition)), NO_KWARGS):
                return arm, scope.child(f"branch:{number}", hearer_of(arm))
        return self.default, scope.child("branch:default", hearer_of(self.default))

    async def _body(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> Any:
        arm, inner = await self._chosen(d, input, scope)
        return await exec_of(arm)(d, input, inner, kwargs)

    async def _pour(
        self, d: Driver, inputs: AsyncIterator[Any], scope: Scope, kwargs: Kwargs
    ) -> AsyncGenerator[Any, None]:
        whole = await folded(inputs)
        if whole is MISSING:
            return
        arm, inner = await self._chosen(d, whole, scope)
        items = flow_of(arm)(d, once(whole), inner, kwargs)
        try:
            async for item in items:
                yield item
        finally:
            await items.aclose()

    def __repr__(self) -> str:
        return f"RunnableBranch(branches={self.branches!r}, default={self.default!r})"


class RouterInput(TypedDict):
    """What a `RouterRunnable` takes: the key of a runnable, and its input."""

    key: str
    input: Any


class RouterRunnable(Runnable[dict[str, Any], Any]):
    """The runnable that the input names: `{"key": name, "input": value}` runs `runnables[name]` on `value`.

    Raises (when run):
        InvalidType: (a TypeError) the input is no dict.
        MissingKey: (a KeyError) it has no `key` or no `input`.
        InvalidArgument: (a ValueError) no runnable has that key.
    """

    def __init__(self, runnables: Mapping[str, Any]) -> None:
        self.runnables: dict[str, Runnable[Any, Any]] = {key: coerce(value) for key, value in runnables.items()}

    def _key(self, input: Any) -> str:
        if not isinstance(input, Mapping):
            raise InvalidType(f"the input must be a dict {{'key': ..., 'input': ...}}, not {input!r}.")
        for name in ("key", "input"):
            if name not in input:
                raise MissingKey(f"the input must be {{'key': ..., 'input': ...}}; it lacks {name!r}.", key=name)
        key = input["key"]
        if key not in self.runnables:
            known = ", ".join(map(repr, self.runnables))
            raise InvalidArgument(
                f"no runnable has the key {key!r}; the input must be {{'key': one of {known}, 'input': ...}}."
            )
        return str(key)

    async def _outcomes(self, d: Driver, many: Many) -> list[Outcome]:
        inputs = list(many.inputs)
        for each in inputs:  # a wrong key fails the batch before anything has run
            self._key(each)
        return await super()._outcomes(d, replace(many, inputs=inputs))

    async def _exec(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> Any:
        return await exec_of(self.runnables[self._key(input)])(d, input["input"], scope, kwargs)

    async def _flow(
        self, d: Driver, inputs: AsyncIterator[Any], scope: Scope, kwargs: Kwargs, given: Any = MISSING
    ) -> AsyncGenerator[Any, None]:
        input = await folded(inputs)
        if input is MISSING:
            return
        items = flow_of(self.runnables[self._key(input)])(d, once(input["input"]), scope, kwargs, input["input"])
        try:
            async for item in items:
                yield item
        finally:
            await items.aclose()

    def __repr__(self) -> str:
        return f"RouterRunnable(runnables={self.runnables!r})"
