"""A worker as the server sees it: its start, its end, and the count of what it holds."""

import asyncio
import os
import pickle
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from api.engine.frames import pack
from api.spawning import NURSERY
from api.work import Layout, Work
from api.worker import ComputationError, Worker, WorkerStartError, WorkerUnavailableError
from simlstm import SimilarityModel
from tests.api.tiny import SENTENCES, AllergicModel, build_model

SETTINGS = {
    "folder": None, "log_level": "info", "device": None, "dtype": None, "threads": 1,
    "max_batch_tokens": 100, "cache_bytes": 2**20, "max_age": 1.0,
}  # fmt: skip
PAIR = Work(SENTENCES[:2], Layout.pairwise, first=1)


class SleepingModel(SimilarityModel):
    """A real model that takes too long to score."""

    def score(self, a, b, *, batch_size=256):
        time.sleep(60)
        return super().score(a, b, batch_size=batch_size)


async def started(model=None, *, timeout=60.0, on_step=lambda _: None, **settings):
    connection, pid = await NURSERY.worker()
    blob = b"" if model is None else pickle.dumps(model)
    return await Worker.start(connection, pid, SETTINGS | settings, blob, on_step=on_step, timeout=timeout)


def is_running(pid):
    """Whether a process is there; one that has ended and was not reaped yet is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


async def soon(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        await asyncio.sleep(0.01)


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 120))


def test_it_answers_with_the_models_own_values(model):
    async def main():
        worker = await started(model)
        assert worker.facts.result()["fingerprint"] == model.fingerprint
        works = [Work(SENTENCES, embeddings=True), PAIR, Work(["dog"])]
        tickets = [worker.submit(work) for work in works]
        assert worker.sentences == 9
        one, other, none = [await ticket.future for ticket in tickets]
        assert worker.sentences == 0
        assert worker.tickets == {}
        np.testing.assert_allclose(one.embeddings, model.encode(SENTENCES), atol=1e-6)  # batched differently
        np.testing.assert_allclose(other.scores, model.score(SENTENCES[:1], SENTENCES[1:2]), atol=1e-6)
        assert other.embeddings.shape == (0, model.embedding_size)
        assert one.probabilities is not None
        assert len(one.probabilities) == len(one.scores) == len(none.scores) == 0
        await worker.stop(5)

    run(main())


def test_what_cannot_be_loaded_says_why_and_leaves_no_process(checkpoint, tmp_path):
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for file in checkpoint.iterdir():
        content = file.read_bytes()
        (damaged / file.name).write_bytes(content[:-9] if file.suffix == ".safetensors" else content)

    async def main():
        for folder, sentence in ((tmp_path / "nothing", "nothing"), (damaged, "was cut off")):
            connection, pid = await NURSERY.worker()
            with pytest.raises(WorkerStartError, match=sentence):
                await Worker.start(
                    connection, pid, SETTINGS | {"folder": str(folder)}, b"", on_step=lambda _: None, timeout=60
                )
            await soon(lambda pid=pid: not is_running(pid))

    run(main())


def test_a_start_that_takes_too_long_is_given_up(model):
    async def main():
        connection, pid = await NURSERY.worker()
        blob = pickle.dumps(build_model(SleepingModel))
        with pytest.raises(WorkerUnavailableError, match=r"not loaded within 0\.3 s"):
            await Worker.start(connection, pid, SETTINGS, blob, on_step=lambda _: None, timeout=0.3)
        await soon(lambda: not is_running(pid))

    run(main())


def test_a_process_that_ends_while_it_loads_is_noticed(model):
    async def main():
        connection, pid = await NURSERY.worker()
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(WorkerUnavailableError, match="ended while it loaded"):
            await Worker.start(connection, pid, SETTINGS, pickle.dumps(model), on_step=lambda _: None, timeout=60)

    run(main())


def test_a_failed_request_is_the_only_one_that_fails_and_the_count_returns_to_nothing():
    async def main():
        worker = await started(build_model(AllergicModel))
        tickets = [worker.submit(Work([text], embeddings=True)) for text in ("dog", AllergicModel.POISON, "park")]
        results = await asyncio.gather(*(ticket.future for ticket in tickets), return_exceptions=True)
        assert isinstance(results[1], ComputationError)
        assert "RuntimeError" in str(results[1])
        assert "password" not in str(results[1])
        assert [isinstance(result, Exception) for result in results] == [False, True, False]
        assert (worker.sentences, worker.tickets) == (0, {})
        await worker.stop(5)

    run(main())


def test_death_fails_what_it_held_and_the_count_returns_to_nothing(gated):
    async def main():
        worker = await started(gated)
        gated.gate.clear()
        tickets = [worker.submit(PAIR) for _ in range(3)]
        os.kill(worker.pid, signal.SIGKILL)
        results = await asyncio.gather(*(ticket.future for ticket in tickets), return_exceptions=True)
        assert all(isinstance(result, WorkerUnavailableError) for result in results)
        assert (worker.sentences, worker.tickets, worker.is_alive) == (0, {}, False)
        worker.cancel(tickets[0])
        assert worker.sentences == 0
        with pytest.raises(WorkerUnavailableError):
            worker.submit(PAIR)
        assert worker.stalled_for() == 0

    run(main())


def test_a_cancelled_request_is_dropped_and_counted_out_once(gated):
    async def main():
        steps = []
        worker = await started(gated, on_step=steps.append)
        gated.gate.forget()
        gated.gate.clear()
        first = worker.submit(Work(["dog"], embeddings=True))
        await soon(lambda: len(gated.calls) == 1)
        second, third = worker.submit(PAIR), worker.submit(PAIR)
        assert worker.sentences == 5
        worker.cancel(second)
        worker.cancel(second)
        assert worker.sentences == 3
        worker.cancel(first)
        gated.gate.set()
        outcome = await third.future
        assert outcome.token_counts == list(map(len, gated.tokenizer.encode(SENTENCES[:2])))
        assert worker.sentences == 0
        # The first was in the model's hands.
        await soon(lambda: sum(step["count"] for step in steps if step["type"] == "dropped") == 1)
        await worker.stop(5)

    run(main())


def test_what_cannot_be_sent_is_not_counted(model):
    async def main():
        worker = await started(model)
        with pytest.raises(TypeError):
            worker.submit(Work(["half a pair: \ud83d"], embeddings=True))
        assert (worker.sentences, worker.tickets) == (0, {})
        assert worker.stalled_for() == 0
        await worker.submit(PAIR).future
        await worker.stop(5)

    run(main())


def test_silence_is_measured_from_the_last_sign_of_life(model):
    async def main():
        worker = await started(model)
        worker.ping()
        await soon(lambda: worker.stalled_for() == 0)
        os.kill(worker.pid, signal.SIGSTOP)
        worker.ping()
        await asyncio.sleep(0.2)
        idle = worker.stalled_for()
        assert idle >= 0.19
        worker.ping()
        assert worker.stalled_for() >= idle, "asking again does not begin anew"
        os.kill(worker.pid, signal.SIGCONT)
        await soon(lambda: worker.stalled_for() == 0)
        os.kill(worker.pid, signal.SIGSTOP)
        ticket = worker.submit(PAIR)
        await asyncio.sleep(0.2)
        assert worker.stalled_for() >= 0.19
        worker.cancel(ticket)
        assert worker.stalled_for() >= 0.19, "that nobody waits any more is no sign of life"
        os.kill(worker.pid, signal.SIGCONT)
        await soon(lambda: worker.stalled_for() == 0)
        await worker.stop(5)
        assert not worker.is_alive

    run(main())


def test_stopping_waits_for_what_is_held(gated):
    async def main():
        worker = await started(gated)
        gated.gate.clear()
        ticket = worker.submit(PAIR)
        asyncio.get_running_loop().call_later(0.2, gated.gate.set)
        await worker.stop(30)
        assert len((await ticket.future).scores) == 1
        await soon(lambda: not is_running(worker.pid))

    run(main())


def test_stopping_ends_even_a_process_that_is_stuck(model):
    async def main():
        worker = await started(model)
        os.kill(worker.pid, signal.SIGSTOP)
        ticket = worker.submit(PAIR)
        await worker.stop(0.1)
        with pytest.raises(WorkerUnavailableError):
            await ticket.future
        await soon(lambda: not is_running(worker.pid))

    run(main())


def test_kill_ends_the_process_and_is_harmless_afterwards(model):
    async def main():
        worker = await started(model)
        worker.kill()
        await worker.closed
        worker.kill()
        worker.ping()
        await soon(lambda: not is_running(worker.pid))

    run(main())


def test_a_log_line_of_the_worker_is_written_by_the_server(model, caplog):
    async def main():
        worker = await started(model)
        worker.data_received(pack({"type": "log", "logger": "api.engine", "level": 40, "message": "100% broken"}))
        await worker.stop(5)

    run(main())
    assert ("api.engine", 40, "100% broken") in caplog.record_tuples
