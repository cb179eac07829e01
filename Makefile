# Two commands do all the set-up on a fresh machine: `make serve` (no torch) and `make test` (everything).
PYTHON ?= python3
PORT ?= 3000
EXAMPLES ?= 100000
MINUTES ?= 10
REFERENCE ?= ../shared/reference
DEV := .venv/bin
SERVE := .venv-serve/bin
# What the strict editable install links one by one: a file added or removed here asks for another install.
MODULES := $(sort $(shell find src models export service -name '*.py') $(wildcard service/ui/* examples/*.png))

# $(1): environment. Links the sources into it, and again whenever a module was added or removed. `strict` is the only
# editable mode that mypy and BentoML understand with folders mapped into one package (DESIGN.md).
define link
@echo "$(MODULES)" | cmp -s - $(1)/.modules || { \
	$(1)/bin/pip install -q --no-deps -e . --config-settings editable_mode=strict && echo "$(MODULES)" > $(1)/.modules; }
endef

.PHONY: help setup setup-serve serve test test-slow test-peers fuzz soak audit check check-reference fix lock examples screenshots bento image image-test bento-image-test clean

help:  ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 18

setup: .venv/.deps  ## development environment (.venv): everything, torch included
	$(call link,.venv)

setup-serve: .venv-serve/.deps  ## serving environment (.venv-serve): no torch
	$(call link,.venv-serve)

.venv/.deps: requirements/dev.txt pyproject.toml
.venv-serve/.deps: requirements/serve.txt pyproject.toml
%/.deps:
	@test -x $*/bin/python || $(PYTHON) -m venv $*
	@echo "installing $< into $*" >&2
	@$*/bin/pip install -q --disable-pip-version-check -r $<
	@rm -f $*/.modules && touch $@

serve: setup-serve  ## serve every package in zoo/ on port 3000 (PORT=…)
	@$(SERVE)/foveal serve --port $(PORT)

test: check  ## lint, types and every test that CI runs
	$(DEV)/python -m pytest -m "not slow and not peers"

test-slow: setup  ## the tests that train for minutes
	$(DEV)/python -m pytest -m slow

test-peers: setup .venv-peers/.deps  ## other frameworks' real exports against their own predictors (minutes)
	$(DEV)/python -m pytest -m peers tests/peers

.venv-peers/.deps: requirements/peers.txt .venv/.deps
	@test -x .venv-peers/bin/python || $(PYTHON) -m venv .venv-peers
	@$(DEV)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
		> $$(.venv-peers/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/shared.pth
	@echo "installing $< into .venv-peers" >&2
	@.venv-peers/bin/pip install -q --disable-pip-version-check -r $<
	@touch $@

fuzz: setup  ## 100,000 damaged images through the decoder (EXAMPLES=…)
	FOVEAL_FUZZ_EXAMPLES=$(EXAMPLES) $(DEV)/python -m pytest -m slow -s --timeout=0 tests/core/test_decode_fuzz.py

soak: setup  ## hostile and good load in a memory cgroup of 1 GB (MINUTES=…)
	PYTHONPATH=. $(DEV)/python benchmarks/serving/soak.py --minutes $(MINUTES)

audit:  ## known vulnerabilities of the locked packages, by pip-audit (needs a network)
	@test -x .venv-audit/bin/pip-audit || { $(PYTHON) -m venv .venv-audit && .venv-audit/bin/pip install -q pip-audit; }
	.venv-audit/bin/pip-audit --disable-pip --require-hashes -r requirements/serve.txt
	.venv-audit/bin/pip-audit --disable-pip --require-hashes -r requirements/dev.txt

check-reference: setup  ## our AP on published detections, against the published lines (reads REFERENCE)
	$(DEV)/python benchmarks/check_reference.py $(REFERENCE)

check: setup  ## lint and types only
	$(DEV)/ruff format --check . && $(DEV)/ruff check . && $(DEV)/mypy

fix: setup  ## format, and mend what ruff can mend
	$(DEV)/ruff format . && $(DEV)/ruff check --fix .

lock:  ## resolve requirements/*.txt anew (needs uv)
	uv pip compile -q pyproject.toml --generate-hashes --extra serve --extra cpu --extra heif --python-version 3.11 \
		--no-emit-index-url --no-annotate --no-header -o requirements/serve.txt
	uv pip compile -q pyproject.toml --generate-hashes --extra serve --extra cpu --extra heif --extra otel \
		--extra train --extra parquet --extra ray --extra dev \
		--python-version 3.11 --no-emit-index-url --no-annotate --no-header -o requirements/dev.txt

examples: setup  ## draw the README's example images anew
	$(DEV)/python examples/draw.py

screenshots: setup  ## take README's images anew: the playground and an overlay for each model (needs chromium)
	$(DEV)/python -m docs.images

bento: setup-serve  ## a bento: the service and every package in zoo/ (then: bentoml serve foveal:latest, anywhere)
	$(SERVE)/pip wheel -q --no-deps -w dist . && BENTOML_DO_NOT_TRACK=True $(SERVE)/bentoml build

image:  ## the container image, with docker, podman or buildah (BASE=…, RUNTIME=gpu)
	deploy/image.sh

image-test:  ## build the image, RUN it read-only as nobody, post images, stop it (root, buildah, debootstrap)
	deploy/image-test.sh

bento-image-test:  ## the same with the image that bentoml containerize makes
	deploy/image-test.sh bento

clean:  ## remove environments and build output
	rm -rf .venv .venv-serve build dist
