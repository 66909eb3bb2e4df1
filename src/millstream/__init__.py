"""Millstream: a streaming runtime for LLM chains, agents and graphs.

Every public name can be imported from here and is loaded when it is first used (PEP 562), so that importing
the package costs nothing that is not needed.
"""

from __future__ import annotations

from importlib import import_module

# Not typing's: loading that takes four times as long as all the rest here. Type checkers know it by its name.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# One row a module: the names that it gives. Layers in order.
_EXPORTS: dict[str, str] = {
    # errors
    "errors": """AsyncOnly AsyncOnlyMethod AuthenticationError BadRequestError BlockingCallWarning CorruptCheckpoint EmptyChannelError
        EmptyInputError GraphBubbleUp GraphError GraphInterrupt GraphRecursionError InvalidArgument InvalidGraph InvalidType
        InvalidUpdateError MillstreamError MissingKey OutputParserException OutsideRun ParentCommand ProviderConnectionError
        ProviderError ProviderInterrupted ProviderStatusError ProviderTimeout RateLimitError StorageError ToolException
        Unsupported UsageError ValidationError""",
    # data
    "data.accumulator": "Accumulator",
    "data.addable": "AddableDict aadd add",
    "data.ai_chunk": "AIMessageChunk",
    "data.any_message": "AnyMessage",
    "data.block_types": """AudioContentBlock Citation ContentBlock DataContentBlock FileContentBlock ImageContentBlock
        NonStandardContentBlock PlainTextContentBlock ReasoningContentBlock ServerToolCall ServerToolCallChunk
        ServerToolResult TextContentBlock ToolCallBlock ToolCallChunkBlock VideoContentBlock""",
    "data.chunks": """BaseMessageChunk ChatMessageChunk FunctionMessageChunk HumanMessageChunk SystemMessageChunk
        ToolMessageChunk merge_chunks message_chunk_to_message""",
    "data.coercion": """MessageLikeRepresentation convert_to_messages get_buffer_string message_to_dict messages_from_dict
        messages_to_dict""",
    "data.documents": "Document",
    "data.ids": "new_id",
    "data.merging": "add_usage merge_content merge_dicts merge_lists merge_obj",
    "data.messages": """AIMessage BaseMessage ChatMessage FunctionMessage HumanMessage RemoveMessage SystemMessage
        ToolMessage""",
    "data.openai_format": "convert_to_openai_messages",
    "data.outputs": "ChatGeneration ChatGenerationChunk ChatResult Generation GenerationChunk LLMResult RunInfo",
    "data.partial_json": "PartialJson parse_json_markdown parse_partial_json",
    "data.prompt_values": "ChatPromptValue PromptValue StringPromptValue",
    "data.token_estimate": "count_tokens_approximately",
    "data.types": """InputTokenDetails InvalidToolCall OutputTokenDetails ToolCall ToolCallChunk UsageMetadata
        invalid_tool_call tool_call tool_call_chunk""",
    # spine
    "spine.callbacks": """AsyncCallbackManager AsyncCallbackManagerForChainRun AsyncCallbackManagerForLLMRun
        AsyncCallbackManagerForRetrieverRun AsyncCallbackManagerForToolRun BaseRunManager CallbackManager
        CallbackManagerForChainRun CallbackManagerForLLMRun CallbackManagerForRetrieverRun CallbackManagerForToolRun
        ParentRunManager""",
    "spine.config": "RunnableConfig",
    "spine.config_tools": "ensure_config get_config_list merge_configs patch_config",
    "spine.custom": "adispatch_custom_event dispatch_custom_event",
    "spine.hooks": "register_configure_hook",
    "spine.managers": "BaseCallbackManager Callbacks",
    "spine.scope": "get_config",
    "spine.views.handlers": "AsyncCallbackHandler BaseCallbackHandler",
    "spine.views.log": "LogEntry RunLog RunLogPatch RunState",
    "spine.views.otel": "OpenTelemetryListener",
    "spine.views.printing": "StreamingStdOutCallbackHandler",
    "spine.views.tracer": "BaseTracer Run",
    "spine.views.usage": "UsageMetadataCallbackHandler get_usage_metadata_callback",
    # flow
    "flow.binding": "RunnableBinding",
    "flow.branch": "RouterRunnable RunnableBranch",
    "flow.chain_group": """AsyncCallbackManagerForChainGroup CallbackManagerForChainGroup atrace_as_chain_group
        trace_as_chain_group""",
    "flow.configurable": """ConfigurableField ConfigurableFieldMultiOption ConfigurableFieldSingleOption
        ConfigurableFieldSpec RunnableConfigurableAlternatives RunnableConfigurableFields""",
    "flow.drawing": "Edge Graph Node",
    "flow.each": "RunnableEach",
    "flow.fallbacks": "RunnableWithFallbacks",
    "flow.either": "EitherStream",
    "flow.function": "RunnableLambda chain",
    "flow.generator": "RunnableGenerator",
    "flow.parallel": "RunnableMap RunnableParallel",
    "flow.passthrough": "RunnableAssign RunnablePassthrough RunnablePick",
    "flow.retry": "ExponentialJitterParams RunnableRetry",
    "flow.runnable": "Runnable",
    "flow.sequence": "RunnableSequence",
    "flow.stream": "AsyncStream SyncStream",
    # chat
    "chat.base_chat_prompt": "BaseChatPromptTemplate",
    "chat.caches": "BaseCache InMemoryCache get_llm_cache set_llm_cache",
    "chat.chat_prompt": "ChatPromptTemplate",
    "chat.embeddings": "DeterministicFakeEmbedding Embeddings FakeEmbeddings",
    "chat.example_selectors": "BaseExampleSelector",
    "chat.fakes": """FakeChatModel FakeListChatModel FakeListChatModelError FakeMessagesListChatModel GenericFakeChatModel
        ParrotFakeChatModel""",
    "chat.few_shot": "FewShotChatMessagePromptTemplate FewShotPromptTemplate",
    "chat.function_calling": "convert_to_openai_function convert_to_openai_tool",
    "chat.history": "BaseChatMessageHistory InMemoryChatMessageHistory",
    "chat.json_parsers": "JsonOutputParser PydanticOutputParser",
    "chat.list_parsers": """CommaSeparatedListOutputParser ListOutputParser MarkdownListOutputParser
        NumberedListOutputParser""",
    "chat.marks": "InjectedToolArg InjectedToolCallId",
    "chat.memory_vectors": "InMemoryVectorStore",
    "chat.message_filters": "filter_messages merge_message_runs",
    "chat.message_prompts": """AIMessagePromptTemplate ChatMessagePromptTemplate HumanMessagePromptTemplate MessagesPlaceholder
        SystemMessagePromptTemplate""",
    "chat.models": "BaseChatModel SimpleChatModel",
    "chat.parsers": "BaseGenerationOutputParser BaseOutputParser BaseTransformOutputParser StrOutputParser",
    "chat.prompts": "BasePromptTemplate PromptTemplate",
    "chat.rate_limiters": "BaseRateLimiter InMemoryRateLimiter",
    "chat.retrievers": "BaseRetriever",
    "chat.runnable_tool": "convert_runnable_to_tool",
    "chat.structured_tool": "StructuredTool Tool tool",
    "chat.tool_parsers": "JsonOutputKeyToolsParser JsonOutputToolsParser PydanticToolsParser",
    "chat.tool_schema": "UntypedParameterWarning",
    "chat.tools": "BaseTool",
    "chat.trimming": "trim_messages",
    "chat.vectorstore": "VectorStore VectorStoreRetriever",
    "chat.with_history": "RunnableWithMessageHistory",
    "chat.xml_parser": "XMLOutputParser",
    # graph
    "graph.agent": "AgentState create_react_agent",
    "graph.answer_forms": "AutoStrategy ProviderStrategy StructuredOutputError ToolStrategy",
    "graph.builder": "StateGraph",
    "graph.channels": """AnyValue BaseChannel BinaryOperatorAggregate DeltaChannel EphemeralValue LastValue Topic
        UntrackedValue""",
    "graph.compiled": "CompiledStateGraph",
    "graph.constants": "END REMOVE_ALL_MESSAGES START TAG_HIDDEN TAG_NOSTREAM",
    "graph.control": """All Command Durability GraphOutput Interrupt Overwrite PregelTask Send StateSnapshot StateUpdate
        StreamMode StreamWriter""",
    "graph.functional": "TaskFunction entrypoint task",
    "graph.injected": "InjectedState InjectedStore ToolRuntime",
    "graph.interrupts": "CannotResume interrupt",
    "graph.managed": "IsLastStep RemainingSteps",
    "graph.messages": "MessagesState add_messages",
    "graph.create_agent": "create_agent",
    "graph.draining": "GraphDrained RunControl",
    "graph.middleware": """AgentMiddleware ModelRequest ModelResponse ToolCallRequest after_agent after_model before_agent
        before_model dynamic_prompt hook_config wrap_model_call wrap_tool_call""",
    "graph.policies": "CachePolicy NodeError NodeTimeoutError TimeoutPolicy",
    "graph.retrying": "RetryPolicy",
    "graph.runtime": "ExecutionInfo Runtime get_runtime get_store get_stream_writer",
    "graph.savers.base": "BaseCheckpointSaver CheckpointTuple",
    "graph.savers.codec": "register_type",
    "graph.savers.memory": "InMemorySaver MemorySaver",
    "graph.savers.sqlite": "AsyncSqliteSaver SqliteSaver",
    "graph.store.base": """BaseStore GetOp InvalidNamespaceError Item ListNamespacesOp MatchCondition PutOp SearchItem
        SearchOp""",
    "graph.store.memory": "InMemoryStore",
    "graph.tool_node": "ToolInvocationError ToolNode tools_condition",
    # providers
    "providers.anthropic": "ChatAnthropic",
    "providers.openai": "ChatOpenAI",
    "providers.registry": "init_chat_model",
    "providers.timeouts": "Timeouts",
    # serve
}
_MODULE_OF = {name: module for module, names in _EXPORTS.items() for name in names.split()}

