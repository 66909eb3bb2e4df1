"""Every error that millstream raises on purpose.

MillstreamError
├── UsageError                      you called it wrongly
│   ├── ValidationError             (ValueError)  a value has the wrong shape
│   ├── InvalidArgument             (ValueError)  an argument is out of range or contradicts another
│   ├── InvalidType                 (TypeError)   an argument has the wrong type
│   ├── MissingKey                  (KeyError)    a name that was needed is absent
│   ├── Unsupported                 (NotImplementedError)  this object cannot do that
│   ├── AsyncOnly                   (TypeError)   a leaf that has only an async form was called synchronously
│   ├── AsyncOnlyMethod             (NotImplementedError)  the same, for tools and generators
│   ├── OutsideRun                  (RuntimeError)  needs a surrounding run
│   ├── LoopBlocked                 (asyncio.InvalidStateError)  a sync method of an async saver, called on its event loop
│   ├── InvalidNamespaceError       (ValueError)  a namespace that a store cannot use
│   └── GraphError                  a graph was built or used wrongly
│       ├── InvalidGraph            (ValueError)
│       ├── InvalidUpdateError      (ValueError)  two writers on one key, a node's bad return value
│       ├── EmptyInputError         (ValueError)
│       ├── EmptyChannelError       (LookupError)
│       ├── CannotResume            (RuntimeError)  an answer without the one question that it is for
│       │   └── UnknownInterruptError  in strict runs; `reason` says what was wrong
│       ├── TaskNotFound            (LookupError)
│       ├── NodeTimeoutError        (TimeoutError)  a node took too long
│       └── NodeCancelledError      a node cancelled itself
├── GraphRecursionError             (RecursionError)  a run took more steps than its limit
├── OutputParserException           (ValueError)  a model's text could not be parsed
├── ToolException                   a tool's own failure, meant for the model
│   └── ToolInvocationError         a model called a tool with arguments that do not fit
├── StorageError                    a saver or a log could not do its work
│   ├── CorruptCheckpoint           stored bytes that cannot be read back
│   ├── UnsupportedFormat           a file or database of a version that is not known here
│   ├── StorageBusy                 (TimeoutError) others kept it locked for longer than the wait
│   ├── StorageFull                 no space left
│   ├── CheckpointGone              what a commit builds on was erased meanwhile
│   ├── LeaseHeld                   another owner works on the thread
│   ├── LeaseLost                   the thread has another owner now
│   └── StepAlreadyCommitted        another owner has stored the end of the same step
├── FetchError                      a URL could not be fetched
│   └── FetchRefused                (ValueError)  it leads where none may go, or to what may not come
└── ProviderError                   the other side misbehaved
    ├── ProviderStatusError         it answered with an error status
    │   ├── AuthenticationError     401, 403
    │   │   └── ModelPermissionDeniedError  403
    │   ├── RateLimitError          429
    │   ├── BadRequestError         400, 404, 413, 422
    │   │   ├── ModelNotFoundError  404
    │   │   └── ContextOverflowError    what was sent is longer than the model can read
    │   └── ModelAPIError           500 and above
    ├── ProviderConnectionError     (ConnectionError)  no answer
    ├── ProviderTimeout             (TimeoutError)
    └── ProviderInterrupted         the stream was cut or failed after it began; carries the partial message

Six have a second name, by which programs may know them: ModelError (ProviderError), ModelAuthenticationError,
ModelRateLimitError, ModelInvalidRequestError (BadRequestError), ModelConnectionError, ModelTimeoutError.

GraphBubbleUp (Exception) is control flow, not an error: GraphInterrupt, ParentCommand, GraphDrained.
Errors of a user's own code pass through unchanged, with a note that names the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import asyncio

__all__ = [
    "AsyncOnly",
    "AsyncOnlyMethod",
    "AuthenticationError",
    "BadRequestError",
    "BlockingCallWarning",
    "CannotResume",
    "CheckpointGone",
    "ContextOverflowError",
    "CorruptCheckpoint",
    "EmptyChannelError",
    "EmptyInputError",
    "ErrorCode",
    "FetchError",
    "FetchRefused",
    "GraphBubbleUp",
    "GraphDrained",
    "GraphError",
    "GraphInterrupt",
    "GraphRecursionError",
    "InvalidArgument",
    "InvalidGraph",
    "InvalidNamespaceError",
    "InvalidType",
    "InvalidUpdateError",
    "LeaseHeld",
    "LeaseLost",
    "LoopBlocked",
    "MillstreamError",
    "MissingKey",
    "ModelAPIError",
    "ModelAuthenticationError",
    "ModelConnectionError",
    "ModelError",
    "ModelInvalidRequestError",
    "ModelNotFoundError",
    "ModelPermissionDeniedError",
    "ModelRateLimitError",
    "ModelTimeoutError",
    "NodeCancelledError",
    "NodeTimeoutError",
    "OutputParserException",
    "OutsideRun",
    "ParentCommand",
    "ProviderConnectionError",
    "ProviderError",
    "ProviderInterrupted",
    "ProviderStatusError",
    "ProviderTimeout",
    "RateLimitError",
    "StepAlreadyCommitted",
    "StorageBusy",
    "StorageError",
    "StorageFull",
    "TaskNotFound",
    "ToolException",
    "ToolInvocationError",
    "UnknownInterruptError",
    "Unsupported",
    "UnsupportedFormat",
    "UsageError",
    "ValidationError",
]


class ErrorCode(StrEnum):
    """What is wrong with a graph or its use, for programs: the `code` of the errors that have one."""

    GRAPH_RECURSION_LIMIT = "GRAPH_RECURSION_LIMIT"
    INVALID_CONCURRENT_GRAPH_UPDATE = "INVALID_CONCURRENT_GRAPH_UPDATE"
    INVALID_GRAPH_NODE_RETURN_VALUE = "INVALID_GRAPH_NODE_RETURN_VALUE"
    MULTIPLE_SUBGRAPHS = "MULTIPLE_SUBGRAPHS"
    INVALID_CHAT_HISTORY = "INVALID_CHAT_HISTORY"


class MillstreamError(Exception):
    """The base of every error that millstream raises on purpose."""


class UsageError(MillstreamError):
    """The caller asked for something that cannot work; the message says what to do instead."""


class ValidationError(UsageError, ValueError):
    """A value has the wrong shape. `field` names it where that is known."""

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class InvalidArgument(UsageError, ValueError):
    """An argument is out of range, unknown, or contradicts another one."""

    def __init__(self, message: str = "", *, code: ErrorCode | None = None) -> None:
        super().__init__(message)
        self.code = code


class InvalidType(UsageError, TypeError):
    """An argument has a type that cannot be used here."""


class MissingKey(UsageError, KeyError):
    """A key or variable that was needed is absent. `key` is its name."""

    def __init__(self, message: str, *, key: str | None = None) -> None:
        super().__init__(message)
        self.key = key

    def __str__(self) -> str:
        # KeyError shows the repr of its argument, which would quote a whole sentence.
        return str(self.args[0]) if self.args else ""


class Unsupported(UsageError, NotImplementedError):
    """This object cannot do what was asked."""


class _AsyncOnly(UsageError):
    def __init__(self, leaf: str, use: str) -> None:
        super().__init__(f"{leaf} has only an async form, so it cannot run in a synchronous call; use `{use}` instead.")
        self.leaf = leaf
        self.use = use


class AsyncOnly(_AsyncOnly, TypeError):
    """A leaf that has only an async form was reached from a sync call.

    `leaf` names it and `use` the method that works.
    """


class AsyncOnlyMethod(_AsyncOnly, NotImplementedError):
    """`AsyncOnly` for tools and generators, where callers expect NotImplementedError."""


class OutsideRun(UsageError, RuntimeError):
    """The call needs a surrounding run and there is none."""


class InvalidNamespaceError(UsageError, ValueError):
    """A namespace that a store cannot use: empty, with an empty label, a dot, or the reserved first label."""


if TYPE_CHECKING:

    class LoopBlocked(UsageError, asyncio.InvalidStateError):
        """A synchronous method of an async saver or store was called on the event loop's own thread; `await` its `a...` twin."""


