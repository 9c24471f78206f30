"""Two real processes in connection, as torchrun makes them but forked from one that has imported everything."""

import json
import multiprocessing
import os
import socket

import torch

from simlstm.evaluation.evaluate import calibrate_model, evaluate_model
from simlstm.training.build import build_corpus, build_start
from simlstm.training.display import Display
from simlstm.training.distillation import DistillationLoss, open_teacher, teachers_vectors
from simlstm.training.distributed import ALONE, PeerError
from simlstm.training.joint import build_tasks
from simlstm.training.launch import join
from simlstm.training.loop import Trainer
from simlstm.training.run import train
from simlstm.training.run_data import read_run_data
from simlstm.training.state import StateFolder

FORKED = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload(["tests.training.processes"])


def together(work, *arguments, count=2):
    """Call work(processes, *arguments) in so many processes; return their exit codes."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    members = [FORKED.Process(target=_joined, args=(rank, count, port, work, arguments)) for rank in range(count)]
    for member in members:
        member.start()
    for member in members:
        member.join(120)
        if member.is_alive():
            member.kill()
    return [member.exitcode for member in members]


def _joined(rank, count, port, work, arguments):
    torch.set_num_threads(1)
    os.environ |= {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    with join() as processes:
        work(processes, *arguments)


def whole_run(processes, config, out):
    """Train to the end, from wherever the folder stands."""
    train(config, out, evaluate=evaluate_model, calibrate=calibrate_model, resume=True, processes=processes)


def build_trainer(config, *, device="cpu", dtype=torch.float32, processes=ALONE):
    """Build a trainer that neither measures nor writes."""
    data = read_run_data(config)
    start = build_start(config, data)
    teaches = config.distillation.teacher is not None
    vectors = teachers_vectors(open_teacher(config), data.sentences, processes) if teaches else []
    corpus = build_corpus(config, data, start, vectors)
    return Trainer(
        config, model=start.model.to(device, dtype), corpus=corpus, measure=lambda model: {}, metric="x",
        tasks=build_tasks(config, head=start.config.head, kinds=corpus.kinds), state=StateFolder("nowhere"),
        journal=None, display=Display(), processes=processes,
        distillation=DistillationLoss(config.distillation) if teaches else None,
    )  # fmt: skip


def gradients_of_steps(config, processes=ALONE):
    """Return the gradients that the optimizer gets in each step of an epoch, from the first weights, in float64."""
    trainer = build_trainer(config, dtype=torch.float64, processes=processes)
    seen = []
    trainer.optimizer.step = lambda *_, **__: seen.append(
        {name: p.grad.to_dense().clone() for name, p in trainer.model.named_parameters() if p.grad is not None}
    )
    plan, size = trainer.corpus.epoch(0), config.training.accumulation_steps
    for first in range(0, len(plan), size):
        trainer._step(plan[first : first + size])
    return seen


def save_gradients(processes, configs, out):
    """Write what every process got, for the test to compare."""
    torch.save([gradients_of_steps(config, processes) for config in configs], out / f"{processes.rank}.pt")


def fail_in_turn(processes, out):
    """Let the first process fail in its part, and the second one die."""
    said = []
    try:
        processes.lead(lambda: 1 / 0)
    except (ZeroDivisionError, PeerError) as error:
        said.append(type(error).__name__)
    said.append(processes.lead(lambda: {"value": 0.5, "processes": processes.count}))
    (out / f"{processes.rank}.json").write_text(json.dumps(said))
    if processes.rank == 1:
        os._exit(7)
    processes.lead(lambda: None)  # which a dead process may still be sent
    processes.ask(lambda: 0)()
