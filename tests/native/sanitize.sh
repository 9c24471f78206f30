#!/usr/bin/env bash
# The native kernels under AddressSanitizer and UndefinedBehaviorSanitizer (the Python tests of the kernels, each piece of
# the workspace walled off from the next), then under ThreadSanitizer (race.cpp). Run by `make sanitize`.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${1:-.venv/bin/python}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

export SIMLSTM_NATIVE_FLAGS="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g1 -O1"
"$python" setup.py --quiet build_ext --force --build-lib "$work/lib" --build-temp "$work/build"
library=$(find "$work/lib" -name '_simlstm.so')
SIMLSTM_NATIVE_LIBRARY=$library ASAN_OPTIONS=detect_leaks=0 \
    LD_PRELOAD="$(g++ -print-file-name=libasan.so) $(g++ -print-file-name=libubsan.so)" \
    "$python" -m pytest -q -p no:cacheprovider tests/rnn/test_native_lstm.py tests/rnn/test_native_frozen.py

native=simlstm/rnn/backends/native
flags=(-std=c++17 -O1 -g1 -fsanitize=thread -DSIMLSTM_OWN_THREADS "-I$native")
kernels() {  # namespace, table, name, flags
    g++ "${flags[@]}" -Wno-uninitialized -Wno-maybe-uninitialized "-DSIMLSTM_ISA=$1" "-DSIMLSTM_KERNELS=$2" "-DSIMLSTM_NAME=\"$3\"" \
        "${@:4}" -c "$native/kernels.cpp" -o "$work/$3.o"
}
kernels simlstm_portable kPortableKernels portable
objects=("$work/portable.o")
if [ "$(uname -m)" = x86_64 ]; then
    flags+=(-DSIMLSTM_X86)
    kernels simlstm_avx2 kAvx2Kernels avx2 -mavx2 -mfma
    objects+=("$work/avx2.o")
fi
g++ "${flags[@]}" tests/native/race.cpp "$native/threads.cpp" "$native/workspace.cpp" "${objects[@]}" -pthread -ldl -o "$work/race"
TSAN_OPTIONS=halt_on_error=1 "$work/race"
