"""Tools for testing applications built on millstream: stand-ins for what lies outside."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# One row a module: the names that it gives, loaded when first used.
_EXPORTS: dict[str, str] = {
    "anthropic_streams": """message_answer message_block message_error message_frame message_of
        message_stream""",
    "models": """FakeChatModel FakeListChatModel FakeListLLM FakeMessagesListChatModel FakeStreamingListLLM
        GenericFakeChatModel ParrotFakeChatModel ScriptedChatModel""",
    "openai_streams": "answer_of chat_answer chat_error chat_frame chat_stream embeddings_answer frames_of",
    "responses_streams": "response_answer response_frame response_item response_of response_stream",
    "saver_suite": "SaverCheck saver_checks",
    "striking": "FAULT_PLACES Fault arm_faults armed watched_places",
    "store_conformance": "STORE_INDEX StoreCheck store_checks",
    "provider": "RecordedConnection RecordedRequest Reply StandInProvider",
}
_MODULE_OF = {name: module for module, names in _EXPORTS.items() for name in names.split()}

__all__ = sorted(_MODULE_OF)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module 'millstream.testing' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"millstream.testing.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if TYPE_CHECKING:
    from .anthropic_streams import *  # noqa: F403
    from .models import *  # noqa: F403
    from .openai_streams import *  # noqa: F403
    from .provider import *  # noqa: F403
    from .responses_streams import *  # noqa: F403
    from .saver_suite import *  # noqa: F403
    from .store_conformance import *  # noqa: F403
    from .striking import *  # noqa: F403
