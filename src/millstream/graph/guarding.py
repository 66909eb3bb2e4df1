"""What may surround the running of a node: a cache of what it wrote, attempts, a handler of its errors.

All of it is put together when a graph is compiled; a node without such options is run as if there were none.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from ..errors import GraphBubbleUp, NodeCancelledError
from ..spine.scope import Scope
from .callables import Call
from .out import DEBUG, TASKS, UPDATES, ended_payload
from .policies import CachePolicy, NodeError
from .retrying import RetryPolicy, pause_after
from .running import run_plainly

if TYPE_CHECKING:
    from .loop import Loop
    from .plan import PlanNode
    from .task import Task

__all__ = ["around", "cache_namespace"]

logger = logging.getLogger("millstream")

Attempt: TypeAlias = "Callable[[Loop, Task, Scope], Coroutine[Any, Any, Any]]"


def cache_namespace(name: str, target: Any) -> tuple[str, ...]:
    """Where what a node wrote is kept: the same only for a node of this name with this code."""
    code = getattr(target, "__code__", None)
    own = "" if code is None else hashlib.blake2b(code.co_code, digest_size=8).hexdigest()
    kind = target if code is not None else type(target)
    return "millstream", "node", f"{kind.__module__}.{kind.__qualname__}", own, name


def around(
    call: Call, policy: CachePolicy | None, handler: PlanNode | None, retry: Sequence[RetryPolicy]
) -> Callable[[Loop, Task], Coroutine[Any, Any, None]] | None:
    """What runs a node that has a cache, attempts or a handler of errors; None for one that has none of these."""
    run = _attempted if handler is None else _handled(handler)
    if policy is not None:
        return _cached(run, policy, call)
    return run if handler is not None or retry else None


async def _attempted(loop: Loop, task: Task) -> None:
    """Run a node, and ask its conditional edges, again and again as its policies say; each attempt is a run of its own."""
    while True:
        try:
            return await run_plainly(loop, task)
        except (GraphBubbleUp, NodeCancelledError):
            raise
        except Exception as error:
            pause = pause_after(error, task.node.retry, task.attempt)
            if pause is None:
                raise
            name = task.node.name
            logger.info("node %r failed, attempt %d: %r; again in %.2f s", name, task.attempt, error, pause)
        await loop.d.sleep(pause)
        task.begin_again()


def _handled(handler: PlanNode) -> Callable[[Loop, Task], Coroutine[Any, Any, None]]:
    async def run(loop: Loop, task: Task) -> None:
        try:
            await _attempted(loop, task)
        except GraphBubbleUp:
            raise
        except Exception as error:
            _hand_over(loop, task, error, handler)
            await _attempted(loop, task)

    return run


def _hand_over(loop: Loop, task: Task, error: Exception, handler: PlanNode) -> None:
    """Go on with the handler in the failed node's place: the rest of the task is run, shown and routed as the handler's."""
    if loop.wants & (TASKS | DEBUG):
        task.error = error
        for out in loop.outs:
            out.task(loop.step, ended_payload(task), "task_result")
        task.error = None
    asked = task.asked
    task.hand_to(handler, NodeError(task.node.name, error))
    task.asked = asked  # what the node asked stays asked: the handler's first question is the next


def _cached(
    run: Callable[[Loop, Task], Coroutine[Any, Any, None]], policy: CachePolicy, call: Call
) -> Callable[[Loop, Task], Coroutine[Any, Any, None]]:
    async def cached(loop: Loop, task: Task) -> None:
        cache = loop.cache
        if cache is None:
            await run(loop, task)
            return
        node = task.node
        key = cache_namespace(node.name, call.target), policy.key_of(task.input)
        found = await loop.d.call(loop.scope, cache.get, cache.aget, [key])
        if key in found:
            task.recall([(channel, value) for channel, value in found[key]])
            task.said, task.attempt = True, 0  # nothing is run, so no result is told
            if loop.wants & UPDATES and not node.hidden:
                for out in loop.outs:
                    if out.mask & UPDATES:
                        out.update(node.name, task.writes, cached=True)
            return
        await run(loop, task)
        if task.node is node:  # what a handler made of a failure is not kept
            await loop.d.call(loop.scope, cache.set, cache.aset, {key: (task.record(), policy.ttl)})

    return cached
