"""The nursery: workers come from it, and it comes again when it was killed."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from api.spawning import Nursery
from tests.api.live import until


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 120))


@pytest.fixture(scope="module")
def nursery():
    nursery = Nursery()
    yield nursery
    nursery.close()


def gone(pid):
    return not os.path.exists(f"/proc/{pid}")  # noqa: PTH110


def test_each_worker_is_a_process_that_ends_with_its_connection(nursery):
    async def main():
        made = await asyncio.gather(*(nursery.worker() for _ in range(3)))
        assert len({pid for _, pid in made}) == 3
        assert not any(gone(pid) for _, pid in made)
        for connection, _ in made:
            assert not connection.getblocking()
        made[0][0].close()
        until(lambda: gone(made[0][1]))
        assert not gone(made[1][1]), "no other process holds its connection open, and it holds no other's"
        for connection, pid in made[1:]:
            connection.close()
            until(lambda pid=pid: gone(pid))

    run(main())


def test_one_that_was_killed_is_started_again(nursery):
    async def main():
        connection, pid = await nursery.worker()
        before = nursery._process
        before.kill()
        before.wait(10)
        other, other_pid = await nursery.worker()
        assert nursery._process is not before
        assert not gone(pid), "workers outlive it"
        for one, number in ((connection, pid), (other, other_pid)):
            one.close()
            until(lambda number=number: gone(number))

    run(main())


def test_whoever_no_longer_waits_leaves_no_process(nursery):
    async def main():
        (await nursery.worker())[0].close()
        os.kill(nursery._process.pid, signal.SIGSTOP)
        waiting = asyncio.create_task(nursery.worker())
        await asyncio.sleep(0.1)
        waiting.cancel()
        os.kill(nursery._process.pid, signal.SIGCONT)
        with pytest.raises(asyncio.CancelledError):
            await waiting
        children = f"/proc/{nursery._process.pid}/task/{nursery._process.pid}/children"
        end = time.monotonic() + 20
        while Path(children).read_text().split():
            assert time.monotonic() < end
            await asyncio.sleep(0.01)

    run(main())
