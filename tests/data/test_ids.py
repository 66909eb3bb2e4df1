"""Ids: unique, ordered, and told from those of providers."""

from __future__ import annotations

import os
import threading
import uuid
from itertools import pairwise

from millstream import new_id
from millstream.data.ids import generation_id, is_generated, pick_id, run_message_id


def test_they_are_version_7_uuids_in_order() -> None:
    ids = [new_id() for _ in range(10_000)]
    assert len(set(ids)) == len(ids)
    for id in ids[:100]:
        parsed = uuid.UUID(id)
        assert str(parsed) == id
        assert parsed.variant == uuid.RFC_4122
        assert id[14] == "7"
    stamps = [id[:18] for id in ids]
    assert all(earlier <= later for earlier, later in pairwise(stamps))


def test_threads_get_different_ids() -> None:
    made: list[str] = []
    threads = [threading.Thread(target=lambda: made.extend(new_id() for _ in range(2_000))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 8_000


if hasattr(os, "fork"):

    def test_a_forked_child_does_not_repeat_its_parent() -> None:
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(write, new_id()[19:].encode())
            os._exit(0)
        mine = new_id()[19:]
        os.waitpid(child, 0)
        os.close(write)
        theirs = os.read(read, 100).decode()
        os.close(read)
        assert len(theirs) == len(mine) == 17
        assert theirs != mine


def test_ids_of_runs() -> None:
    assert run_message_id("x") == "lc_run--x"
    assert generation_id("x", 0) == "lc_run--x-0"
    assert is_generated(run_message_id("x"))
    assert not is_generated("msg_1")
    assert not is_generated(None)
    assert pick_id("lc_run--x", "msg_1") == "msg_1"
