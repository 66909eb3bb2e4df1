"""The savers that come with the library, for tests of what all of them do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cluster import Cluster
from savers import postgres_saver

from millstream import InMemorySaver, SqliteSaver


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def saver(request: pytest.FixtureRequest, tmp_path: Path, postgres: Cluster) -> Iterator[Any]:
    if request.param == "memory":
        yield InMemorySaver()
    elif request.param == "postgres":
        with postgres_saver(postgres) as on_postgres:
            yield on_postgres
    else:
        with SqliteSaver.from_conn_string(str(tmp_path / "t.sqlite")) as made:
            yield made
