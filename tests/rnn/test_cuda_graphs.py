"""Which sizes are captured, when, and what happens when that fails; a list of calls stands for a CUDA graph."""

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from simlstm.rnn.backends.cuda.graphs import Captured, Graphs

CPU = torch.device("cpu")


class Recorder:
    """Captures by keeping the tensor that a computation wrote, as a graph does, and computes into it again."""

    def __init__(self):
        self.captures = self.replays = 0

    def __call__(self, body):
        self.captures += 1
        result = body().clone()

        def replay():
            self.replays += 1
            result.copy_(body())

        return Captured(replay, result)


def run(graphs, size, value, body=lambda inputs: inputs.float() * 2):
    return graphs.run(size, size, lambda inputs: inputs.fill_(value), body, lambda result: result[:1].clone())


def test_a_size_is_captured_when_it_comes_again():
    capture = Recorder()
    graphs = Graphs(CPU, capture, most=4)
    results = [run(graphs, 3, value) for value in (1, 2, 3, 4)]
    assert [result.item() for result in results] == [2, 4, 6, 8], "none was overwritten by the next one"
    assert (capture.captures, capture.replays, graphs.captured) == (1, 3, 1)
    run(graphs, 5, 1)
    assert (capture.captures, graphs.captured, graphs.sizes) == (1, 1, [3, 5])


def test_the_least_recently_used_size_is_dropped():
    capture = Recorder()
    graphs = Graphs(CPU, capture, most=2)
    for size in (1, 1, 2, 2, 1, 3):
        assert run(graphs, size, size).item() == 2 * size
    assert graphs.sizes == [1, 3]
    run(graphs, 1, 1)
    assert capture.captures == 2, "it was still there"
    run(graphs, 2, 1)
    run(graphs, 2, 1)
    assert (capture.captures, graphs.sizes) == (3, [1, 2])


def test_a_failed_capture_is_told_once_and_changes_no_result(caplog):
    def failing(body):
        body()
        try:
            raise RuntimeError("operation not permitted when stream is capturing\nand more")
        finally:
            raise RuntimeError("the capture has ended")  # as torch does when a failed capture is closed

    graphs = Graphs(CPU, failing, most=4)
    with caplog.at_level(logging.WARNING):
        for size in (1, 2):
            assert [run(graphs, size, value).item() for value in (1, 2, 3)] == [2, 4, 6]
    assert graphs.captured == 0
    reason = "operation not permitted when stream is capturing"
    assert caplog.messages == [f"no CUDA graphs from now on, because a capture failed: {reason}"]


def test_what_fails_in_the_computation_itself_is_the_callers():
    def broken(inputs):
        raise RuntimeError("no memory")

    graphs = Graphs(CPU, Recorder(), most=4)
    with pytest.raises(RuntimeError, match="no memory"):
        run(graphs, 1, 1, broken)
    assert run(graphs, 1, 1).item() == 2


@pytest.mark.parametrize("capture", [None, Recorder()])
def test_one_computes_at_a_time(capture):
    graphs = Graphs(CPU, capture, most=4)
    inside = threading.Lock()

    def body(inputs):
        assert inside.acquire(blocking=False), "another one is writing the same memory"
        time.sleep(0.0005)
        inside.release()
        return inputs.float() * 2

    def work(value):
        return run(graphs, 3, value, body).item()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(100))) == [2 * value for value in range(100)]
