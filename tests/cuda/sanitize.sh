#!/usr/bin/env bash
# Run a part of the kernels' tests under compute-sanitizer: memory accesses, and races within a program's shared memory.
# Races between programs it does not know; determinism over twenty runs and NaN in fresh memory stand in for that.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${1:-python3}
if ! command -v compute-sanitizer > /dev/null; then
    echo "sanitize: compute-sanitizer is not on the PATH; it comes with the CUDA toolkit" >&2
    exit 3
fi
if ! "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
    echo "sanitize: no GPU that torch can use" >&2
    exit 3
fi
export PYTHONPATH=. PYTORCH_NO_CUDA_MEMORY_CACHING=1
only=(--kernel-regex kns=ward_)  # forward_…, backward_…: the libraries' kernels are not ours to judge
compute-sanitizer "${only[@]}" true > /dev/null 2>&1 || only=()
for tool in memcheck racecheck; do
    # Without a cache of memory, every tensor has bounds that can be overstepped.
    compute-sanitizer --tool "$tool" --error-exitcode 9 "${only[@]}" \
        "$python" -m pytest -c /dev/null --rootdir . -q -p no:cacheprovider tests/cuda/test_kernels.py \
        -k "(test_parity_of_every_shape_of_batch or test_parity_with_lengths) and not 128"
done
echo "sanitize: clean"
