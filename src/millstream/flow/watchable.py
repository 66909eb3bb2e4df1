"""What a runnable shows of its runs while they happen: events and logs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from ..data.lazy import Lazy
from ..errors import Unsupported
from ..spine.config import RunnableConfig

if TYPE_CHECKING:
    from ..spine.views.log import RunLogPatch
    from . import watch
    from .driver import Driver
    from .either import EitherStream
    from .stream import AsyncStream
else:
    watch = Lazy(".watch", globals())  # which imports the runnable that this is a part of

__all__ = ["Watchable", "refused"]


class Watchable:
    """The part of `Runnable` by which its runs are watched."""

    def astream_events(
        self,
        input: Any,
        config: RunnableConfig | None = None,
        *,
        version: str = "v2",
        include_names: Sequence[str] | None = None,
        include_types: Sequence[str] | None = None,
        include_tags: Sequence[str] | None = None,
        exclude_names: Sequence[str] | None = None,
        exclude_types: Sequence[str] | None = None,
        exclude_tags: Sequence[str] | None = None,
        match: Literal["any", "all"] = "any",
        **kwargs: Any,
    ) -> AsyncStream[dict[str, Any]]:
        """Return an async iterator over the events of this run and all runs below it, as they happen.

        Each event is a dict with `event`, `name`, `run_id`, `parent_ids`, `tags`, `metadata`, `data` and `created_at`.
        An event passes when any include matches (`match="all"`: when all kinds of include given match) and no exclude
        does. A run that fails ends the stream with one `on_error` event, and then its exception is raised.

        Raises:
            Unsupported: (a NotImplementedError) another `version`; when it is iterated, or awaited.
        """
        if version != "v2":
            return refused(f"astream_events has version 'v2' only, not {version!r}; leave `version` out.")
        chosen = (include_names, include_types, include_tags, exclude_names, exclude_types, exclude_tags, match)
        return watch.stream_events(self, input, config, chosen, kwargs)  # type: ignore[arg-type]

    def stream_events(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> NoReturn:
        """There are no events in sync form.

        Raises:
            Unsupported: (a NotImplementedError) always; it says what to use.
        """
        raise Unsupported(
            f"{type(self).__name__} has no events in sync form; use `astream_events`, or `stream_log` for a plain `for`."
        )

    def astream_log(
        self,
        input: Any,
        config: RunnableConfig | None = None,
        *,
        diff: bool = True,
        with_streamed_output_list: bool = True,
        include_names: Sequence[str] | None = None,
        include_types: Sequence[str] | None = None,
        include_tags: Sequence[str] | None = None,
        exclude_names: Sequence[str] | None = None,
        exclude_types: Sequence[str] | None = None,
        exclude_tags: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> AsyncStream[RunLogPatch]:
        """Return an async iterator over the log of this run and all runs below it, as JSON patches.

        The patches add up (`+`) to a `RunLog`; with `diff=False` each item is the `RunLog` so far. The filters choose
        among the runs below the root, as those of `astream_events`; the type of every model is `"llm"` here. `with_streamed_output_list=False` leaves the list of the
        root's chunks empty. A run that fails raises its exception after the last patch.
        """
        from .driver import ASYNC
        from .stream import AsyncStream

        chosen = (include_names, include_types, include_tags, exclude_names, exclude_types, exclude_tags)
        return AsyncStream(_log(self, ASYNC, input, config, kwargs, chosen, diff, with_streamed_output_list))

    def stream_log(
        self,
        input: Any,
        config: RunnableConfig | None = None,
        *,
        diff: bool = True,
        with_streamed_output_list: bool = True,
        include_names: Sequence[str] | None = None,
        include_types: Sequence[str] | None = None,
        include_tags: Sequence[str] | None = None,
        exclude_names: Sequence[str] | None = None,
        exclude_types: Sequence[str] | None = None,
        exclude_tags: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> EitherStream[RunLogPatch]:
        """`astream_log` for `for` or for `async for`: how it is read decides whether the run is a sync or an async one."""
        from .either import EitherStream

        chosen = (include_names, include_types, include_tags, exclude_names, exclude_types, exclude_tags)
        return EitherStream(
            lambda d: _log(self, d, input, config, kwargs, chosen, diff, with_streamed_output_list), "astream_log"
        )


def refused(why: str) -> AsyncStream[Any]:
    """A stream that raises `Unsupported` when it is read, in whichever way that is."""
    from .line import failing
    from .stream import AsyncStream

    class Refused(AsyncStream[Any]):
        __slots__ = ()

        def __await__(self) -> Any:
            return self.__anext__().__await__()

    return Refused(failing(Unsupported(why)))


def _log(
    runnable: Any, d: Driver, input: Any, config: Any, kwargs: dict[str, Any], chosen: Any, diff: bool, with_list: bool
) -> Any:
    from ..spine.views.events import EventFilter
    from ..spine.views.log import LogView
    from .watch import log_items

    view = LogView(EventFilter(*chosen), runnable.get_name(), whole=not diff, with_list=with_list)
    return log_items(d, runnable, input, config, view, kwargs)
