"""Property tests are judged by what they find, and costs by the code alone, not by how busy the machine is."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("millstream", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("millstream")


@pytest.fixture
def no_garbage_collection() -> Iterator[None]:
    """Collections walk everything that earlier tests left alive, and would be counted as this test's cost."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()