def __getattr__(name: str) -> Any:
    if name != "LoopBlocked":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import asyncio  # the errors are loaded by all, and need nothing else of it

    doc = "A synchronous method of an async saver or store was called on the event loop's own thread; `await` its `a...` twin."
    made = type(name, (UsageError, asyncio.InvalidStateError), {"__doc__": doc, "__module__": __name__})
    return globals().setdefault(name, made)


class GraphError(UsageError):
    """A graph was built or used wrongly."""


class InvalidGraph(GraphError, ValueError):
    """The graph cannot be built as described."""


class InvalidUpdateError(GraphError, ValueError):
    """A node wrote something that its channel cannot take. `code` says what is wrong with it, where there is a code for that."""

    def __init__(self, message: str = "", *, code: ErrorCode | None = None) -> None:
        super().__init__(message)
        self.code = code


class EmptyInputError(GraphError, ValueError):
    """A graph was started without input and has nothing to resume."""


class EmptyChannelError(GraphError, LookupError):
    """A channel was read before anything was written to it."""


class CannotResume(GraphError, RuntimeError):
    """An answer was given and it cannot be told which question it answers, or nothing was remembered."""


class UnknownInterruptError(CannotResume):
    """A strict run was given answers to questions that do not wait, none at all, or one for several.

    `reason` is "unknown", "empty" or "ambiguous".
    """

    def __init__(self, message: str, *, reason: Literal["unknown", "empty", "ambiguous"] = "unknown") -> None:
        super().__init__(message)
        self.reason = reason


