# Two commands do all the set-up: `make serve` (no torch) and `make test` (everything).
PYTHON ?= python3
PORT ?= 3000
DEV := .venv/bin
SERVE := .venv-serve/bin
# strict: the only editable mode that mypy and BentoML understand with folders mapped into one package
EDITABLE := --config-settings editable_mode=strict
SOURCES := $(shell find src models export service -name '*.py' 2>/dev/null)

.PHONY: help setup serve test test-slow check fix golden package-zoo clean

help:  ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 18

setup: .venv/.ready  ## development environment (.venv): everything, torch included

.venv/.ready: pyproject.toml requirements/dev.txt $(SOURCES)
	test -x $(DEV)/python || $(PYTHON) -m venv .venv
	$(DEV)/pip install -q -r requirements/dev.txt
	$(DEV)/pip install -q --no-deps -e . $(EDITABLE)
	@touch $@

.venv-serve/.ready: pyproject.toml requirements/serve.txt $(SOURCES)
	test -x $(SERVE)/python || $(PYTHON) -m venv .venv-serve
	$(SERVE)/pip install -q -r requirements/serve.txt
	$(SERVE)/pip install -q --no-deps -e . $(EDITABLE)
	@touch $@

serve: .venv-serve/.ready  ## serve every package in zoo/ on port 3000
	$(SERVE)/foveal serve --port $(PORT)

test: setup  ## lint, types and every test that runs in minutes
	$(DEV)/ruff format --check . && $(DEV)/ruff check . && $(DEV)/mypy
	$(DEV)/python -m pytest

check: setup  ## lint and types only
	$(DEV)/ruff format --check . && $(DEV)/ruff check . && $(DEV)/mypy

fix: setup  ## format and mend what ruff can mend
	$(DEV)/ruff format . && $(DEV)/ruff check --fix .

clean:  ## remove environments and build output
	rm -rf .venv .venv-serve build dist
