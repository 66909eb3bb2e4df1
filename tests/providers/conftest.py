from __future__ import annotations

from collections.abc import Iterator

import pytest

from millstream.providers.clients import close_clients


@pytest.fixture(autouse=True)
def closed_clients(no_leaks: None) -> Iterator[None]:
    """Idle connections of synchronous calls are kept for the process; here they would count as left behind."""
    yield
    close_clients()
