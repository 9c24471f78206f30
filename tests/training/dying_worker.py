"""Launched by torchrun in test_torchrun.py: the second process dies while the first one waits for it."""

import os

from simlstm.training.launch import join

with join() as processes:
    processes.lead(lambda: None)
    if processes.rank == 1:
        os._exit(7)
    processes.ask(lambda: 0)()
