"""From a run to a stream: who reads it, in which modes, driven by the consumer or running ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from ..flow.mailbox import Mailbox
from ..flow.stream import push
from ..spine.scope import Scope
from .heard import MessagesTap
from .loop import Loop
from .options import Options
from .out import BITS, CUSTOM, LIVE, MESSAGES, TOOLS, Keys, Out
from .tool_events import ToolsTap

if TYPE_CHECKING:
    from .compiled import CompiledStateGraph

    App: TypeAlias = CompiledStateGraph[Any, Any, Any, Any]

__all__ = ["chunks_of", "listen"]


def chunks_of(app: App, loop: Loop, input: Any, options: Options) -> AsyncGenerator[Any, None]:
    """What the run says, in the shape that was asked for.

    Pull where nothing is said while a node runs: the consumer drives the loop. Else push, through a mailbox.
    """
    modes = ("updates",) if options.modes is None else options.modes
    keys = app.keys(options, streaming=True)
    shape = options.shape(app.coerced)
    if options.subgraphs or app.plan.eager or any(BITS[mode] & LIVE for mode in modes):
        mailbox: Mailbox[Any] = Mailbox()
        loop.scope = _gated(loop.scope, mailbox)
        if options.plain and not options.prints:
            put = mailbox.put
            listen(loop, options, modes, keys, lambda item: put(item[2]), put)
            return push(loop.d, mailbox, partial(loop.run, input))
        listen(loop, options, modes, keys, mailbox.put)
        return push(loop.d, mailbox, partial(loop.run, input), lambda item: (shape(item),))
    said: deque[Any] = deque()
    listen(loop, options, modes, keys, said.append)
    return _pulled(loop.pull(input, said), shape)


def listen(
    loop: Loop,
    options: Options,
    modes: Sequence[str],
    keys: Keys,
    reader: Callable[[Any], Any],
    bare: Callable[[Any], Any] | None = None,
) -> None:
    """Make `reader` the reader of the run, in these modes; `bare` takes a payload where nothing beside it is wanted."""
    put = reader
    mask = 0
    for mode in modes:
        mask |= BITS[mode]
    if options.prints:
        put = options.printing(modes, reader)
        for mode in options.prints:
            mask |= BITS[mode]
    if mask & CUSTOM:  # what is written goes to this reader, and not beside it to those of the graphs around
        for out in loop.outs:
            out.mask &= ~CUSTOM
    loop.tell(Out(mask, put, keys, ns=loop.ns, subgraphs=options.subgraphs))
    if mask & MESSAGES:
        loop.scope = loop.scope.with_listener(MessagesTap(put, loop.ns, options.subgraphs, bare))
    if mask & (CUSTOM | TOOLS):
        custom, tools = bool(mask & CUSTOM), bool(mask & TOOLS)
        live = options.subgraphs or bool(mask & (CUSTOM | MESSAGES))
        tap = ToolsTap(put, loop.ns, options.subgraphs, custom=custom, tools=tools, live=live)
        loop.scope = loop.scope.with_listener(tap)


async def _pulled(items: AsyncGenerator[Any, None], shape: Callable[[Any], Any]) -> AsyncGenerator[Any, None]:
    try:
        async for item in items:
            yield shape(item)
    finally:
        await items.aclose()


def _gated(scope: Scope, gate: Mailbox[Any]) -> Scope:
    new = scope.copy()
    new.gates = (*scope.gates, gate)
    return new
