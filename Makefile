# Each target installs what it needs into .venv on its first call; later calls do not.

# PYTHON picks the stack: 3.11 is TFX 1.16, 3.12 and 3.13 are TFX 1.21. A name on PATH is
# not enough for the default: version managers leave shims there that cannot run.
ifeq ($(origin PYTHON),undefined)
PYTHON := $(shell python3.11 -c '' >/dev/null 2>&1 && echo python3.11 || echo python3)
endif
VENV ?= .venv
ARGS ?=

bin := $(VENV)/bin
export PYTHON VENV

.DEFAULT_GOAL := help
.PHONY: help setup serve-env demo test test-full test-other test-all test-flink test-containers check format fuzz bench lock clean

help: ## this text
	@echo 'make TARGET [PYTHON=python3.13] [ARGS="more arguments for the tool"]'
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-15s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo 'Now: PYTHON=$(PYTHON), environment $(VENV). The first call of a target installs about'
	@echo '4 GB in a few minutes; another PYTHON rebuilds the environment.'

setup: ## make the environment only (every other target does it by itself)
	@scripts/setup

serve-env: ## make the environment of `babelrank serve`, .venv-serve
	@scripts/serve-env

demo: setup ## run the pipelines on sample data; prints the verdicts and where the reports lie
	$(bin)/python -m babelrank.pipelines.demo $(ARGS)

test: setup ## the tests without the slow ones and the benchmarks
	$(bin)/python -m pytest -m "not slow and not bench" $(ARGS)

test-full: setup ## all tests, on this stack only
	$(bin)/python -m pytest -m "not bench" $(ARGS)

test-other: ## what "make test" runs, on the other stack (Debian 13 in a folder, where need be)
	scripts/other-stack test

test-all: test-full ## all tests, on this stack and then on the other one
	scripts/other-stack test-full

test-flink: setup ## Beam on a real Flink; takes Java, and Maven or BABELRANK_FLINK_JOB_SERVER=JAR
	$(bin)/python -m pytest tests/beam/test_flink.py -rs $(ARGS)

test-containers: ## build the image with podman and run a compiled pipeline in it (root, 20 minutes)
	scripts/test-containers

check: setup ## ruff, mypy and the import contracts
	$(bin)/ruff check .
	$(bin)/ruff format --check .
	$(bin)/mypy
	$(bin)/lint-imports

format: setup ## let ruff format and repair the sources
	$(bin)/ruff format .
	$(bin)/ruff check --fix .

fuzz: setup ## hostile input for an hour, Python 3.11 (ARGS="SECONDS [TARGET...]": only these)
	scripts/fuzz $(or $(ARGS),200)
	$(if $(word 2,$(ARGS)),,BABELRANK_FUZZ_RANDOM=1 BABELRANK_FUZZ_EXAMPLES=1000 $(bin)/python -m pytest tests/fuzz)

bench: setup ## measure ourselves against the peers; writes benchmarks.json
	$(bin)/python -m tests.benchmarks $(ARGS)

lock: ## resolve pyproject.toml into requirements.lock (ARGS=--upgrade for newer versions)
	scripts/lock $(ARGS)

clean: ## remove the environments, caches and build outputs of this folder
	rm -rf --one-file-system .venv* build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
