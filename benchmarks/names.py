"""The names that we and the peer share, found where each keeps them: `from names import StateGraph`."""

from __future__ import annotations

import importlib
import os
from typing import Any

SYSTEM = os.environ.get("BENCH_SYSTEM", "ours")

PEER = {
    "langchain_core.callbacks": "BaseCallbackHandler",
    "langchain_core.language_models": "BaseChatModel",
    "langchain_core.messages": "AIMessage AIMessageChunk HumanMessage",
    "langchain_core.output_parsers": "StrOutputParser",
    "langchain_core.outputs": "ChatGeneration ChatGenerationChunk ChatResult",
    "langchain_core.prompts": "ChatPromptTemplate",
    "langchain_core.runnables": "RunnableLambda",
    "langchain_core.tools": "tool",
    "langchain_anthropic": "ChatAnthropic",
    "langchain_openai": "ChatOpenAI",
    "langgraph.checkpoint.memory": "InMemorySaver",
    "langgraph.checkpoint.postgres": "PostgresSaver",
    "langgraph.checkpoint.sqlite": "SqliteSaver",
    "langgraph.graph": "END START MessagesState StateGraph",
    "langgraph.prebuilt": "create_react_agent",
    "langgraph.types": "Send",
}
MODULE_OF = {name: module for module, names in PEER.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in MODULE_OF:
        raise AttributeError(f"{name} is not in benchmarks/names.py")
    if SYSTEM == "floor":
        raise ImportError(f"the floor is plain Python: it has no {name}")
    module = importlib.import_module("millstream" if SYSTEM == "ours" else MODULE_OF[name])
    try:
        return getattr(module, name)
    except AttributeError as error:  # as such it would become an ImportError that blames this file
        raise ImportError(str(error)) from error
