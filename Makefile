# make demo      builds .venv, runs the main job on the simulated brain, says where its report is
# make test      builds .venv, lint, import contracts, quick tests (under 15 minutes on 2 cores)
# make test-all  the same and the long tests (under 75 minutes)
# make bench     the benchmarks, on a quiet machine (results in benchmarks/results)
PYTHON ?= python3
SHARED ?= ../shared
PYTEST_FLAGS ?=
# Large pages for CPU computations, as launch/pages.py has them; GLIBC_TUNABLES= for none.
export GLIBC_TUNABLES ?= glibc.malloc.hugetlb=1
V := .venv
BIN := $(V)/bin
# The tested lock is for Python 3.11; other versions take the floors of requirements.txt.
LOCK = $(if $(filter 3.11,$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')),-c constraints/py311.txt)

.PHONY: demo test test-all test-long lint format bench clean

demo: $(V)/.run
	$(BIN)/python launch/main.py --config=configs/quickstart.py --workdir=runs/demo

test: lint
	$(BIN)/python -m pytest -m "not long" --shared=$(SHARED) $(PYTEST_FLAGS)

test-long: $(V)/.dev
	$(BIN)/python -m pytest -m long --shared=$(SHARED) $(PYTEST_FLAGS)

test-all: test test-long

lint: $(V)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

format: $(V)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(V)/.dev
	for b in benchmarks/bench_*.py; do $(BIN)/python -m benchmarks.$$(basename $$b .py) || exit 1; done

$(V)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else "recon needs Python 3.11 to 3.13; name one: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(V)

$(V)/.run: $(V)/bin/python requirements.txt constraints/py311.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check $(LOCK) -r requirements.txt
	touch $@

$(V)/.dev: $(V)/.run pyproject.toml
	$(BIN)/python -m pip install -q --disable-pip-version-check $(LOCK) torch
	$(BIN)/python -m pip install -q --disable-pip-version-check $(LOCK) -e '.[dev,tfds]'
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps torchvision==0.28.0 # else it brings a CUDA torch
	touch $@

clean:
	rm -rf $(V) runs build *.egg-info .pytest_cache .ruff_cache .import_linter_cache
