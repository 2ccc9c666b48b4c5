# What can be done here. Each target installs what it needs into .venv first; 'make help' lists them.

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { echo $$p; break; }; done)
VENV ?= .venv
BIN := $(VENV)/bin
# Tests start thousands of processes. Where this variable is set (it is in many images for containers), each would compile
# all that it imports, and each of pytest's processes every test module.
export PYTHONDONTWRITEBYTECODE :=

# Tests wait for servers and processes as much as they compute, so several run at a time. Those of a module or class stay together, and
# share what it has set up; in the order of the folders, because short modules have to come last.
SIDE_BY_SIDE := --numprocesses 3 --dist loadscope --no-loadscope-reorder
# Of few modules the longest would be waited for: tests are handed out one by one.
ONE_BY_ONE := --numprocesses 4 --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help demo test check lint types contracts lambda scenario-lambda stress chaos bench clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */make \1\t/' | expand -t 22

demo: $(VENV)/.run  ## count the words of your Python's own files, and survive the loss of a worker
	$(BIN)/wrens demo

test: $(VENV)/.test  ## all tests, with everything that they need
	$(BIN)/python tests/conformance/fetch_testsuite.py
	$(BIN)/python tests/servers/install.py
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) $(PYTEST_ARGS)

# Failures and losses with their evidence, kills of workers and clients, and a client's work taken up by another.
ON_LAMBDA := tests/scenario/test_failures.py tests/scenario/test_crashes.py tests/scenario/test_many_kills.py \
	tests/scenario/test_attach.py

lambda: $(VENV)/.test  ## the scenario tests that tell most, with workers on an emulated AWS: a minute or two
	$(BIN)/python tests/servers/install.py
	$(BIN)/python -m pytest $(ON_LAMBDA) --on lambda $(ONE_BY_ONE) $(PYTEST_ARGS)

scenario-lambda: $(VENV)/.test  ## all scenario tests with workers on an emulated AWS
	$(BIN)/python tests/servers/install.py
	$(BIN)/python -m pytest tests/scenario --on lambda $(PYTEST_ARGS)

check: lint types contracts test lambda  ## what has to pass before a change is taken

lint: $(VENV)/.test  ## style and format
	$(BIN)/ruff check src tests bench examples
	$(BIN)/ruff format --check src tests bench examples

types: $(VENV)/.test  ## static types
	$(BIN)/mypy

contracts: $(VENV)/.test  ## who may import whom
	$(BIN)/lint-imports

stress: $(VENV)/.test  ## the long runs: kills by the hundred, a million tasks, a result of 2 GB
	$(BIN)/python tests/servers/install.py
	$(BIN)/python -m pytest tests/stress -o timeout=1800 -o faulthandler_timeout=1700 $(PYTEST_ARGS)

chaos: $(VENV)/.test  ## 2,000 tasks on an emulated Lambda while everything goes wrong; needs 6 GB
	$(BIN)/python tests/servers/install.py
	$(BIN)/python -m pytest tests/stress/test_lambda_chaos.py -o timeout=1800 -o faulthandler_timeout=1700 -s $(PYTEST_ARGS)

bench: $(VENV)/.bench  ## every figure of the README, beside the peers
	$(BIN)/python tests/servers/install.py
	$(BIN)/python bench/run_all.py

clean:  ## remove what the other targets made
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .cache build dist

$(VENV)/.made:
	@test -n "$(PYTHON)" || { echo "wrens needs Python 3.11 or newer; set PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	touch $@

$(VENV)/.run: $(VENV)/.made pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.test: $(VENV)/.made pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@ $(VENV)/.run

$(VENV)/.bench: $(VENV)/.made pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	touch $@ $(VENV)/.run
