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
    "errors": """AsyncOnly AsyncOnlyMethod AuthenticationError BadRequestError BlockingCallWarning CannotResume
        CheckpointGone ContextOverflowError CorruptCheckpoint EmptyChannelError EmptyInputError ErrorCode FetchError
        FetchRefused GraphBubbleUp GraphDrained GraphError GraphInterrupt GraphRecursionError InvalidArgument
        InvalidGraph InvalidNamespaceError InvalidType InvalidUpdateError LeaseHeld LeaseLost LoopBlocked
        MillstreamError MissingKey ModelAPIError ModelAuthenticationError ModelConnectionError ModelError
        ModelInvalidRequestError ModelNotFoundError ModelPermissionDeniedError ModelRateLimitError ModelTimeoutError
        NodeCancelledError NodeTimeoutError OutputParserException OutsideRun ParentCommand ProviderConnectionError
        ProviderError ProviderInterrupted ProviderStatusError ProviderTimeout RateLimitError StepAlreadyCommitted
        StorageBusy StorageError StorageFull TaskNotFound ToolException ToolInvocationError UnknownInterruptError
        Unsupported UnsupportedFormat UsageError ValidationError""",
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
    "data.merging": "add_usage merge_content merge_dicts merge_lists merge_obj subtract_usage",
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
    "spine.views.printing": "StdOutCallbackHandler StreamingStdOutCallbackHandler",
    "spine.views.tracer": "BaseTracer Run",
    "spine.views.usage": "UsageMetadataCallbackHandler get_usage_metadata_callback",
    # flow
    "flow.assign": "RunnableAssign",
    "flow.binding": "RunnableBinding",
    "flow.branch": "RouterInput RouterRunnable RunnableBranch",
    "flow.chain_group": """AsyncCallbackManagerForChainGroup CallbackManagerForChainGroup atrace_as_chain_group
        trace_as_chain_group""",
    "flow.coerce": "coerce_to_runnable",
    "flow.configurable": """ConfigurableField ConfigurableFieldMultiOption ConfigurableFieldSingleOption
        ConfigurableFieldSpec RunnableConfigurableAlternatives RunnableConfigurableFields""",
    "flow.drawing": "Edge Graph Node",
    "flow.each": "RunnableEach",
    "flow.executor": "run_in_executor",
    "flow.fallbacks": "RunnableWithFallbacks",
    "flow.either": "EitherStream",
    "flow.function": "RunnableLambda chain",
    "flow.generator": "RunnableGenerator",
    "flow.mermaid": "CurveStyle",
    "flow.parallel": "RunnableMap RunnableParallel",
    "flow.passthrough": "RunnablePassthrough RunnablePick",
    "flow.retry": "ExponentialJitterParams RunnableRetry",
    "flow.runnable": "Runnable",
    "flow.sequence": "RunnableSequence",
    "flow.stream": "AsyncStream SyncStream",
    # chat
    "chat.base_chat_prompt": "BaseChatPromptTemplate",
    "chat.byte_stores": "BaseByteStore InMemoryByteStore",
    "chat.caches": "BaseCache InMemoryCache get_llm_cache set_llm_cache",
    "chat.chat_prompt": "ChatPromptTemplate",
    "chat.component": "RunnableSerializable",
    "chat.cumulative": "BaseCumulativeTransformOutputParser",
    "chat.embeddings": "DeterministicFakeEmbedding Embeddings FakeEmbeddings",
    "chat.example_selectors": "BaseExampleSelector LengthBasedExampleSelector",
    "chat.fake_llms": "FakeListLLM FakeListLLMError FakeStreamingListLLM",
    "chat.fakes": """FakeChatModel FakeListChatModel FakeListChatModelError FakeMessagesListChatModel GenericFakeChatModel
        ParrotFakeChatModel""",
    "chat.few_shot": "FewShotChatMessagePromptTemplate FewShotPromptTemplate",
    "chat.function_calling": "convert_to_openai_function convert_to_openai_tool",
    "chat.history": "BaseChatMessageHistory InMemoryChatMessageHistory",
    "chat.json_parsers": "JsonOutputParser PydanticOutputParser SimpleJsonOutputParser",
    "chat.language_model": "BaseLanguageModel",
    "chat.list_parsers": """CommaSeparatedListOutputParser ListOutputParser MarkdownListOutputParser
        NumberedListOutputParser""",
    "chat.llms": "BaseLLM LLM",
    "chat.marks": "InjectedToolArg InjectedToolCallId",
    "chat.memory_vectors": "InMemoryVectorStore",
    "chat.message_filters": "filter_messages merge_message_runs",
    "chat.message_prompts": """AIMessagePromptTemplate ChatMessagePromptTemplate HumanMessagePromptTemplate MessagesPlaceholder
        SystemMessagePromptTemplate""",
    "chat.models": "BaseChatModel SimpleChatModel",
    "chat.parsers": "BaseGenerationOutputParser BaseOutputParser BaseTransformOutputParser StrOutputParser",
    "chat.prompts": "BasePromptTemplate PromptTemplate StringPromptTemplate",
    "chat.rate_limiters": "BaseRateLimiter InMemoryRateLimiter",
    "chat.retriever_tool": "create_retriever_tool format_document",
    "chat.retrievers": "BaseRetriever",
    "chat.runnable_tool": "convert_runnable_to_tool",
    "chat.structured_tool": "StructuredTool Tool tool",
    "chat.tool_parsers": "JsonOutputKeyToolsParser JsonOutputToolsParser PydanticToolsParser",
    "chat.tool_schema": "UntypedParameterWarning",
    "chat.tools": "BaseTool",
    "chat.trimming": "trim_messages",
    "chat.vector_examples": "MaxMarginalRelevanceExampleSelector SemanticSimilarityExampleSelector",
    "chat.vectorstore": "VectorStore VectorStoreRetriever",
    "chat.with_history": "RunnableWithMessageHistory",
    "chat.xml_parser": "XMLOutputParser",
    # graph
    "graph.agent": "AgentState create_react_agent",
    "graph.answer_forms": """AutoStrategy MultipleStructuredOutputsError ProviderStrategy StructuredOutputError
        StructuredOutputValidationError ToolStrategy""",
    "graph.barriers": "LastValueAfterFinish NamedBarrierValue NamedBarrierValueAfterFinish",
    "graph.bundled.approval": """ActionRequest ApproveDecision Decision DecisionType EditDecision HITLRequest
        HITLResponse HumanInTheLoopMiddleware InterruptOnConfig RejectDecision RespondDecision ReviewConfig""",
    "graph.bundled.limits": """ModelCallLimitExceededError ModelCallLimitMiddleware ToolCallLimitExceededError
        ToolCallLimitMiddleware""",
    "graph.bundled.retries": "ModelFallbackMiddleware ModelRetryMiddleware ToolErrorMiddleware ToolRetryMiddleware",
    "graph.bundled.summaries": "SummarizationMiddleware",
    "graph.handlers": "GraphCallbackHandler GraphInterruptEvent GraphResumeEvent",
    "graph.pushing": "push_message",
    "graph.stream_parts": """CheckpointPayload CheckpointStreamPart CheckpointTask Checkpointer CustomStreamPart DebugPayload
        DebugStreamPart MessagesStreamPart StreamPart TaskPayload TaskResultPayload TasksStreamPart UpdatesStreamPart
        ValuesStreamPart ensure_valid_checkpointer""",
    "graph.validation_node": "ValidationNode",
    "graph.bundled.editing": "ClearToolUsesEdit ContextEdit ContextEditingMiddleware",
    "graph.bundled.personal": "PIIDetectionError PIIMatch PIIMiddleware",
    "graph.bundled.planning": "Todo TodoListMiddleware",
    "graph.bundled.stand_ins": "LLMToolEmulator LLMToolSelectorMiddleware",
    "graph.builder": "MessageGraph StateGraph",
    "graph.channels": """AnyValue BaseChannel BinaryOperatorAggregate DeltaChannel EphemeralValue LastValue Topic
        UntrackedValue""",
    "graph.compiled": "CompiledStateGraph",
    "graph.constants": "CONF END REMOVE_ALL_MESSAGES START TAG_HIDDEN TAG_NOSTREAM TASKS",
    "graph.control": """All Command Durability GraphOutput Interrupt Overwrite PregelTask Send StateSnapshot StateUpdate
        StreamMode StreamWriter""",
    "graph.functional": "TaskFunction entrypoint task",
    "graph.injected": "InjectedState InjectedStore ToolRuntime",
    "graph.interrupts": "NodeInterrupt interrupt",
    "graph.managed": "IsLastStep RemainingSteps",
    "graph.messages": "MessagesState add_messages",
    "graph.create_agent": "create_agent",
    "graph.draining": "RunControl",
    "graph.kept_results": "RedisCache SqliteCache",
    "graph.middleware": """AgentMiddleware ExtendedModelResponse ModelRequest ModelResponse OmitFromInput OmitFromOutput
        OmitFromSchema PrivateStateAttr ToolCallRequest after_agent after_model before_agent before_model
        dynamic_prompt hook_config wrap_model_call wrap_tool_call""",
    "graph.policies": "CachePolicy NodeError TimeoutPolicy TracePolicy omit_payload",
    "graph.retrying": "RetryPolicy",
    "graph.runtime": "BaseUser ExecutionInfo Runtime ServerInfo get_runtime get_store get_stream_writer",
    "graph.savers.base": "BaseCheckpointSaver CheckpointTuple",
    "graph.savers.deltas": "DeltaChannelHistory",
    "graph.savers.leases": "Lease",
    "graph.savers.memory": "InMemorySaver MemorySaver",
    "graph.savers.postgres": "AsyncPostgresSaver PostgresSaver",
    "graph.savers.registry": "register_type",
    "graph.savers.serde": "CipherProtocol EncryptedSerializer JsonPlusSerializer SerializerProtocol",
    "graph.savers.sqlite": "AsyncSqliteSaver SqliteSaver",
    "graph.store.base": "BaseStore GetOp Item ListNamespacesOp MatchCondition PutOp SearchItem SearchOp TTLConfig",
    "graph.store.indexing": "IndexConfig",
    "graph.store.memory": "InMemoryStore",
    "graph.store.postgres": "AsyncPostgresStore PostgresStore",
    "graph.store.sqlite": "AsyncSqliteStore SqliteStore",
    "graph.task": "PregelExecutableTask",
    "graph.tool_node": "ToolNode tools_condition",
    # providers
    "providers.anthropic": "ChatAnthropic",
    "providers.fetch": "Fetched afetch fetch",
    "providers.azure": "AzureChatOpenAI AzureOpenAIEmbeddings",
    "providers.openai": "ChatOpenAI",
    "providers.openai_embeddings": "OpenAIEmbeddings",
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