__all__ = sorted(_MODULE_OF)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module 'millstream' has no attribute {name!r}")
    value = getattr(import_module(f"millstream.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if TYPE_CHECKING:
    from .chat.base_chat_prompt import *  # noqa: F403
    from .chat.caches import *  # noqa: F403
    from .chat.chat_prompt import *  # noqa: F403
    from .chat.embeddings import *  # noqa: F403
    from .chat.example_selectors import *  # noqa: F403
    from .chat.fakes import *  # noqa: F403
    from .chat.few_shot import *  # noqa: F403
    from .chat.function_calling import *  # noqa: F403
    from .chat.history import *  # noqa: F403
    from .chat.json_parsers import *  # noqa: F403
    from .chat.list_parsers import *  # noqa: F403
    from .chat.marks import *  # noqa: F403
    from .chat.memory_vectors import *  # noqa: F403
    from .chat.message_filters import *  # noqa: F403
    from .chat.message_prompts import *  # noqa: F403
    from .chat.models import *  # noqa: F403
    from .chat.parsers import *  # noqa: F403
    from .chat.prompts import *  # noqa: F403
    from .chat.rate_limiters import *  # noqa: F403
    from .chat.retrievers import *  # noqa: F403
    from .chat.runnable_tool import *  # noqa: F403
    from .chat.structured_tool import *  # noqa: F403
    from .chat.tool_parsers import *  # noqa: F403
    from .chat.tool_schema import *  # noqa: F403
    from .chat.tools import *  # noqa: F403
    from .chat.trimming import *  # noqa: F403
    from .chat.vectorstore import *  # noqa: F403
    from .chat.with_history import *  # noqa: F403
    from .chat.xml_parser import *  # noqa: F403
    from .data.accumulator import *  # noqa: F403
    from .data.addable import *  # noqa: F403
    from .data.ai_chunk import *  # noqa: F403
    from .data.any_message import *  # noqa: F403
    from .data.block_types import *  # noqa: F403
    from .data.chunks import *  # noqa: F403
    from .data.coercion import *  # noqa: F403
    from .data.documents import *  # noqa: F403
    from .data.ids import *  # noqa: F403
    from .data.merging import *  # noqa: F403
    from .data.messages import *  # noqa: F403
    from .data.openai_format import *  # noqa: F403
    from .data.outputs import *  # noqa: F403
    from .data.partial_json import *  # noqa: F403
    from .data.prompt_values import *  # noqa: F403
    from .data.token_estimate import *  # noqa: F403
    from .data.types import *  # noqa: F403
    from .errors import *  # noqa: F403
    from .flow.binding import *  # noqa: F403
    from .flow.branch import *  # noqa: F403
    from .flow.chain_group import *  # noqa: F403
    from .flow.configurable import *  # noqa: F403
    from .flow.drawing import *  # noqa: F403
    from .flow.each import *  # noqa: F403
    from .flow.either import *  # noqa: F403
    from .flow.fallbacks import *  # noqa: F403
    from .flow.function import *  # noqa: F403
    from .flow.generator import *  # noqa: F403
    from .flow.parallel import *  # noqa: F403
    from .flow.passthrough import *  # noqa: F403
    from .flow.retry import *  # noqa: F403
    from .flow.runnable import *  # noqa: F403
    from .flow.sequence import *  # noqa: F403
    from .flow.stream import *  # noqa: F403
    from .graph.agent import *  # noqa: F403
    from .graph.answer_forms import *  # noqa: F403
    from .graph.builder import *  # noqa: F403
    from .graph.channels import *  # noqa: F403
    from .graph.compiled import *  # noqa: F403
    from .graph.constants import *  # noqa: F403
    from .graph.control import *  # noqa: F403
    from .graph.create_agent import *  # noqa: F403
    from .graph.draining import *  # noqa: F403
    from .graph.functional import *  # noqa: F403
    from .graph.injected import *  # noqa: F403
    from .graph.interrupts import *  # noqa: F403
    from .graph.managed import *  # noqa: F403
    from .graph.messages import *  # noqa: F403
    from .graph.middleware import *  # noqa: F403
    from .graph.policies import *  # noqa: F403
    from .graph.retrying import *  # noqa: F403
    from .graph.runtime import *  # noqa: F403
    from .graph.savers.base import *  # noqa: F403
    from .graph.savers.codec import *  # noqa: F403
    from .graph.savers.memory import *  # noqa: F403
    from .graph.savers.sqlite import *  # noqa: F403
    from .graph.store.base import *  # noqa: F403
    from .graph.store.memory import *  # noqa: F403
    from .graph.tool_node import *  # noqa: F403
    from .providers.anthropic import *  # noqa: F403
    from .providers.openai import *  # noqa: F403
    from .providers.registry import *  # noqa: F403
    from .providers.timeouts import *  # noqa: F403
    from .spine.callbacks import *  # noqa: F403
    from .spine.config import *  # noqa: F403
    from .spine.config_tools import *  # noqa: F403
    from .spine.custom import *  # noqa: F403
    from .spine.hooks import *  # noqa: F403
    from .spine.managers import *  # noqa: F403
    from .spine.scope import *  # noqa: F403
    from .spine.views.handlers import *  # noqa: F403
    from .spine.views.log import *  # noqa: F403
    from .spine.views.otel import *  # noqa: F403
    from .spine.views.printing import *  # noqa: F403
    from .spine.views.tracer import *  # noqa: F403
    from .spine.views.usage import *  # noqa: F403
