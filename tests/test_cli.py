"""The command line: what it starts, and how it refuses."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from serving import Client, until

import millstream
from millstream.cli import main

SOURCE = str(Path(millstream.__file__).parents[1])

PROGRAM = """
from millstream import FakeListChatModel, StateGraph, create_react_agent
def build(): return create_react_agent(FakeListChatModel(responses=["Hello from my own agent."]), [])
agent = build()
class Holder:
    inner = agent
builder = StateGraph(dict)
def needs(x): return agent
def breaks(): raise ValueError("no database")
number = 7
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    name = f"program_{os.getpid()}"
    (tmp_path / f"{name}.py").write_text(PROGRAM)
    (tmp_path / "broken.py").write_text("import nothing_of_that_name")
    (tmp_path / "raises.py").write_text("1 / 0")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path / name
    sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ("{}", "MODULE:NAME"),
        ("{}:", "MODULE:NAME"),
        (":agent", "MODULE:NAME"),
        ("nowhere.app:agent", "there is no module 'nowhere'"),
        ("{}.sub:agent", "no module"),
        ("broken:agent", "needs 'nothing_of_that_name', which is not installed"),
        ("raises:agent", "ZeroDivisionError: division by zero ("),
        ("{}:agnet", "has no 'agnet'; it has agent"),
        ("{}:Holder.outer", "has no 'outer'"),
        ("{}:number", "no agent but int"),
        ("{}:builder", ".compile()"),
        ("{}:needs", "could not be called without arguments"),
        ("{}:breaks", "no database"),
        ("{}:StateGraph", "no agent"),
    ],
)
def test_what_cannot_be_served_is_said_plainly(
    program: Path, reference: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", reference.format(program.name)]) == 2
    out, err = capsys.readouterr()
    assert told in err and err.startswith("millstream: ") and "Traceback" not in err
    assert out == ""


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])
@pytest.mark.parametrize("command", [["demo"], ["serve", "x:y"]])
def test_an_address_that_others_can_reach_has_to_be_meant(
    command: list[str], host: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--host", host]) == 2
    assert "--public" in capsys.readouterr().err


def test_a_port_in_use(program: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        assert main(["serve", f"{program.name}:agent", "--port", str(port)]) == 2
    assert f"cannot listen on 127.0.0.1:{port}" in capsys.readouterr().err


@pytest.mark.parametrize("port", ["x", "-1", "70000"])
def test_a_port_that_is_none(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        main(["demo", f"--port={port}"])
    assert exited.value.code == 2
    assert "is no port" in capsys.readouterr().err


def test_a_model_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("MILLSTREAM_MODEL", "nobody:x")
    assert main(["demo"]) == 2
    assert "MILLSTREAM_MODEL=nobody:x" in capsys.readouterr().err


@contextmanager
def started(*arguments: str, cwd: Path | None = None) -> Iterator[tuple[int, subprocess.Popen[str], list[str]]]:
    """The command in a process of its own: the port it listens on, the process, what it printed."""
    environment = {**os.environ, "PYTHONPATH": SOURCE, "MILLSTREAM_MODEL": "offline", "PYTHONUNBUFFERED": "1"}
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        # A shell starts what it runs in the background with Ctrl+C ignored, and a new process would inherit that.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [sys.executable, "-m", "millstream", *arguments, "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=cwd,
    )
    try:
        assert process.stdout is not None
        lines: list[str] = []
        while not lines or not lines[-1].startswith("Curl:"):
            line = process.stdout.readline()
            assert line, process.stderr and process.stderr.read()
            lines.append(line.strip())
        port = int(next(line for line in lines if line.startswith("Chat:")).split("/")[2].split(":")[1])
        yield port, process, lines
    finally:
        process.kill()
        process.communicate()


def test_the_demo_does_the_main_job() -> None:
    """A tool call, its result, tokens one by one, usage, done: what the printed curl command shows."""
    with started("demo") as (port, process, lines):
        assert any("not an LLM" in line for line in lines)
        with Client(port, "/runs", {"input": "What is 6 * 7, and what time is it in Tokyo?"}) as client:
            records = list(client.records())
        kinds = [record["type"] for record in records]
        assert kinds[:3] == ["start", "tool_call", "tool_call"] and kinds[-2:] == ["usage", "done"]
        assert kinds.count("tool_result") == 2 and kinds.count("token") > 5 and kinds.count("usage") == 2
        text = "".join(record.get("content", "") for record in records)
        assert "**42**" in text and "Asia/Tokyo" in text
        total = sum(record["total_tokens"] for record in records if record["type"] == "usage")
        assert records[-1]["usage"]["total_tokens"] == total > 0
        with Client(port, f"/threads/{records[0]['thread_id']}", method="GET") as client:
            assert [message["role"] for message in client.json()["messages"]] == [
                "user",
                "assistant",
                "tool",
                "tool",
                "assistant",
            ]
        with Client(port, "/", method="GET") as client:
            assert b"not an LLM" in b"".join(client.parts())
        process.send_signal(signal.SIGINT)
        assert process.wait(10) in (130, -signal.SIGINT)
        assert process.stderr is not None and "Traceback" not in process.stderr.read()


@pytest.mark.parametrize("name", ["agent", "build", "Holder.inner"])
def test_an_agent_of_ones_own(program: Path, name: str) -> None:
    with started("serve", f"{program.name}:{name}", cwd=program.parent) as (port, _, _lines):
        with Client(port, "/runs", {"input": "hi"}) as client:
            records = list(client.records())
        assert "".join(record.get("content", "") for record in records) == "Hello from my own agent."


def test_help_needs_no_web_framework() -> None:
    code = "import sys; from millstream.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    code += "assert not {'fastapi', 'pydantic', 'httpx2'} & set(sys.modules)"
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": SOURCE}, stdout=subprocess.DEVNULL
    )


def test_listening_until() -> None:
    # `until` is what other tests wait with: it must be able to fail.
    with pytest.raises(AssertionError):
        until(lambda: False, timeout=0.01)
