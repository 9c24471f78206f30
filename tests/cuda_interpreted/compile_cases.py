"""Compile what the first argument lists, and print what came of it: roles, arithmetics and hidden sizes, in JSON."""

import json
import sys
from dataclasses import asdict

from simlstm.rnn.backends.cuda.ahead import ARITHMETICS, compile_ahead, problem_for
from simlstm.rnn.backends.cuda.plan import Chip, candidates

results = []
for role, name, hidden_size in json.loads(sys.argv[1]):
    arithmetic = ARITHMETICS[name]
    problem = problem_for(role, arithmetic, hidden_size, sequences=512)
    plan = candidates(problem, Chip(132))[0]
    results.append(asdict(compile_ahead(role, problem, plan, arithmetic)) | {"plan": plan.describe()})
print(json.dumps(results))  # noqa: T201 - this is a program