class TaskNotFound(GraphError, LookupError):
    """A task was asked for that the step does not have."""


class NodeTimeoutError(GraphError, TimeoutError):
    """A node took too long. `kind` is "run" (as a whole) or "idle" (without a sign of life); times are in seconds."""

    def __init__(self, node: str, timeout: float, kind: Literal["run", "idle"], elapsed: float) -> None:
        what = "ran" if kind == "run" else "gave no sign of life"
        super().__init__(
            f"node {node!r} {what} for {elapsed:.3f} s, and its {kind} timeout is {timeout:g} s; make it faster, or raise "
            "the timeout."
        )
        self.node = node
        self.timeout = timeout
        self.kind = kind
        self.elapsed = elapsed


class NodeCancelledError(GraphError):
    """A node raised a cancellation that nobody had asked for. `node` names it."""

    def __init__(self, node: str) -> None:
        super().__init__(
            f"node {node!r} raised CancelledError though its run was not cancelled; let it raise another error."
        )
        self.node = node


class GraphRecursionError(MillstreamError, RecursionError):
    """A graph run took more supersteps than its `recursion_limit`."""

    code = ErrorCode.GRAPH_RECURSION_LIMIT


class OutputParserException(MillstreamError, ValueError):
    """A model's output could not be parsed; `llm_output` and `observation` may be sent back to the model."""

    def __init__(
        self,
        error: object,
        observation: str | None = None,
        llm_output: str | None = None,
        send_to_llm: bool = False,
    ) -> None:
        if send_to_llm and (observation is None or llm_output is None):
            raise InvalidArgument("send_to_llm=True needs both `observation` and `llm_output`.")
        super().__init__(error if isinstance(error, Exception) else str(error))
        self.observation = observation
        self.llm_output = llm_output
        self.send_to_llm = send_to_llm


class ToolException(MillstreamError):
    """Raised by a tool to report a failure that the model may be told of (see `handle_tool_error`)."""


class ToolInvocationError(ToolException):
    """A model called a tool with arguments that do not fit its schema; the message is meant for the model."""

    def __init__(
        self, tool_name: str, source: Exception, tool_kwargs: dict[str, Any], errors: Sequence[Any] = ()
    ) -> None:
        shown = " " + ("\n".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in errors) or str(source))
        super().__init__(
            f"Error invoking tool '{tool_name}' with kwargs {tool_kwargs} with error:\n{shown}\n"
            " Please fix the error and try again."
        )
        self.tool_name = tool_name
        self.tool_kwargs = tool_kwargs
        self.source = source


class StorageError(MillstreamError):
    """A saver, store or log could not do its work."""


class CorruptCheckpoint(StorageError):
    """Stored bytes that cannot be read back.

    `thread_id`, `checkpoint_ns`, `checkpoint_id` and `step` say whose they are, where that is known. Earlier checkpoints of the
    thread can still be read by their ids.
    """

    def __init__(
        self,
        message: str,
        *,
        thread_id: str | None = None,
        checkpoint_ns: str | None = None,
        checkpoint_id: str | None = None,
        step: int | None = None,
    ) -> None:
        super().__init__(message)
        self.thread_id = thread_id
        self.checkpoint_ns = checkpoint_ns
        self.checkpoint_id = checkpoint_id
        self.step = step


class UnsupportedFormat(StorageError):
    """A file or database was written by a version whose format is not known here. Nothing in it was touched."""


class StorageBusy(StorageError, TimeoutError):
    """Others kept the storage locked for longer than a call waits. Nothing was stored; the call may be made again."""


class StorageFull(StorageError):
    """There is no space left. Nothing was stored of this call, and all that was stored before is there."""


