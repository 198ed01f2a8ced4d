# Chorus: `make help` lists what there is. Every target prepares what it needs.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# More arguments for the command line, e.g. make demo ARGS="--replay data/*.parquet"
ARGS ?=
# Processes for the tests that start no actors.
JOBS ?= 2

# The first Python from 3.11 to 3.13 that works; override with make PYTHON=/path/to/python3.
IN_RANGE := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c '$(IN_RANGE)' 2>/dev/null && { echo $$p; break; }; done)

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | \
		awk -F ':.*## ' '{ printf "  make %-10s %s\n", $$1, $$2 }'

.PHONY: setup
setup: $(STAMP) ## Create .venv and install the pinned dependencies

$(STAMP): requirements.lock pyproject.toml
	@if [ -z "$(PYTHON)" ]; then \
		echo "make: needs Python 3.11, 3.12 or 3.13 on the PATH; install one," \
			"or name it with make PYTHON=/path/to/python3" >&2; exit 2; fi
	@if ! $(BIN)/python -c '$(IN_RANGE)' 2>/dev/null; then \
		echo "creating $(VENV) with $$($(PYTHON) --version)"; \
		$(PYTHON) -m venv --clear $(VENV) || { \
			echo "make: $(PYTHON) cannot create virtual environments;" \
				"on Debian and Ubuntu install python3-venv" >&2; exit 2; }; fi
	@echo "installing the pinned dependencies (a minute or two)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		-r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--no-build-isolation -e .
	@touch $@

.PHONY: run
run: setup ## Run the service: engine, the demo's strategies, API (more with ARGS="...")
	@$(BIN)/chorus up configs/demo.yaml $(ARGS)

.PHONY: demo
demo: setup ## Play the demo's strategies once, in half a minute (more with ARGS="...")
	@$(BIN)/chorus run configs/demo.yaml $(ARGS)

.PHONY: test
test: setup ## Run the whole test suite
	$(BIN)/pytest -q -n $(JOBS) -m "not actors"
	$(BIN)/pytest -q -m actors

.PHONY: chaos
chaos: setup ## Kill processes of a running engine for a long time (KILLS=200 SEED=1)
	CHORUS_CHAOS_KILLS=$(or $(KILLS),200) CHORUS_CHAOS_SEED=$(or $(SEED),1) \
		$(BIN)/pytest -q -m actors tests/chaos

.PHONY: quick
quick: setup ## Run what takes a minute: the core without its database, with few examples
	$(BIN)/pytest -q -n $(JOBS) -m "not actors and not slow" --hypothesis-profile quick \
		-p no:schemathesis \
		tests/indicators tests/engine tests/strategies $(addprefix --ignore=tests/engine/, \
		deployments history jobs recording store users)

.PHONY: thorough
thorough: setup ## Run the tests without actors with ten times as many examples: hours
	$(BIN)/pytest -q -n $(JOBS) -m "not actors" --hypothesis-profile thorough

.PHONY: coverage
coverage: setup ## Run the tests without actors under coverage; engine and indicators >= 95 %
	$(BIN)/pytest -q -n $(JOBS) -m "not actors" --cov --cov-report=
	$(BIN)/coverage report --include="engine/*,indicators/*" --fail-under=95

.PHONY: check
check: setup ## Lint, format, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: bench
bench: setup ## Run the benchmarks on an idle machine: three hours; ARGS=--short some minutes
	$(BIN)/chorus bench --out benchmarks/results/local $(ARGS)

.PHONY: golden
golden: setup ## Rewrite the golden files; say why in the commit
	CHORUS_WRITE_GOLDEN=1 $(BIN)/pytest -q -k golden tests/api
	git status --short tests

.PHONY: lock
lock: ## Resolve the dependencies anew (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-annotate --no-header --extra dev --extra bench pyproject.toml -o requirements.lock

.PHONY: clean
clean: ## Remove what the targets have made
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		.import_linter_cache .coverage .coverage.* htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
