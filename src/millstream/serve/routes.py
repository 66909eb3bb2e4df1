"""The routes of a served agent, for a FastAPI application of the user's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response

from ..errors import InvalidType
from .body import Allowed, check_thread_id, parse_run, read_json
from .faults import fault_of, reported
from .limits import Limits
from .problems import Problem, json_response
from .runs import Busy, Draining, Full, OnDisconnect, Runs
from .stream import RunStream, framing_for
from .threads import thread_view

__all__ = ["AgentRouter", "router"]

_ERROR = {
    "description": "The request cannot be served.",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "properties": {
                    "error": {
                        "type": "object",
                        "properties": {name: {"type": "string"} for name in ("code", "message", "path")},
                        "required": ["code", "message"],
                    }
                },
            }
        }
    },
}
_RUN_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["input"],
                    "properties": {
                        "input": {"oneOf": [{"type": "string"}, {"type": "object"}]},
                        "thread_id": {"type": "string"},
                        "config": {"type": "object"},
                        "on_disconnect": {"type": "string", "enum": ["cancel", "continue"]},
                    },
                    "additionalProperties": False,
                }
            }
        },
    }
}
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The run's records as they come, one JSON object each; the last is `done` or `error`.",
        "content": {"application/x-ndjson": {}, "text/event-stream": {}},
    }
}


def _errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return dict.fromkeys(statuses, _ERROR)


class AgentRouter(APIRouter):
    """The routes of one agent, and its runs."""

    def __init__(self, runs: Runs, lifespan: Any) -> None:
        super().__init__(lifespan=lifespan)
        self.runs = runs


def router(
    agent: Any,
    *,
    name: str | None = None,
    model: str | None = None,
    allowed: Allowed | None = None,
    state_keys: Collection[str] = (),
    on_disconnect: OnDisconnect = "cancel",
    limits: Limits | None = None,
) -> AgentRouter:
    """Routes that serve `agent` to browsers and other clients: `app.include_router(router(agent), prefix="/api")`.

    `POST /runs` streams a run, `POST /runs/{run_id}/stop` stops one, `GET /threads/{thread_id}` shows a conversation
    that the agent's checkpointer keeps; without a checkpointer each run stands alone. Including the router also
    includes its lifespan: when the application shuts down, runs under way are given a little time and then stopped.

    `name` and `model` are what a person may be told of the agent; `allowed` what clients may choose; `state_keys` the
    parts of a thread's state that clients may see beside its messages; `on_disconnect` what happens to a run
    whose client leaves, unless the client says. There is no check of who is calling: add yours as a dependency.

    Raises:
        InvalidType: `agent` is nothing that can be run.
    """
    runs = Runs(_checked(agent), limits or Limits(), memory=getattr(agent, "checkpointer", None) is not None)
    allowed = allowed or Allowed()
    told = {"agent": name or _name_of(agent), "model": model}

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # An application may be started and stopped more than once (tests do).
        runs.draining = False
        yield
        await runs.drain()

    routes = AgentRouter(runs, lifespan)

    @routes.post("/runs", responses={**_STREAM, **_errors(408, 409, 413, 415, 422, 429, 503)}, openapi_extra=_RUN_BODY)
    async def start_run(request: Request) -> Response:
        """Run the agent and stream what happens, as NDJSON or, if `Accept` says so, as server-sent events."""
        try:
            asked = parse_run(await read_json(request, runs.limits), allowed, runs.limits)
            config = {"recursion_limit": min(25, runs.limits.recursion_limit), **asked.config}
            config["configurable"] = {**config.get("configurable", {}), "thread_id": asked.thread_id}
            run, viewer = await runs.start(
                asked.input,
                thread_id=asked.thread_id,
                config=config,
                start=told,
                on_disconnect=asked.on_disconnect or on_disconnect,
            )
        except Problem as problem:
            return problem.response()
        except (Busy, Draining, Full) as refused:
            return _REFUSALS[type(refused)].response()
        except Exception as error:
            return _failure(error).response()
        return RunStream(run, viewer, framing_for(request.headers.get("accept", "")), runs.limits)

    @routes.post("/runs/{run_id}/stop", status_code=202, responses=_errors(404))
    async def stop_run(run_id: str) -> Response:
        """Stop a run; its stream ends with `done`. Stopping one that has ended changes nothing."""
        if not runs.stop(run_id):
            return Problem(404, "unknown_run", "No such run.").response()
        return json_response({"run_id": run_id}, 202)

    @routes.get("/threads/{thread_id}", responses=_errors(404, 422))
    async def show_thread(thread_id: str) -> Response:
        """The messages of a conversation and what else of its state may be seen."""
        try:
            return json_response(await _thread(runs, check_thread_id(thread_id), state_keys))
        except Problem as problem:
            return problem.response()
        except Exception as error:
            return _failure(error).response()

    return routes


_REFUSALS: dict[type[Exception], Problem] = {
    Full: Problem(429, "too_many_runs", "Too many runs are under way.", headers={"retry-after": "2"}),
    Draining: Problem(503, "shutting_down", "The server is shutting down.", headers={"retry-after": "5"}),
    Busy: Problem(409, "thread_busy", "Another run is under way on this thread: stop it or wait for its end."),
}


async def _thread(runs: Runs, thread_id: str, state_keys: Collection[str]) -> dict[str, Any]:
    unknown = Problem(404, "unknown_thread", "No such thread.")
    if not runs.memory:
        raise Problem(404, "no_memory", "This agent keeps no conversations: it has no checkpointer.")
    snapshot = await runs.agent.aget_state({"configurable": {"thread_id": thread_id}})
    view = thread_view(thread_id, snapshot, running=runs.on_thread(thread_id) is not None, state_keys=state_keys)
    if view is None:
        raise unknown
    return view


def _failure(error: Exception) -> Problem:
    """What is told of an error of the agent or its storage; the rest is for the log."""
    error_id = reported(error, "a request failed")
    fault = fault_of(error)
    return Problem(503 if fault.retryable else 500, fault.code, fault.message, error_id=error_id)


def _checked(agent: Any) -> Any:
    if not callable(getattr(agent, "ainvoke", None)):
        hint = " Call `.compile()` on the graph first." if callable(getattr(agent, "compile", None)) else ""
        raise InvalidType(f"{agent!r} cannot be served: it must be a compiled graph or another runnable.{hint}")
    return agent


def _name_of(agent: Any) -> str:
    get_name = getattr(agent, "get_name", None)
    return str(get_name() if callable(get_name) else getattr(agent, "name", None) or type(agent).__name__)
