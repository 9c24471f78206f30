#!/bin/sh
# Everything that is measured on a GPU, in one call of at most nine minutes. Needs no network, and of this repository no
# more than its files; its Python needs torch, triton, numpy, pydantic, typer, rich, tokenizers, safetensors and scipy.
#
#   benchmarks/cuda.sh [FOLDER]     PYTHON and SIMLSTM_COMMIT may be set in the environment
#
# Each part is a process of its own and writes its file as it goes on: one that is stopped, or whose kernel breaks the
# device for its process, keeps what it has and does not take the next one along. A kernel that never ends is left
# behind, and one that breaks the device, too: the process ends itself (status 3), and the next one goes on behind it.
set -u
cd "$(dirname "$0")/.." || exit 1
results=${1:-benchmarks/results}
python=${PYTHON:-python3}
export PYTHONPATH=".${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
failed=""

# Asked before the GPU is: a package that one part needs would else be missed when minutes are spent.
"$python" -c '
import importlib, sys
missing = []
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except ImportError as error:
        missing.append(f"{name} ({error})")
if missing:
    sys.exit(f"benchmarks/cuda.sh: nothing is measured, because {sys.executable} cannot import " + ", ".join(missing))
' torch triton numpy pydantic typer rich tokenizers safetensors scipy || exit 1

measure() { # seconds, name, arguments
    end=$(($(date +%s) + $1)) name=$2
    shift 2
    again=""
    while left=$((end - $(date +%s))) && test "$left" -gt 20; do
        timeout -k 5 "$left" "$python" scripts/benchmark.py "$@" \
            --device cuda --seconds $((left - 20)) --json "$results/$name.json" $again
        status=$?
        test "$status" -eq 3 || break
        again=--resume
    done
    test "$status" -eq 0 || failed="$failed $name ($status)"
}

measure 260 rnn-cuda rnn --turns 10
measure 120 encode-cuda encode --turns 10
measure 65 train-float32-cuda train --config benchmarks/train-cuda.toml --dtype float32
measure 65 train-bfloat16-cuda train --config benchmarks/train-cuda.toml --dtype bfloat16

test -z "$failed" || echo "benchmarks/cuda.sh: with errors, or stopped (124):$failed" >&2
test -z "$failed"
