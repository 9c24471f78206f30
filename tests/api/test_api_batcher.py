"""The worker: merging, bounds, cancellation, poison and death. All in real time, on real tiny models."""

import asyncio
import time

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from api.batcher import Batcher, ComputationError, QueueFullError, WorkerUnavailableError
from api.jobs import Job
from api.metrics import Metrics
from tests.api.tiny import SENTENCES, AllergicModel, build_model

LIMITS = {"max_waiting_sentences": 8, "max_batch_tokens": 1000, "stall_seconds": 60.0}


def value(metrics: Metrics, name: str) -> float:
    registry: CollectorRegistry = metrics.registry
    found = registry.get_sample_value(name)
    assert found is not None
    return found


class Running:
    """A started batcher, for use inside an event loop."""

    def __init__(self, model, **limits):
        self.metrics = Metrics(())
        self.batcher = Batcher(model, self.metrics, **(LIMITS | limits))

    async def __aenter__(self):
        await asyncio.wrap_future(self.batcher.start())
        return self

    async def __aexit__(self, *_):
        await asyncio.to_thread(self.batcher.stop, timeout=10)

    def submit(self, *texts, pairs=()):
        job = Job(list(texts), pairs)
        self.batcher.submit(job)
        return job

    async def taken(self, job):
        while not job.taken:
            await asyncio.sleep(0.001)


async def wait(job):
    return await asyncio.wait_for(job.future, 20)


def test_what_waits_is_merged_and_identical_sentences_computed_once(gated):
    async def scenario():
        async with Running(gated) as running:
            gated.gate.clear()
            first = running.submit("dog")
            await running.taken(first)
            waiting = [running.submit("park", "dog"), running.submit("dog", pairs=[(0, 0)]), running.submit("guitar")]
            gated.gate.set()
            await asyncio.gather(*map(wait, [first, *waiting]))
            return running.metrics, waiting

    gated.calls.clear()
    metrics, waiting = asyncio.run(scenario())
    # The warm-up, the first job, then one call for the three that waited: park, dog, guitar.
    assert gated.calls[1:] == [1, 3]
    for job in waiting:
        np.testing.assert_allclose(job.future.result().embeddings, gated.encode(job.texts), atol=1e-6)
    np.testing.assert_allclose(waiting[1].future.result().scores, gated.score(["dog"], ["dog"]), atol=1e-6)
    assert value(metrics, "te_batch_next_size_sum") == 4
    assert value(metrics, "simlstm_repeated_sentences_total") == 1
    assert value(metrics, "te_embed_success_total") == 5


def test_a_call_keeps_to_its_token_budget(gated):
    async def scenario():
        async with Running(gated, max_batch_tokens=5) as running:
            gated.gate.clear()
            first = running.submit("dog")
            await running.taken(first)
            texts = ["man guitar", "man park", "dog", "park runs dog guitar man password reset"]
            waiting = [running.submit(text) for text in texts]
            gated.gate.set()
            await asyncio.gather(*map(wait, [first, *waiting]))

    asyncio.run(scenario())
    # 2 + 2 + 1 tokens fit into 5; seven tokens run alone.
    assert gated.calls[1:] == [1, 3, 1]


def test_the_queue_is_bounded_in_sentences(gated):
    async def scenario():
        async with Running(gated) as running:
            gated.gate.clear()
            first = running.submit("dog")
            await running.taken(first)
            waiting = [running.submit("a", "b", "c", "d", "e")]
            assert not running.batcher.overloaded
            with pytest.raises(QueueFullError):
                running.submit("f", "g", "h", "i")
            waiting.append(running.submit("f", "g", "h"))
            assert running.batcher.overloaded
            with pytest.raises(QueueFullError) as caught:
                running.submit("i")
            assert 1 <= caught.value.retry_after <= 60
            gated.gate.set()
            await asyncio.gather(*map(wait, [first, *waiting]))
            assert not running.batcher.overloaded
            await wait(running.submit("i"))

    asyncio.run(scenario())


def test_a_cancelled_job_is_never_computed(gated):
    async def scenario():
        async with Running(gated) as running:
            gated.gate.clear()
            first = running.submit("dog")
            await running.taken(first)
            dropped = running.submit(*SENTENCES)
            running.batcher.cancel(dropped)
            kept = running.submit("a", "b", "c", "d", "e", "f", "g")  # fits only if the dropped one made room
            gated.gate.set()
            await asyncio.gather(wait(first), wait(kept))
            assert dropped.future.cancelled()
            assert not dropped.taken
            assert value(running.metrics, "simlstm_dropped_requests_total") == 1
            assert value(running.metrics, "te_queue_size") == 0

    asyncio.run(scenario())


def test_a_job_cancelled_while_it_is_computed_harms_nobody(gated):
    async def scenario():
        async with Running(gated) as running:
            gated.gate.clear()
            first = running.submit("dog")
            await running.taken(first)
            running.batcher.cancel(first)
            gated.gate.set()
            await wait(running.submit("dog"))
            assert first.future.cancelled()

    asyncio.run(scenario())


