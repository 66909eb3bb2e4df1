"""What a runnable says of itself: its name, the shapes of its input and output, its parts, what can be configured."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from ..errors import InvalidArgument
from ..spine.config import RunnableConfig

if TYPE_CHECKING:
    from pydantic import BaseModel

    from .configurable import ConfigurableFieldSpec
    from .drawing import Graph

__all__ = ["Described", "hanging", "unique_specs"]


class Described:
    """The part of `Runnable` that answers questions and runs nothing."""

    name: str | None = None

    def get_name(self, suffix: str | None = None, *, name: str | None = None) -> str:
        """The name that runs of this object carry; a suffix is joined in the style of the name."""
        base = name or self.name or self._default_name()
        if not suffix:
            return base
        return base + re.sub("^.", _upper, suffix) if base[0].isupper() else base + "_" + suffix.lower()

    def get_input_schema(self, config: RunnableConfig | None = None) -> type[BaseModel]:
        """A pydantic model of what `invoke` takes."""
        from .schemas import schema_of

        return schema_of(self.get_name("Input"), self._input_shape())  # type: ignore[no-any-return]

    def get_output_schema(self, config: RunnableConfig | None = None) -> type[BaseModel]:
        """A pydantic model of what `invoke` gives."""
        from .schemas import schema_of

        return schema_of(self.get_name("Output"), self._output_shape())  # type: ignore[no-any-return]

    @property
    def input_schema(self) -> type[BaseModel]:
        """`get_input_schema()`."""
        return self.get_input_schema()

    @property
    def output_schema(self) -> type[BaseModel]:
        """`get_output_schema()`."""
        return self.get_output_schema()

    def get_input_jsonschema(self, config: RunnableConfig | None = None) -> dict[str, Any]:
        """The JSON schema of what `invoke` takes."""
        return self.get_input_schema(config).model_json_schema()

    def get_output_jsonschema(self, config: RunnableConfig | None = None) -> dict[str, Any]:
        """The JSON schema of what `invoke` gives."""
        return self.get_output_schema(config).model_json_schema()

    def get_config_jsonschema(self, *, include: Sequence[str] | None = None) -> dict[str, Any]:
        """The JSON schema of the configs that this runnable takes; see `config_schema`."""
        return self.config_schema(include=include).model_json_schema()

    @property
    def InputType(self) -> Any:  # noqa: N802 - a name that users know
        """The type of what `invoke` takes, where it is known, else Any."""
        shape = self._input_shape()
        return Any if isinstance(shape, dict) else shape

    @property
    def OutputType(self) -> Any:  # noqa: N802
        """The type of what `invoke` gives, where it is known, else Any."""
        shape = self._output_shape()
        return dict[str, Any] if isinstance(shape, dict) else shape

    def get_graph(self, config: RunnableConfig | None = None) -> Graph:
        """The parts of this runnable as a graph that can be drawn. Metadata of the config is told of them."""
        from .anatomy import graph_of

        return graph_of(self, config)

    def get_prompts(self, config: RunnableConfig | None = None) -> list[Any]:
        """The prompt templates among the parts of this runnable, in order."""
        from millstream import BasePromptTemplate

        inside = [prompt for part in self._parts_inside() for prompt in part.get_prompts()]
        return [self] if isinstance(self, BasePromptTemplate) else inside

    @property
    def config_specs(self) -> list[ConfigurableFieldSpec]:
        """What can be configured in this runnable and its parts."""
        return unique_specs([spec for part in self._parts_inside() for spec in part.config_specs], self.get_name())

    def config_schema(self, *, include: Sequence[str] | None = None) -> type[BaseModel]:
        """A pydantic model of the configs that this runnable takes: `configurable`, and the keys in `include`."""
        from .schemas import config_schema

        return config_schema(self, include or ())  # type: ignore[no-any-return]

    # -- what our own classes say --------------------------------------------------------------------------------------

    def _default_name(self) -> str:
        return type(self).__name__

    def _input_shape(self) -> Any:
        """The shape of the input; see schemas.py."""
        return Any

    def _output_shape(self) -> Any:
        """The shape of the output; see schemas.py."""
        return Any

    def _output_shape_after(self, before: Any) -> Any:
        """The shape of the output as a step in a sequence, behind one whose output has the shape `before`."""
        return self._output_shape()

    def _parts_inside(self) -> Sequence[Described]:
        """The runnables that this one is made of."""
        return ()


def unique_specs(specs: Iterable[ConfigurableFieldSpec], name: str) -> list[ConfigurableFieldSpec]:
    """Each of `specs` once, in the order of their ids.

    Raises:
        InvalidArgument: (a ValueError) two parts of the runnable called `name` mean different things by one id.
    """
    found: dict[str, ConfigurableFieldSpec] = {}
    for spec in specs:
        if found.setdefault(spec.id, spec) != spec:
            raise InvalidArgument(
                f"parts of {name} have conflicting specs for {spec.id!r}: {found[spec.id]} and {spec}."
            )
    return sorted(found.values(), key=attrgetter("id"))


def hanging(head: str, text: object) -> str:
    """The lines of what `repr` gives behind `head`, the further ones below the first."""
    return head + repr(text).replace("\n", "\n" + " " * len(head))


def _upper(first: re.Match[str]) -> str:
    return first.group().upper()
