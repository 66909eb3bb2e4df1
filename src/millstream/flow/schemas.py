"""Pydantic models of what a runnable takes, made when somebody asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..spine.config import RunnableConfig

__all__ = ["config_schema"]


def config_schema(runnable: Any, include: Sequence[str]) -> Any:
    """A pydantic model with `configurable` (when there is something to configure) and the keys in `include`."""
    from pydantic import BaseModel, Field, create_model

    fields: dict[str, Any] = {}
    specs = runnable.config_specs
    if specs:
        inner: dict[str, Any] = {
            spec.id: (spec.annotation, Field(spec.default, title=spec.name, description=spec.description))
            for spec in specs
        }
        configurable: Any = create_model("Configurable", **inner)
        fields["configurable"] = (configurable, None)
    for key in include:
        if key != "configurable" and key in RunnableConfig.__annotations__:
            fields[key] = (Any, None)
    model: type[BaseModel] = create_model(runnable.get_name("Config"), **fields)
    return model