class CheckpointGone(StorageError):
    """The checkpoint that a commit builds on is there no more: its thread was erased while the run went on. Nothing was stored."""


class LeaseHeld(StorageError):
    """Another owner has a lease on the thread. `thread_id` names it, `seconds` is how long the lease lasts unless renewed."""

    def __init__(self, message: str, *, thread_id: str, seconds: float | None = None) -> None:
        super().__init__(message)
        self.thread_id = thread_id
        self.seconds = seconds


class LeaseLost(StorageError):
    """A lease was released, or its thread went to another owner or was erased. Nothing was stored under it."""

    def __init__(self, message: str, *, thread_id: str, epoch: int) -> None:
        super().__init__(message)
        self.thread_id = thread_id
        self.epoch = epoch


class StepAlreadyCommitted(StorageError):
    """Two owners ran the same step of the same run, and the other one has stored its end. Nothing was stored of this one."""


class FetchError(MillstreamError):
    """A URL could not be fetched. `status` is what its server answered, if it did."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class FetchRefused(FetchError, ValueError):
    """A URL leads where none may go, such as into your own network, or to something too large or of another type."""


class ProviderError(MillstreamError):
    """A model provider misbehaved. `provider` names it."""

    def __init__(self, message: str, *, provider: str | None = None) -> None:
        super().__init__(message)
        self.provider = provider


class ProviderStatusError(ProviderError):
    """The provider answered with an error status.

    `status` is the HTTP status, `code` the provider's own word for it, `request_id` what to quote to its
    support, `retry_after` the seconds it asked to wait.
    """

    def __init__(
        self,
        message: str,
        *,
        provider: str | None = None,
        status: int,
        code: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, provider=provider)
        self.status = status
        self.code = code
        self.request_id = request_id
        self.retry_after = retry_after

    @property
    def status_code(self) -> int:
        """`status`, by the name that it has in the official SDKs."""
        return self.status


class AuthenticationError(ProviderStatusError):
    """The provider refused the key (401, 403)."""


class RateLimitError(ProviderStatusError):
    """The provider wants fewer requests (429)."""


class BadRequestError(ProviderStatusError):
    """The provider refused the request itself (400, 404, 413, 422)."""


class ModelPermissionDeniedError(AuthenticationError):
    """The key is known, and may not do this (403)."""


class ModelNotFoundError(BadRequestError):
    """There is no such model, or no such address (404)."""


class ContextOverflowError(BadRequestError):
    """What was sent is longer than the model can read: send less of it."""


class ModelAPIError(ProviderStatusError):
    """The provider failed by itself (500 and above)."""


class ProviderConnectionError(ProviderError, ConnectionError):
    """The provider could not be reached, or the connection broke before the first token."""


class ProviderTimeout(ProviderError, TimeoutError):
    """The provider did not answer, or fell silent, for longer than the limit."""


class ProviderInterrupted(ProviderError):
    """A stream was cut or reported an error after it had begun.

    `partial` is the merged message chunk of all that arrived (None when nothing did); `code` is the
    provider's word for the error, if it sent one.
    """

    def __init__(
        self,
        message: str,
        *,
        provider: str | None = None,
        partial: Any = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message, provider=provider)
        self.partial = partial
        self.code = code


# The names by which programs may know these.
ModelError = ProviderError
ModelAuthenticationError = AuthenticationError
ModelRateLimitError = RateLimitError
ModelInvalidRequestError = BadRequestError
ModelConnectionError = ProviderConnectionError
ModelTimeoutError = ProviderTimeout


class GraphBubbleUp(Exception):
    """Control flow that leaves a node; user code should let it pass."""


class GraphInterrupt(GraphBubbleUp):
    """A node asked for a person. `interrupts` are the questions."""

    def __init__(self, interrupts: Sequence[Any] = ()) -> None:
        super().__init__(interrupts)
        self.interrupts = tuple(interrupts)


class ParentCommand(GraphBubbleUp):
    """A command meant for an enclosing graph."""

    def __init__(self, command: Any) -> None:
        super().__init__(command)
        self.command = command


class GraphDrained(GraphBubbleUp):
    """A run stopped because a drain was requested; with a checkpointer it goes on when it is called with None."""

    def __init__(self, reason: str | None = None) -> None:
        super().__init__(reason or "the run was asked to drain")
        self.reason = reason


class BlockingCallWarning(UserWarning):
    """A synchronous call was made where an event loop is running, which it blocks; the message names the async twin."""
