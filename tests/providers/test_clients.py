from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import httpx2
import pytest

from millstream.providers import clients
from millstream.providers.clients import close_clients, sync_client, take_client


def test_one_client_for_few_and_more_for_a_crowd() -> None:
    async def main() -> None:
        first = await take_client()
        crowd = [await take_client() for _ in range(40)]
        assert len({id(lease) for lease in (first, *crowd)}) == 3
        assert max(lease.busy for lease in crowd) == clients._MOST_OF_A_CLIENT
        for lease in crowd:
            lease.release()
        assert await take_client() is first

    asyncio.run(main())


def test_a_loop_closes_its_clients_and_the_next_has_its_own() -> None:
    seen: list[httpx2.AsyncClient] = []

    async def main() -> None:
        seen.extend([(await take_client()).client, (await take_client()).client])

    for _ in range(2):
        asyncio.run(main())
    assert seen[0] is seen[1] and seen[2] is seen[3] and seen[0] is not seen[2]
    assert all(client.is_closed for client in seen)
    assert clients._of_loop == {}


def test_a_loop_that_was_closed_in_haste_is_forgotten() -> None:
    async def main() -> None:
        await take_client()

    hasty = asyncio.new_event_loop()
    hasty.run_until_complete(main())
    hasty.close()
    assert hasty in clients._of_loop
    asyncio.run(main())
    assert clients._of_loop == {}


def test_first_requests_at_once_read_the_certificates_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "_made_options", None)
    real, made = httpx2.create_ssl_context, []
    monkeypatch.setattr(httpx2, "create_ssl_context", lambda: made.append(1) or real())

    async def main() -> None:
        await asyncio.gather(*(take_client() for _ in range(20)))

    asyncio.run(main())
    assert made == [1]


def test_the_sync_client_is_shared_by_threads_and_made_again_after_closing() -> None:
    found: list[httpx2.Client] = []
    threads = [threading.Thread(target=lambda: found.append(sync_client())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, found))) == 1
    close_clients()
    assert found[0].is_closed
    assert sync_client() is not found[0]


FORK = """
import os
from millstream.providers import clients

before = clients.sync_client()
child = os.fork()
if child == 0:
    os._exit(0 if not clients._sync and clients.sync_client() is not before else 1)
assert os.waitpid(child, 0)[1] == 0
assert clients.sync_client() is before
"""


def test_a_forked_child_has_clients_of_its_own() -> None:
    # In a process of its own: this one has threads, and such a process should not fork.
    env = {"PYTHONPATH": str(Path(clients.__file__).parents[2])}
    subprocess.run([sys.executable, "-W", "error", "-c", FORK], env=env, check=True)


def test_whoever_finds_all_connections_in_use_waits_for_his_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "MOST_CONNECTIONS", 2)

    async def main() -> list[str]:
        first, second = await take_client(), await take_client()
        came: list[str] = []

        async def wait(name: str) -> None:
            lease = await take_client()
            came.append(name)
            await asyncio.sleep(0)
            lease.release()

        waiting = [asyncio.ensure_future(wait(name)) for name in "abc"]
        await asyncio.sleep(0)
        assert came == []
        waiting[0].cancel()
        first.release()
        await asyncio.gather(*waiting, return_exceptions=True)
        second.release()
        assert [(await take_client()).busy for _ in range(2)] == [1, 2]
        return came

    assert asyncio.run(main()) == ["b", "c"]


def test_a_place_given_to_one_who_is_cancelled_goes_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "MOST_CONNECTIONS", 1)

    async def main() -> None:
        held = await take_client()
        early, late = asyncio.ensure_future(take_client()), asyncio.ensure_future(take_client())
        await asyncio.sleep(0)
        held.release()
        early.cancel()  # in the same turn of the loop: the place is his and he does not know
        assert (await asyncio.wait_for(late, 1)).busy == 1

    asyncio.run(main())


def test_each_proxy_has_clients_of_its_own() -> None:
    async def main() -> None:
        plain, proxied = await take_client(), await take_client("http://127.0.0.1:9")
        assert plain is not proxied
        assert await take_client("http://127.0.0.1:9") is proxied

    asyncio.run(main())
    assert sync_client("http://127.0.0.1:9") is not sync_client()
    close_clients()
