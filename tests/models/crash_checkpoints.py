"""Kill writers of a checkpoint, again and again, and look at what a reader finds. Run by test_checkpoint_crash.py.

Forked children die in one of two ways: just before their n-th call to the file system, for every n (an audit hook sees
each call), and by SIGKILL after a random time while they rewrite the checkpoint in a loop.
"""

import itertools
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from simlstm.models.atomic import WHOLE
from simlstm.models.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from simlstm.models.config import ModelConfig
from simlstm.models.siamese import SiameseModel
from simlstm.text.tokenizer import Tokenizer

CALLS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir"}


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".checkpoint")]


def make_checkpoint(number: int) -> Checkpoint:
    tokenizer = Tokenizer.train(["a man plays a guitar"])
    config = ModelConfig(vocabulary_size=tokenizer.vocabulary_size, embedding_size=4, hidden_size=3)
    torch.manual_seed(number)
    state = SiameseModel.from_config(config).state_dict()
    return Checkpoint(config=config, state=state, tokenizer=tokenizer, metrics={"number": number})


def die_before_call(number: int) -> None:
    count = 0

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal count
        if event in CALLS:
            count += 1
            if count == number:
                os._exit(9)

    sys.addaudithook(watch)


def check(folder: Path, checkpoints: list[Checkpoint], allowed: set[int]) -> int:
    """Read the checkpoint; it must be one of those allowed, whole. Return which."""
    back = read_checkpoint(folder)
    number: int = back.metrics["number"]
    assert number in allowed, (number, allowed)
    for name, tensor in checkpoints[number].state.items():
        assert torch.equal(back.state[name], tensor), name
    assert (folder / "state" / "moments").read_bytes() == b"kept"
    return number


def crash_at_every_call(start: Path, checkpoints: list[Checkpoint], new: int) -> Iterator[tuple[Path, int]]:
    """Replace the checkpoint in copies of a folder, crashing before call 1, 2, 3, until a write gets through.

    Yields:
        Each folder as its crash left it, and which checkpoint a reader finds there.
    """
    old = check(start, checkpoints, set(range(len(checkpoints))))
    for call in itertools.count(1):
        folder = start.with_name(f"{start.name}-{call}")
        shutil.copytree(start, folder)
        child = os.fork()
        if child == 0:
            die_before_call(call)
            write_checkpoint(folder, checkpoints[new])
            os._exit(0)
        _, status = os.waitpid(child, 0)
        yield folder, check(folder, checkpoints, {old, new})
        if os.waitstatus_to_exitcode(status) == 0:
            assert check(folder, checkpoints, {new}) == new
            assert not leftovers(folder), "a write cleans up"
            return
        assert os.waitstatus_to_exitcode(status) == 9


def crash_and_crash_again(start: Path, checkpoints: list[Checkpoint]) -> None:
    """Crash a write at every call, and then the next write, which finds what the first one left, at every call."""
    first = list(crash_at_every_call(start, checkpoints, 1))
    assert [number for _, number in first] == sorted(number for _, number in first), "once it is new it stays new"
    assert {number for _, number in first} == {0, 1}
    halfway = [folder for folder, _ in first if (folder / WHOLE).exists()]
    halfway = [halfway[0], halfway[len(halfway) // 2], halfway[-1]]  # nothing moved, some, all
    second = [found for folder in halfway for found in crash_at_every_call(folder, checkpoints, 2)]
    assert {number for _, number in second} == {1, 2}
    sys.stdout.write(f"{len(first)} crash points, {len(second)} of a second crash\n")


def kill_at_random(folder: Path, checkpoints: list[Checkpoint], kills: int) -> None:
    """Kill writers at random moments, until that many kills met a write that was under way."""
    start = time.monotonic()
    write_checkpoint(folder, checkpoints[0])
    seconds = time.monotonic() - start
    generator = random.Random(0)
    seen: set[int] = set()
    interrupted = 0
    for _ in range(50 * kills):
        child = os.fork()
        if child == 0:
            number = 0
            while True:
                number = 1 - number
                write_checkpoint(folder, checkpoints[number])
        time.sleep(generator.uniform(0.0, 4 * seconds))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        interrupted += bool(leftovers(folder))
        seen.add(check(folder, checkpoints, {0, 1}))
        if seen == {0, 1} and interrupted >= kills:
            break
    assert seen == {0, 1}
    assert interrupted >= kills, f"only {interrupted} kills met a write: the test shows too little"
    sys.stdout.write(f"{interrupted} kills in the middle of a write\n")


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    checkpoints = [make_checkpoint(number) for number in range(3)]
    checkpoints[1] = replace(checkpoints[1], card="# Another\n")
    write_checkpoint(folder, checkpoints[0])
    (folder / "state").mkdir()
    (folder / "state" / "moments").write_bytes(b"kept")
    crash_and_crash_again(folder, checkpoints)
    kill_at_random(folder, checkpoints, kills=5)
    write_checkpoint(folder, checkpoints[0])
    assert not leftovers(folder), "a write cleans up"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