class GatedAllergicModel(AllergicModel):
    def encode_tokens(self, token_ids, *, batch_size=256):
        assert self.gate.wait(30)
        return super().encode_tokens(token_ids, batch_size=batch_size)


def gated_allergic(gated):
    model = build_model(GatedAllergicModel)
    model.gate = gated.gate
    return model


def test_poison_fails_alone(gated):
    model = gated_allergic(gated)

    async def scenario():
        async with Running(model) as running:
            gated.gate.clear()
            first = running.submit("dog")
            await running.taken(first)
            good, poisoned, also_good = [
                running.submit("park", "dog"),
                running.submit("dog", AllergicModel.POISON),
                running.submit("guitar"),
            ]
            gated.gate.set()
            for job in (first, good, also_good):
                np.testing.assert_allclose((await wait(job)).embeddings, model.encode(job.texts), atol=1e-6)
            with pytest.raises(ComputationError, match="RuntimeError"):
                await wait(poisoned)
            assert running.batcher.alive
            assert value(running.metrics, "simlstm_retried_batches_total") == 1

    asyncio.run(scenario())


def test_a_text_that_the_tokenizer_cannot_take_fails_alone():
    async def scenario():
        async with Running(build_model()) as running:
            bad = running.submit(5)
            good = running.submit("dog")
            with pytest.raises(ComputationError, match="ValueError"):
                await wait(bad)
            await wait(good)

    asyncio.run(scenario())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # the thread's end is the point
def test_a_dead_worker_fails_its_waiters_at_once(gated):
    model = gated_allergic(gated)

    async def scenario():
        async with Running(model) as running:
            gated.gate.clear()
            deadly = running.submit(AllergicModel.DEADLY)
            await running.taken(deadly)
            waiting = running.submit("dog")
            assert running.batcher.alive
            gated.gate.set()
            for job in (deadly, waiting):
                with pytest.raises(WorkerUnavailableError):
                    await wait(job)
            assert not running.batcher.alive
            with pytest.raises(WorkerUnavailableError):
                running.submit("dog")
            assert value(running.metrics, "simlstm_worker_up") == 0

    asyncio.run(scenario())


def test_a_bug_of_the_worker_itself_is_a_death_too(model, caplog):
    async def scenario():
        async with Running(model) as running:
            running.metrics.batch_sentences = None
            with pytest.raises(WorkerUnavailableError):
                await wait(running.submit("dog"))
            assert not running.batcher.alive

    asyncio.run(scenario())
    assert "AttributeError" in caplog.text
    assert "restarted" in caplog.text


def test_a_stuck_worker_is_not_alive(gated):
    async def scenario():
        async with Running(gated, stall_seconds=0.05) as running:
            gated.gate.clear()
            stuck = running.submit("dog")
            await running.taken(stuck)
            await asyncio.sleep(0.1)
            assert not running.batcher.alive
            with pytest.raises(WorkerUnavailableError):
                running.submit("dog")
            gated.gate.set()
            await wait(stuck)
            while not running.batcher.alive:
                await asyncio.sleep(0.001)
            await wait(running.submit("dog"))

    asyncio.run(scenario())


def test_stop_fails_what_waits(gated):
    async def scenario():
        running = Running(gated)
        async with running:
            gated.gate.clear()
            first = running.submit("dog")
            await running.taken(first)
            waiting = running.submit("park")
            stopping = asyncio.create_task(asyncio.to_thread(running.batcher.stop, timeout=10))
            while not running.batcher._stopping:
                await asyncio.sleep(0.001)
            with pytest.raises(WorkerUnavailableError):
                running.submit("dog")
            gated.gate.set()
            await wait(first)
            with pytest.raises(WorkerUnavailableError):
                await wait(waiting)
            await stopping

    asyncio.run(scenario())


def test_a_model_that_cannot_compute_fails_the_start():
    model = build_model()
    model.model.encoder.embedding = None

    async def scenario():
        async with Running(model):
            pytest.fail("it started")

    with pytest.raises(AttributeError):
        asyncio.run(scenario())


def test_retry_after_follows_the_measured_rate(gated):
    async def scenario():
        async with Running(gated, max_waiting_sentences=3000) as running:
            gated.gate.clear()
            first = running.submit("dog")
            await running.taken(first)
            await asyncio.sleep(0.2)  # one sentence in 0.2 s, after an assumed 1000 a second: about 800 a second
            gated.gate.set()
            await wait(first)
            gated.gate.clear()
            second = running.submit("dog")
            await running.taken(second)
            running.submit(*["dog"] * 3000)
            with pytest.raises(QueueFullError) as caught:
                running.submit("dog")
            gated.gate.set()
            return caught.value.retry_after

    assert asyncio.run(scenario()) == 4


def test_the_loop_may_be_gone_when_the_result_comes(gated):
    running = Running(gated)

    async def leave():
        await asyncio.wrap_future(running.batcher.start())
        gated.gate.clear()
        job = running.submit("dog")
        await running.taken(job)
        return job

    asyncio.run(leave())
    gated.gate.set()
    time.sleep(0.05)
    assert running.batcher.alive
    running.batcher.stop(timeout=10)