if TYPE_CHECKING:  # the same names, for checkers and editors; a test compares the two
    from .chat.base_chat_prompt import BaseChatPromptTemplate as BaseChatPromptTemplate
    from .chat.byte_stores import BaseByteStore as BaseByteStore
    from .chat.byte_stores import InMemoryByteStore as InMemoryByteStore
    from .chat.caches import BaseCache as BaseCache
    from .chat.caches import InMemoryCache as InMemoryCache
    from .chat.caches import get_llm_cache as get_llm_cache
    from .chat.caches import set_llm_cache as set_llm_cache
    from .chat.chat_prompt import ChatPromptTemplate as ChatPromptTemplate
    from .chat.component import RunnableSerializable as RunnableSerializable
    from .chat.cumulative import BaseCumulativeTransformOutputParser as BaseCumulativeTransformOutputParser
    from .chat.embeddings import DeterministicFakeEmbedding as DeterministicFakeEmbedding
    from .chat.embeddings import Embeddings as Embeddings
    from .chat.embeddings import FakeEmbeddings as FakeEmbeddings
    from .chat.example_selectors import BaseExampleSelector as BaseExampleSelector
    from .chat.example_selectors import LengthBasedExampleSelector as LengthBasedExampleSelector
    from .chat.fake_llms import FakeListLLM as FakeListLLM
    from .chat.fake_llms import FakeListLLMError as FakeListLLMError
    from .chat.fake_llms import FakeStreamingListLLM as FakeStreamingListLLM
    from .chat.fakes import FakeChatModel as FakeChatModel
    from .chat.fakes import FakeListChatModel as FakeListChatModel
    from .chat.fakes import FakeListChatModelError as FakeListChatModelError
    from .chat.fakes import FakeMessagesListChatModel as FakeMessagesListChatModel
    from .chat.fakes import GenericFakeChatModel as GenericFakeChatModel
    from .chat.fakes import ParrotFakeChatModel as ParrotFakeChatModel
    from .chat.few_shot import FewShotChatMessagePromptTemplate as FewShotChatMessagePromptTemplate
    from .chat.few_shot import FewShotPromptTemplate as FewShotPromptTemplate
    from .chat.function_calling import convert_to_openai_function as convert_to_openai_function
    from .chat.function_calling import convert_to_openai_tool as convert_to_openai_tool
    from .chat.history import BaseChatMessageHistory as BaseChatMessageHistory
    from .chat.history import InMemoryChatMessageHistory as InMemoryChatMessageHistory
    from .chat.json_parsers import JsonOutputParser as JsonOutputParser
    from .chat.json_parsers import PydanticOutputParser as PydanticOutputParser
    from .chat.json_parsers import SimpleJsonOutputParser as SimpleJsonOutputParser
    from .chat.language_model import BaseLanguageModel as BaseLanguageModel
    from .chat.list_parsers import CommaSeparatedListOutputParser as CommaSeparatedListOutputParser
    from .chat.list_parsers import ListOutputParser as ListOutputParser
    from .chat.list_parsers import MarkdownListOutputParser as MarkdownListOutputParser
    from .chat.list_parsers import NumberedListOutputParser as NumberedListOutputParser
    from .chat.llms import LLM as LLM
    from .chat.llms import BaseLLM as BaseLLM
    from .chat.marks import InjectedToolArg as InjectedToolArg
    from .chat.marks import InjectedToolCallId as InjectedToolCallId
    from .chat.memory_vectors import InMemoryVectorStore as InMemoryVectorStore
    from .chat.message_filters import filter_messages as filter_messages
    from .chat.message_filters import merge_message_runs as merge_message_runs
    from .chat.message_prompts import AIMessagePromptTemplate as AIMessagePromptTemplate
    from .chat.message_prompts import ChatMessagePromptTemplate as ChatMessagePromptTemplate
    from .chat.message_prompts import HumanMessagePromptTemplate as HumanMessagePromptTemplate
    from .chat.message_prompts import MessagesPlaceholder as MessagesPlaceholder
    from .chat.message_prompts import SystemMessagePromptTemplate as SystemMessagePromptTemplate
    from .chat.models import BaseChatModel as BaseChatModel
    from .chat.models import SimpleChatModel as SimpleChatModel
    from .chat.parsers import BaseGenerationOutputParser as BaseGenerationOutputParser
    from .chat.parsers import BaseOutputParser as BaseOutputParser
    from .chat.parsers import BaseTransformOutputParser as BaseTransformOutputParser
    from .chat.parsers import StrOutputParser as StrOutputParser
    from .chat.prompts import BasePromptTemplate as BasePromptTemplate
    from .chat.prompts import PromptTemplate as PromptTemplate
    from .chat.prompts import StringPromptTemplate as StringPromptTemplate
    from .chat.rate_limiters import BaseRateLimiter as BaseRateLimiter
    from .chat.rate_limiters import InMemoryRateLimiter as InMemoryRateLimiter
    from .chat.retriever_tool import create_retriever_tool as create_retriever_tool
    from .chat.retriever_tool import format_document as format_document
    from .chat.retrievers import BaseRetriever as BaseRetriever
    from .chat.runnable_tool import convert_runnable_to_tool as convert_runnable_to_tool
    from .chat.structured_tool import StructuredTool as StructuredTool
    from .chat.structured_tool import Tool as Tool
    from .chat.structured_tool import tool as tool
    from .chat.tool_parsers import JsonOutputKeyToolsParser as JsonOutputKeyToolsParser
    from .chat.tool_parsers import JsonOutputToolsParser as JsonOutputToolsParser
    from .chat.tool_parsers import PydanticToolsParser as PydanticToolsParser
    from .chat.tool_schema import UntypedParameterWarning as UntypedParameterWarning
    from .chat.tools import BaseTool as BaseTool
    from .chat.trimming import trim_messages as trim_messages
    from .chat.vector_examples import MaxMarginalRelevanceExampleSelector as MaxMarginalRelevanceExampleSelector
    from .chat.vector_examples import SemanticSimilarityExampleSelector as SemanticSimilarityExampleSelector
    from .chat.vectorstore import VectorStore as VectorStore
    from .chat.vectorstore import VectorStoreRetriever as VectorStoreRetriever
    from .chat.with_history import RunnableWithMessageHistory as RunnableWithMessageHistory
    from .chat.xml_parser import XMLOutputParser as XMLOutputParser
    from .data.accumulator import Accumulator as Accumulator
    from .data.addable import AddableDict as AddableDict
    from .data.addable import aadd as aadd
    from .data.addable import add as add
    from .data.ai_chunk import AIMessageChunk as AIMessageChunk
    from .data.any_message import AnyMessage as AnyMessage
    from .data.block_types import AudioContentBlock as AudioContentBlock
    from .data.block_types import Citation as Citation
    from .data.block_types import ContentBlock as ContentBlock
    from .data.block_types import DataContentBlock as DataContentBlock
    from .data.block_types import FileContentBlock as FileContentBlock
    from .data.block_types import ImageContentBlock as ImageContentBlock
    from .data.block_types import NonStandardContentBlock as NonStandardContentBlock
    from .data.block_types import PlainTextContentBlock as PlainTextContentBlock
    from .data.block_types import ReasoningContentBlock as ReasoningContentBlock
    from .data.block_types import ServerToolCall as ServerToolCall
    from .data.block_types import ServerToolCallChunk as ServerToolCallChunk
    from .data.block_types import ServerToolResult as ServerToolResult
    from .data.block_types import TextContentBlock as TextContentBlock
    from .data.block_types import ToolCallBlock as ToolCallBlock
    from .data.block_types import ToolCallChunkBlock as ToolCallChunkBlock
    from .data.block_types import VideoContentBlock as VideoContentBlock
    from .data.chunks import BaseMessageChunk as BaseMessageChunk
    from .data.chunks import ChatMessageChunk as ChatMessageChunk
    from .data.chunks import FunctionMessageChunk as FunctionMessageChunk
    from .data.chunks import HumanMessageChunk as HumanMessageChunk
    from .data.chunks import SystemMessageChunk as SystemMessageChunk
    from .data.chunks import ToolMessageChunk as ToolMessageChunk
    from .data.chunks import merge_chunks as merge_chunks
    from .data.chunks import message_chunk_to_message as message_chunk_to_message
    from .data.coercion import MessageLikeRepresentation as MessageLikeRepresentation
    from .data.coercion import convert_to_messages as convert_to_messages
    from .data.coercion import get_buffer_string as get_buffer_string
    from .data.coercion import message_to_dict as message_to_dict
    from .data.coercion import messages_from_dict as messages_from_dict
    from .data.coercion import messages_to_dict as messages_to_dict
    from .data.documents import Document as Document
    from .data.ids import new_id as new_id
    from .data.merging import add_usage as add_usage
    from .data.merging import merge_content as merge_content
    from .data.merging import merge_dicts as merge_dicts
    from .data.merging import merge_lists as merge_lists
    from .data.merging import merge_obj as merge_obj
    from .data.merging import subtract_usage as subtract_usage
    from .data.messages import AIMessage as AIMessage
    from .data.messages import BaseMessage as BaseMessage
    from .data.messages import ChatMessage as ChatMessage
    from .data.messages import FunctionMessage as FunctionMessage
    from .data.messages import HumanMessage as HumanMessage
    from .data.messages import RemoveMessage as RemoveMessage
    from .data.messages import SystemMessage as SystemMessage
    from .data.messages import ToolMessage as ToolMessage
    from .data.openai_format import convert_to_openai_messages as convert_to_openai_messages
    from .data.outputs import ChatGeneration as ChatGeneration
    from .data.outputs import ChatGenerationChunk as ChatGenerationChunk
    from .data.outputs import ChatResult as ChatResult
    from .data.outputs import Generation as Generation
    from .data.outputs import GenerationChunk as GenerationChunk
    from .data.outputs import LLMResult as LLMResult
    from .data.outputs import RunInfo as RunInfo
    from .data.partial_json import PartialJson as PartialJson
    from .data.partial_json import parse_json_markdown as parse_json_markdown
    from .data.partial_json import parse_partial_json as parse_partial_json
    from .data.prompt_values import ChatPromptValue as ChatPromptValue
    from .data.prompt_values import PromptValue as PromptValue
    from .data.prompt_values import StringPromptValue as StringPromptValue
    from .data.token_estimate import count_tokens_approximately as count_tokens_approximately
    from .data.types import InputTokenDetails as InputTokenDetails
    from .data.types import InvalidToolCall as InvalidToolCall
    from .data.types import OutputTokenDetails as OutputTokenDetails
    from .data.types import ToolCall as ToolCall
    from .data.types import ToolCallChunk as ToolCallChunk
    from .data.types import UsageMetadata as UsageMetadata
    from .data.types import invalid_tool_call as invalid_tool_call
    from .data.types import tool_call as tool_call
    from .data.types import tool_call_chunk as tool_call_chunk
    from .errors import AsyncOnly as AsyncOnly
    from .errors import AsyncOnlyMethod as AsyncOnlyMethod
    from .errors import AuthenticationError as AuthenticationError
    from .errors import BadRequestError as BadRequestError
    from .errors import BlockingCallWarning as BlockingCallWarning
    from .errors import CannotResume as CannotResume
    from .errors import CheckpointGone as CheckpointGone
    from .errors import ContextOverflowError as ContextOverflowError
    from .errors import CorruptCheckpoint as CorruptCheckpoint
    from .errors import EmptyChannelError as EmptyChannelError
    from .errors import EmptyInputError as EmptyInputError
    from .errors import ErrorCode as ErrorCode
    from .errors import FetchError as FetchError
    from .errors import FetchRefused as FetchRefused
    from .errors import GraphBubbleUp as GraphBubbleUp
    from .errors import GraphDrained as GraphDrained
    from .errors import GraphError as GraphError
    from .errors import GraphInterrupt as GraphInterrupt
    from .errors import GraphRecursionError as GraphRecursionError
    from .errors import InvalidArgument as InvalidArgument
    from .errors import InvalidGraph as InvalidGraph
    from .errors import InvalidNamespaceError as InvalidNamespaceError
    from .errors import InvalidType as InvalidType
    from .errors import InvalidUpdateError as InvalidUpdateError
    from .errors import LeaseHeld as LeaseHeld
    from .errors import LeaseLost as LeaseLost
    from .errors import LoopBlocked as LoopBlocked
    from .errors import MillstreamError as MillstreamError
    from .errors import MissingKey as MissingKey
    from .errors import ModelAPIError as ModelAPIError
    from .errors import ModelAuthenticationError as ModelAuthenticationError
    from .errors import ModelConnectionError as ModelConnectionError
    from .errors import ModelError as ModelError
    from .errors import ModelInvalidRequestError as ModelInvalidRequestError
    from .errors import ModelNotFoundError as ModelNotFoundError
    from .errors import ModelPermissionDeniedError as ModelPermissionDeniedError
    from .errors import ModelRateLimitError as ModelRateLimitError
    from .errors import ModelTimeoutError as ModelTimeoutError
    from .errors import NodeCancelledError as NodeCancelledError
    from .errors import NodeTimeoutError as NodeTimeoutError
    from .errors import OutputParserException as OutputParserException
    from .errors import OutsideRun as OutsideRun
    from .errors import ParentCommand as ParentCommand
    from .errors import ProviderConnectionError as ProviderConnectionError
    from .errors import ProviderError as ProviderError
    from .errors import ProviderInterrupted as ProviderInterrupted
    from .errors import ProviderStatusError as ProviderStatusError
    from .errors import ProviderTimeout as ProviderTimeout
    from .errors import RateLimitError as RateLimitError
    from .errors import StepAlreadyCommitted as StepAlreadyCommitted
    from .errors import StorageBusy as StorageBusy
    from .errors import StorageError as StorageError
    from .errors import StorageFull as StorageFull
    from .errors import TaskNotFound as TaskNotFound
    from .errors import ToolException as ToolException
    from .errors import ToolInvocationError as ToolInvocationError
    from .errors import UnknownInterruptError as UnknownInterruptError
    from .errors import Unsupported as Unsupported
    from .errors import UnsupportedFormat as UnsupportedFormat
    from .errors import UsageError as UsageError
    from .errors import ValidationError as ValidationError
    from .flow.assign import RunnableAssign as RunnableAssign
    from .flow.binding import RunnableBinding as RunnableBinding
    from .flow.branch import RouterInput as RouterInput
    from .flow.branch import RouterRunnable as RouterRunnable
    from .flow.branch import RunnableBranch as RunnableBranch
    from .flow.chain_group import AsyncCallbackManagerForChainGroup as AsyncCallbackManagerForChainGroup
    from .flow.chain_group import CallbackManagerForChainGroup as CallbackManagerForChainGroup
    from .flow.chain_group import atrace_as_chain_group as atrace_as_chain_group
    from .flow.chain_group import trace_as_chain_group as trace_as_chain_group
    from .flow.coerce import coerce_to_runnable as coerce_to_runnable
    from .flow.configurable import ConfigurableField as ConfigurableField
    from .flow.configurable import ConfigurableFieldMultiOption as ConfigurableFieldMultiOption
    from .flow.configurable import ConfigurableFieldSingleOption as ConfigurableFieldSingleOption
    from .flow.configurable import ConfigurableFieldSpec as ConfigurableFieldSpec
    from .flow.configurable import RunnableConfigurableAlternatives as RunnableConfigurableAlternatives
    from .flow.configurable import RunnableConfigurableFields as RunnableConfigurableFields
    from .flow.drawing import Edge as Edge
    from .flow.drawing import Graph as Graph
    from .flow.drawing import Node as Node
    from .flow.each import RunnableEach as RunnableEach
    from .flow.either import EitherStream as EitherStream
    from .flow.executor import run_in_executor as run_in_executor
    from .flow.fallbacks import RunnableWithFallbacks as RunnableWithFallbacks
    from .flow.function import RunnableLambda as RunnableLambda
    from .flow.function import chain as chain
    from .flow.generator import RunnableGenerator as RunnableGenerator
    from .flow.mermaid import CurveStyle as CurveStyle
    from .flow.parallel import RunnableMap as RunnableMap
    from .flow.parallel import RunnableParallel as RunnableParallel
    from .flow.passthrough import RunnablePassthrough as RunnablePassthrough
    from .flow.passthrough import RunnablePick as RunnablePick
    from .flow.retry import ExponentialJitterParams as ExponentialJitterParams
    from .flow.retry import RunnableRetry as RunnableRetry
    from .flow.runnable import Runnable as Runnable
    from .flow.sequence import RunnableSequence as RunnableSequence
    from .flow.stream import AsyncStream as AsyncStream
    from .flow.stream import SyncStream as SyncStream
    from .graph.agent import AgentState as AgentState
    from .graph.agent import create_react_agent as create_react_agent
    from .graph.answer_forms import AutoStrategy as AutoStrategy
    from .graph.answer_forms import MultipleStructuredOutputsError as MultipleStructuredOutputsError
    from .graph.answer_forms import ProviderStrategy as ProviderStrategy
    from .graph.answer_forms import StructuredOutputError as StructuredOutputError
    from .graph.answer_forms import StructuredOutputValidationError as StructuredOutputValidationError
    from .graph.answer_forms import ToolStrategy as ToolStrategy
    from .graph.barriers import LastValueAfterFinish as LastValueAfterFinish
    from .graph.barriers import NamedBarrierValue as NamedBarrierValue
    from .graph.barriers import NamedBarrierValueAfterFinish as NamedBarrierValueAfterFinish
    from .graph.builder import MessageGraph as MessageGraph
    from .graph.builder import StateGraph as StateGraph
    from .graph.bundled.approval import ActionRequest as ActionRequest
    from .graph.bundled.approval import ApproveDecision as ApproveDecision
    from .graph.bundled.approval import Decision as Decision
    from .graph.bundled.approval import DecisionType as DecisionType
    from .graph.bundled.approval import EditDecision as EditDecision
    from .graph.bundled.approval import HITLRequest as HITLRequest
    from .graph.bundled.approval import HITLResponse as HITLResponse
    from .graph.bundled.approval import HumanInTheLoopMiddleware as HumanInTheLoopMiddleware
    from .graph.bundled.approval import InterruptOnConfig as InterruptOnConfig
    from .graph.bundled.approval import RejectDecision as RejectDecision
    from .graph.bundled.approval import RespondDecision as RespondDecision
    from .graph.bundled.approval import ReviewConfig as ReviewConfig
    from .graph.bundled.editing import ClearToolUsesEdit as ClearToolUsesEdit
    from .graph.bundled.editing import ContextEdit as ContextEdit
    from .graph.bundled.editing import ContextEditingMiddleware as ContextEditingMiddleware
    from .graph.bundled.limits import ModelCallLimitExceededError as ModelCallLimitExceededError
    from .graph.bundled.limits import ModelCallLimitMiddleware as ModelCallLimitMiddleware
    from .graph.bundled.limits import ToolCallLimitExceededError as ToolCallLimitExceededError
    from .graph.bundled.limits import ToolCallLimitMiddleware as ToolCallLimitMiddleware
    from .graph.bundled.personal import PIIDetectionError as PIIDetectionError
    from .graph.bundled.personal import PIIMatch as PIIMatch
    from .graph.bundled.personal import PIIMiddleware as PIIMiddleware
    from .graph.bundled.planning import Todo as Todo
    from .graph.bundled.planning import TodoListMiddleware as TodoListMiddleware
    from .graph.bundled.retries import ModelFallbackMiddleware as ModelFallbackMiddleware
    from .graph.bundled.retries import ModelRetryMiddleware as ModelRetryMiddleware
    from .graph.bundled.retries import ToolErrorMiddleware as ToolErrorMiddleware
    from .graph.bundled.retries import ToolRetryMiddleware as ToolRetryMiddleware
    from .graph.bundled.stand_ins import LLMToolEmulator as LLMToolEmulator
    from .graph.bundled.stand_ins import LLMToolSelectorMiddleware as LLMToolSelectorMiddleware
    from .graph.bundled.summaries import SummarizationMiddleware as SummarizationMiddleware
    from .graph.channels import AnyValue as AnyValue
    from .graph.channels import BaseChannel as BaseChannel
    from .graph.channels import BinaryOperatorAggregate as BinaryOperatorAggregate
    from .graph.channels import DeltaChannel as DeltaChannel
    from .graph.channels import EphemeralValue as EphemeralValue
    from .graph.channels import LastValue as LastValue
    from .graph.channels import Topic as Topic
    from .graph.channels import UntrackedValue as UntrackedValue
    from .graph.compiled import CompiledStateGraph as CompiledStateGraph
    from .graph.constants import CONF as CONF
    from .graph.constants import END as END
    from .graph.constants import REMOVE_ALL_MESSAGES as REMOVE_ALL_MESSAGES
    from .graph.constants import START as START
    from .graph.constants import TAG_HIDDEN as TAG_HIDDEN
    from .graph.constants import TAG_NOSTREAM as TAG_NOSTREAM
    from .graph.constants import TASKS as TASKS
    from .graph.control import All as All
    from .graph.control import Command as Command
    from .graph.control import Durability as Durability
    from .graph.control import GraphOutput as GraphOutput
    from .graph.control import Interrupt as Interrupt
    from .graph.control import Overwrite as Overwrite
    from .graph.control import PregelTask as PregelTask
    from .graph.control import Send as Send
    from .graph.control import StateSnapshot as StateSnapshot
    from .graph.control import StateUpdate as StateUpdate
    from .graph.control import StreamMode as StreamMode
    from .graph.control import StreamWriter as StreamWriter
    from .graph.create_agent import create_agent as create_agent
    from .graph.draining import RunControl as RunControl
    from .graph.functional import TaskFunction as TaskFunction
    from .graph.functional import entrypoint as entrypoint
    from .graph.functional import task as task
    from .graph.handlers import GraphCallbackHandler as GraphCallbackHandler
    from .graph.handlers import GraphInterruptEvent as GraphInterruptEvent
    from .graph.handlers import GraphResumeEvent as GraphResumeEvent
    from .graph.injected import InjectedState as InjectedState
    from .graph.injected import InjectedStore as InjectedStore
    from .graph.injected import ToolRuntime as ToolRuntime
    from .graph.interrupts import NodeInterrupt as NodeInterrupt
    from .graph.interrupts import interrupt as interrupt
    from .graph.kept_results import RedisCache as RedisCache
    from .graph.kept_results import SqliteCache as SqliteCache
    from .graph.managed import IsLastStep as IsLastStep
    from .graph.managed import RemainingSteps as RemainingSteps
    from .graph.messages import MessagesState as MessagesState
    from .graph.messages import add_messages as add_messages
    from .graph.middleware import AgentMiddleware as AgentMiddleware
    from .graph.middleware import ExtendedModelResponse as ExtendedModelResponse
    from .graph.middleware import ModelRequest as ModelRequest
    from .graph.middleware import ModelResponse as ModelResponse
    from .graph.middleware import OmitFromInput as OmitFromInput
    from .graph.middleware import OmitFromOutput as OmitFromOutput
    from .graph.middleware import OmitFromSchema as OmitFromSchema
    from .graph.middleware import PrivateStateAttr as PrivateStateAttr
    from .graph.middleware import ToolCallRequest as ToolCallRequest
    from .graph.middleware import after_agent as after_agent
    from .graph.middleware import after_model as after_model
    from .graph.middleware import before_agent as before_agent
    from .graph.middleware import before_model as before_model
    from .graph.middleware import dynamic_prompt as dynamic_prompt
    from .graph.middleware import hook_config as hook_config
    from .graph.middleware import wrap_model_call as wrap_model_call
    from .graph.middleware import wrap_tool_call as wrap_tool_call
    from .graph.policies import CachePolicy as CachePolicy
    from .graph.policies import NodeError as NodeError
    from .graph.policies import TimeoutPolicy as TimeoutPolicy
    from .graph.policies import TracePolicy as TracePolicy
    from .graph.policies import omit_payload as omit_payload
    from .graph.pushing import push_message as push_message
    from .graph.retrying import RetryPolicy as RetryPolicy
    from .graph.runtime import BaseUser as BaseUser
    from .graph.runtime import ExecutionInfo as ExecutionInfo
    from .graph.runtime import Runtime as Runtime
    from .graph.runtime import ServerInfo as ServerInfo
    from .graph.runtime import get_runtime as get_runtime
    from .graph.runtime import get_store as get_store
    from .graph.runtime import get_stream_writer as get_stream_writer
    from .graph.savers.base import BaseCheckpointSaver as BaseCheckpointSaver
    from .graph.savers.base import CheckpointTuple as CheckpointTuple
    from .graph.savers.deltas import DeltaChannelHistory as DeltaChannelHistory
    from .graph.savers.leases import Lease as Lease
    from .graph.savers.memory import InMemorySaver as InMemorySaver
    from .graph.savers.memory import MemorySaver as MemorySaver
    from .graph.savers.postgres import AsyncPostgresSaver as AsyncPostgresSaver
    from .graph.savers.postgres import PostgresSaver as PostgresSaver
    from .graph.savers.registry import register_type as register_type
    from .graph.savers.serde import CipherProtocol as CipherProtocol
    from .graph.savers.serde import EncryptedSerializer as EncryptedSerializer
    from .graph.savers.serde import JsonPlusSerializer as JsonPlusSerializer
    from .graph.savers.serde import SerializerProtocol as SerializerProtocol
    from .graph.savers.sqlite import AsyncSqliteSaver as AsyncSqliteSaver
    from .graph.savers.sqlite import SqliteSaver as SqliteSaver
    from .graph.store.base import BaseStore as BaseStore
    from .graph.store.base import GetOp as GetOp
    from .graph.store.base import Item as Item
    from .graph.store.base import ListNamespacesOp as ListNamespacesOp
    from .graph.store.base import MatchCondition as MatchCondition
    from .graph.store.base import PutOp as PutOp
    from .graph.store.base import SearchItem as SearchItem
    from .graph.store.base import SearchOp as SearchOp
    from .graph.store.base import TTLConfig as TTLConfig
    from .graph.store.indexing import IndexConfig as IndexConfig
    from .graph.store.memory import InMemoryStore as InMemoryStore
    from .graph.store.postgres import AsyncPostgresStore as AsyncPostgresStore
    from .graph.store.postgres import PostgresStore as PostgresStore
    from .graph.store.sqlite import AsyncSqliteStore as AsyncSqliteStore
    from .graph.store.sqlite import SqliteStore as SqliteStore
    from .graph.stream_parts import Checkpointer as Checkpointer
    from .graph.stream_parts import CheckpointPayload as CheckpointPayload
    from .graph.stream_parts import CheckpointStreamPart as CheckpointStreamPart
    from .graph.stream_parts import CheckpointTask as CheckpointTask
    from .graph.stream_parts import CustomStreamPart as CustomStreamPart
    from .graph.stream_parts import DebugPayload as DebugPayload
    from .graph.stream_parts import DebugStreamPart as DebugStreamPart
    from .graph.stream_parts import MessagesStreamPart as MessagesStreamPart
    from .graph.stream_parts import StreamPart as StreamPart
    from .graph.stream_parts import TaskPayload as TaskPayload
    from .graph.stream_parts import TaskResultPayload as TaskResultPayload
    from .graph.stream_parts import TasksStreamPart as TasksStreamPart
    from .graph.stream_parts import UpdatesStreamPart as UpdatesStreamPart
    from .graph.stream_parts import ValuesStreamPart as ValuesStreamPart
    from .graph.stream_parts import ensure_valid_checkpointer as ensure_valid_checkpointer
    from .graph.task import PregelExecutableTask as PregelExecutableTask
    from .graph.tool_node import ToolNode as ToolNode
    from .graph.tool_node import tools_condition as tools_condition
    from .graph.validation_node import ValidationNode as ValidationNode
    from .providers.anthropic import ChatAnthropic as ChatAnthropic
    from .providers.azure import AzureChatOpenAI as AzureChatOpenAI
    from .providers.azure import AzureOpenAIEmbeddings as AzureOpenAIEmbeddings
    from .providers.fetch import Fetched as Fetched
    from .providers.fetch import afetch as afetch
    from .providers.fetch import fetch as fetch
    from .providers.openai import ChatOpenAI as ChatOpenAI
    from .providers.openai_embeddings import OpenAIEmbeddings as OpenAIEmbeddings
    from .providers.registry import init_chat_model as init_chat_model
    from .providers.timeouts import Timeouts as Timeouts
    from .spine.callbacks import AsyncCallbackManager as AsyncCallbackManager
    from .spine.callbacks import AsyncCallbackManagerForChainRun as AsyncCallbackManagerForChainRun
    from .spine.callbacks import AsyncCallbackManagerForLLMRun as AsyncCallbackManagerForLLMRun
    from .spine.callbacks import AsyncCallbackManagerForRetrieverRun as AsyncCallbackManagerForRetrieverRun
    from .spine.callbacks import AsyncCallbackManagerForToolRun as AsyncCallbackManagerForToolRun
    from .spine.callbacks import BaseRunManager as BaseRunManager
    from .spine.callbacks import CallbackManager as CallbackManager
    from .spine.callbacks import CallbackManagerForChainRun as CallbackManagerForChainRun
    from .spine.callbacks import CallbackManagerForLLMRun as CallbackManagerForLLMRun
    from .spine.callbacks import CallbackManagerForRetrieverRun as CallbackManagerForRetrieverRun
    from .spine.callbacks import CallbackManagerForToolRun as CallbackManagerForToolRun
    from .spine.callbacks import ParentRunManager as ParentRunManager
    from .spine.config import RunnableConfig as RunnableConfig
    from .spine.config_tools import ensure_config as ensure_config
    from .spine.config_tools import get_config_list as get_config_list
    from .spine.config_tools import merge_configs as merge_configs
    from .spine.config_tools import patch_config as patch_config
    from .spine.custom import adispatch_custom_event as adispatch_custom_event
    from .spine.custom import dispatch_custom_event as dispatch_custom_event
    from .spine.hooks import register_configure_hook as register_configure_hook
    from .spine.managers import BaseCallbackManager as BaseCallbackManager
    from .spine.managers import Callbacks as Callbacks
    from .spine.scope import get_config as get_config
    from .spine.views.handlers import AsyncCallbackHandler as AsyncCallbackHandler
    from .spine.views.handlers import BaseCallbackHandler as BaseCallbackHandler
    from .spine.views.log import LogEntry as LogEntry
    from .spine.views.log import RunLog as RunLog
    from .spine.views.log import RunLogPatch as RunLogPatch
    from .spine.views.log import RunState as RunState
    from .spine.views.otel import OpenTelemetryListener as OpenTelemetryListener
    from .spine.views.printing import StdOutCallbackHandler as StdOutCallbackHandler
    from .spine.views.printing import StreamingStdOutCallbackHandler as StreamingStdOutCallbackHandler
    from .spine.views.tracer import BaseTracer as BaseTracer
    from .spine.views.tracer import Run as Run
    from .spine.views.usage import UsageMetadataCallbackHandler as UsageMetadataCallbackHandler
    from .spine.views.usage import get_usage_metadata_callback as get_usage_metadata_callback
