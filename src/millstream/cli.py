"""The command line: `millstream demo` and `millstream serve module:agent`."""

from __future__ import annotations

import argparse
import importlib
import os
import socket
import sys
import traceback
from collections.abc import Sequence
from typing import Any

from .errors import MillstreamError

__all__ = ["main"]

LOCAL_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})


class _Refused(Exception):
    """The command cannot be carried out; the message says why and what to do."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that `arguments` (else those of the process) name; the exit status."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (_Refused, MillstreamError) as error:
        print(f"millstream: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        # Asked for, and everything is already ended in order.
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="millstream", description="A streaming runtime for LLM chains, agents and graphs."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    demo = commands.add_parser("demo", help="serve a demo agent with three tools, and a page to chat with it")
    _add_address(demo)
    demo.set_defaults(run=_demo)

    serve = commands.add_parser("serve", help="serve an agent of your own, and a page to chat with it")
    serve.add_argument(
        "agent", metavar="MODULE:AGENT", help="a compiled graph or a function that makes one: app.main:agent"
    )
    serve.add_argument("--model", help="what the page calls the model")
    _add_address(serve)
    serve.set_defaults(run=_serve)
    return parser


def _add_address(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=_port, default=8000, help="default 8000; 0: any free one")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on; default 127.0.0.1")
    parser.add_argument(
        "--public",
        action="store_true",
        help="listen on an address that others can reach; there is no check of who they are",
    )
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a host name that browsers may use for this server, beside localhost; may be given more than once",
    )


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; give a number from 0 to 65535")
    return int(text)


def _demo(options: argparse.Namespace) -> None:
    _check_address(options)
    _need_serve()
    from .serve.demo.agent import demo_app
    from .serve.demo.choice import choose

    choice = choose()
    lines = [f"Model: {choice.name}"] + ([choice.notice] if choice.notice else [])
    _run(demo_app(choice, hosts=_hosts(options)), options, lines)


def _serve(options: argparse.Namespace) -> None:
    _check_address(options)
    _need_serve()
    from .serve.application import app

    agent = _load(options.agent)
    _run(app(agent, model=options.model, hosts=_hosts(options)), options, [f"Agent: {options.agent}"])


def _check_address(options: argparse.Namespace) -> None:
    if options.host not in LOCAL_HOSTS and not options.public:
        raise _Refused(
            f"--host {options.host} can be reached by others, and this server does not ask who they are: they could use "
            "the agent and read its conversations. Give --public too if that is meant."
        )


def _hosts(options: argparse.Namespace) -> list[str] | None:
    """The names that the server answers to; None: any, for a public server that was not told its names."""
    if options.host not in LOCAL_HOSTS:
        return options.allow_host or None
    return ["localhost", "127.0.0.1", "[::1]", *options.allow_host]


def _need_serve() -> None:
    try:
        import fastapi  # noqa: F401
        import uvicorn  # noqa: F401
    except ModuleNotFoundError as error:
        raise _Refused(f"{error.name} is not installed: pip install 'millstream[serve]'") from None


def _load(reference: str) -> Any:
    """The agent that `module:name` means; a function is called for it."""
    module_name, colon, path = reference.partition(":")
    if not colon or not module_name or not path:
        raise _Refused(f"{reference!r} names no agent: write MODULE:NAME, such as app.main:agent")
    # As `python -m` does: a module of the folder one stands in.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise _Refused(f"there is no module {error.name!r} (looked from {os.getcwd()})") from None
        raise _Refused(f"{module_name} cannot be imported: it needs {error.name!r}, which is not installed") from error
    except Exception as error:
        raise _Refused(f"{module_name} cannot be imported: {_described(error)}") from error
    for name in path.split("."):
        if not hasattr(found, name):
            raise _Refused(f"{module_name} has no {name!r}{_suggestion(found)}")
        found = getattr(found, name)
    return _agent_of(found, reference)


def _agent_of(found: Any, reference: str) -> Any:
    if not _is_agent(found) and callable(found) and not isinstance(found, type):
        try:
            found = found()
        except Exception as error:
            raise _Refused(
                f"{reference} is a function that could not be called without arguments: {_described(error)}"
            ) from error
    if _is_agent(found):
        return found
    hint = "; it is not compiled yet: serve what its .compile() returns" if hasattr(found, "compile") else ""
    raise _Refused(f"{reference} is no agent but {type(found).__name__}{hint}")


def _described(error: Exception) -> str:
    """The error and the line of the user's code that it came from."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{place}"


def _is_agent(found: Any) -> bool:
    return callable(getattr(found, "ainvoke", None)) and not isinstance(found, type)


def _suggestion(module: Any) -> str:
    names = sorted(name for name, value in vars(module).items() if not name.startswith("_") and _is_agent(value))
    return f"; it has {', '.join(names[:5])}" if names else ""


def _run(application: Any, options: argparse.Namespace, lines: list[str]) -> None:
    from .serve.server import Server

    with _listening(options.host, options.port) as sock:
        port = sock.getsockname()[1]
        for line in lines:
            print(line)
        shown = f"[{options.host}]" if ":" in options.host else options.host
        print(f"Chat:  http://{shown}:{port}/   (Ctrl+C ends it)")
        print(
            f"""Curl:  curl -N http://{shown}:{port}/runs -H 'Content-Type: application/json' -d '{{"input": "What is 6 * 7?"}}'""",
            flush=True,
        )
        server = Server(application)
        server.run(sockets=[sock])


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        hint = f"; is it in use? try --port {port + 1}" if 0 < port < 65535 else ""
        raise _Refused(f"cannot listen on {host}:{port}: {reason}{hint}") from None
