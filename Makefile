# Two commands do everything: `make demo` runs the main job, `make test` proves the project. Both set the machine up.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PY := .venv/bin/python
TAXIWAY := $(PY) -m services.cli.main

.PHONY: help setup demo test lint types generate nightly bench up down clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | column -t -s $$'\t'

setup: ## install what the machine lacks: Python packages, Java, Maven, Kafka
	@bash infra/local/bootstrap.sh

demo: setup ## the main job, on real parts: deploy, roll out, meter, refuse, replay (JSON=1, TRACE=file)
	@$(PY) -m infra.demo $(if $(JSON),--json) $(if $(TRACE),--trace "$(TRACE)")

up: setup ## leave the platform running for a person
	@$(TAXIWAY) up

down: ## stop every process of it; the data stays in .state, and `make up` goes on with it
	@$(TAXIWAY) down

lint: setup ## format, lint, import rules, drift of generated files
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/lint-imports
	$(PY) -m schemas.generate --check

types: setup ## mypy, strict
	.venv/bin/mypy

test: lint types ## everything that must hold: lint, types, unit, contract and integration tests on real parts
	$(PY) -m pytest -m "not nightly" tests/e2e
	$(PY) -m pytest -m "not nightly" --ignore tests/e2e --numprocesses 2 --dist loadfile --cov --cov-report=term:skip-covered

nightly: setup ## heavy runs: crash storms, long outages
	$(PY) -m pytest -m nightly

bench: setup ## measure the pipeline beside its hand-written baseline
	$(PY) -m bench.pipeline --json

generate: setup ## write schemas/jsonschema from the models
	$(PY) -m schemas.generate

clean: ## stop what runs here, remove its data and what tests and tools left (not .venv and .tools)
	@if [ -x $(PY) ]; then for state in .state/demo .state; do $(TAXIWAY) --state $$state down --purge; done; fi
	rm -rf .state .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage .import_linter_cache
