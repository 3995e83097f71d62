.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=
# The tests wait more than they compute: two for each processor.
JOBS ?= $(shell echo $$((2 * $$(nproc))))
UV_LOCK = $(BIN)/uv pip compile -q --universal --python-version 3.10 --generate-hashes --no-annotate --no-header

.PHONY: help run test check lint format lock labs docs screenshots bench soak counts clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/.run ## set everything up and start sockmon: make run ARGS='check --json'
	@$(BIN)/sockmon $(ARGS)

test: $(VENV)/.dev ## run the tests: make test ARGS='tests/test_load.py -x'
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(ARGS)

check: lint test ## all that must be green before a commit: linters, types, layers, tests

lint: $(VENV)/.dev ## the linters, the type checker and the import linter alone
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(VENV)/.dev ## format the code, and repair what the linter can repair
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(VENV)/.dev ## write the lock files again from pyproject.toml
	$(BIN)/pip install -q uv
	$(UV_LOCK) --upgrade -o requirements.lock pyproject.toml
	$(UV_LOCK) --upgrade -o requirements-dev.lock --group dev pyproject.toml

labs: $(VENV)/.dev ## run every lab on this kernel, and note in docs/proved.json which held
	$(BIN)/python -m pytest -n 8 --prove tests/labs/test_labs.py $(ARGS)

docs: $(VENV)/.dev ## write the generated pages of docs/ again
	$(BIN)/python docs/make.py

screenshots: $(VENV)/.dev ## draw the pictures of screenshots/ again
	$(BIN)/python -m screenshots.make $(ARGS)

bench: $(VENV)/.dev ## measure beside other tools (a quarter of an hour), and write docs/performance.md
	$(BIN)/python -m benchmarks $(ARGS)

soak: $(VENV)/.dev ## run the screen for 30 minutes on a host that changes: is its memory flat?
	$(BIN)/python -m benchmarks.soak $(ARGS)

counts: $(VENV)/.dev ## accept what a sample costs now: tests/work/counted.json
	$(BIN)/python -m tests.work

clean: ## remove the virtual environment and all caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache snapshot_report.html
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: a set-up is done once, and again when what it was made from has changed.
$(VENV)/.venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || { \
	  echo "sockmon needs Python 3.10 or newer, and '$(PYTHON)' is not: apt install python3, or make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "Python's venv is not installed: apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.run: $(VENV)/.venv requirements.lock pyproject.toml bin/sockmon
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install -q --disable-pip-version-check --no-deps -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements-dev.lock
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@
