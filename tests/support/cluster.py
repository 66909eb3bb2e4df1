"""A Postgres of the tests' own, from the machine's binaries: a cluster in a temporary directory, reached by a socket and by loopback.

`postgres` is a fixture for the whole session: one cluster, with a schema of its own for whoever asks (`dsn` of a test).
Tests that stop and kill the server start one for themselves (`with Cluster() as cluster`).
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

__all__ = ["Cluster", "binaries", "dsn", "postgres"]

USER = "millstream"

SETTINGS = {
    "autovacuum": "off",
    "fsync": "on",
    "listen_addresses": "127.0.0.1",
    "log_min_messages": "fatal",
    "logging_collector": "off",
    "max_connections": "200",
    "shared_buffers": "32MB",
}


def binaries() -> Path:
    """The folder of `initdb` and `postgres`: the one named, the newest of Debian's, or the one on the path."""
    named = os.environ.get("MILLSTREAM_POSTGRES")
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda bin: -int(bin.parent.name))
    onpath = shutil.which("initdb")
    for folder in [Path(named)] if named else [*debian, *([Path(onpath).resolve().parent] if onpath else [])]:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise RuntimeError(
        "these tests need Postgres: install it (Debian, Ubuntu: apt-get install postgresql), or name the folder of its "
        "binaries: MILLSTREAM_POSTGRES=/path/to/bin"
    )


def _identity() -> dict[str, Any]:
    """Postgres refuses to run as root: another user of the machine then, as arguments of `subprocess`."""
    if os.getuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            found = pwd.getpwnam(name)
            return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}
    raise RuntimeError("Postgres refuses to run as root, and this machine has neither a user `postgres` nor `nobody`")


def _die_with_parent() -> None:
    """Should the tests be killed, the server ends too (SIGINT: fast shutdown)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGINT)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Cluster:
    """A cluster that lives as long as its `with` block; it may be stopped, killed and started meanwhile."""

    def __init__(self) -> None:
        self.bin = binaries()
        self.folder = Path(tempfile.mkdtemp(prefix="ms-pg-"))
        self.port = _free_port()
        self._identity = _identity()
        self._schemas = itertools.count()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Cluster:
        try:
            if self._identity:
                os.chown(self.folder, self._identity["user"], self._identity["group"])
            initdb = [self.bin / "initdb", "-D", self.folder / "data", "-U", USER, "-A", "trust", "-E", "UTF8"]
            self._run(*initdb, "--locale=C", "--no-sync")
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, *command: Any) -> None:
        done = subprocess.run(command, capture_output=True, text=True, cwd="/", **self._identity)
        if done.returncode:
            raise RuntimeError(f"{Path(command[0]).name} failed: {done.stdout}{done.stderr}")

    def start(self, wait: bool = True) -> None:
        """Start the server; it recovers by itself from whatever ended it."""
        settings = {**SETTINGS, "port": self.port, "unix_socket_directories": self.folder}
        options = [f"--{name}={value}" for name, value in settings.items()]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self.bin / "postgres", "-D", self.folder / "data", *options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", preexec_fn=_die_with_parent,
                **self._identity,
            )  # fmt: skip
        end = time.monotonic() + 60
        while wait and not self.answers():
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"Postgres did not start: {(self.folder / 'log').read_text()}")
            time.sleep(0.02)

    def answers(self) -> bool:
        """Whether it takes connections."""
        try:
            psycopg.connect(self.dsn()).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self, how: int = signal.SIGINT) -> None:
        """End the server: SIGINT (fast), SIGTERM (waits for clients), SIGQUIT (immediate: as by a crash)."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(how)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def dsn(self, schema: str | None = None, port: int | None = None) -> str:
        """How to connect: by the socket, or by loopback if a port is named (the cluster's or a proxy's)."""
        where = f"host={self.folder} port={self.port}" if port is None else f"host=127.0.0.1 port={port}"
        options = "" if schema is None else f" options='-c search_path={schema}'"
        return f"{where} user={USER} dbname=postgres{options}"

    @contextlib.contextmanager
    def schema(self) -> Iterator[str]:
        """An empty schema, for as long as the block lasts."""
        name = f"test_{next(self._schemas)}"
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}")  # type: ignore[call-overload]
        yield name
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            connection.execute(f"DROP SCHEMA {name} CASCADE")  # type: ignore[call-overload]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    with Cluster() as cluster:
        yield cluster


@pytest.fixture
def dsn(postgres: Cluster) -> Iterator[str]:
    """A database of the test's own, empty."""
    with postgres.schema() as schema:
        yield postgres.dsn(schema)
