"""Serving an agent over HTTP: `from millstream import serve`, then `serve.router(agent)` or `serve.app(agent)`."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# The web framework is loaded when one of these is used, not by the layers above that import a dialect.
_MODULE_OF = {"Allowed": "body", "Limits": "limits", "app": "application", "router": "routes", "run": "server"}

__all__ = ["Allowed", "Limits", "app", "router", "run"]


def __getattr__(name: str) -> Any:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module 'millstream.serve' has no attribute {name!r}")
    try:
        value = getattr(importlib.import_module(f"millstream.serve.{module}"), name)
    except ModuleNotFoundError as error:
        if error.name in {"fastapi", "starlette", "uvicorn", "orjson"}:
            raise ModuleNotFoundError(
                f"millstream.serve needs {error.name}: pip install 'millstream[serve]'", name=error.name
            ) from None
        raise
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if TYPE_CHECKING:
    from .application import app
    from .body import Allowed
    from .limits import Limits
    from .routes import router
    from .server import run
