# Firstlight. `make` alone says what there is.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
INSTALL = UV_NATIVE_TLS=1 $(BIN)/uv pip install -q --compile-bytecode --python $(BIN)/python --require-hashes -r
BUILDKIT := $(BIN)/python buildkit.py

# In CI they come from a form: taken as written, never expanded, they reach the shell in its environment alone.
override IMAGE := $(value IMAGE)
override REGISTRY := $(value REGISTRY)
override BASE := $(value BASE)
export IMAGE REGISTRY BASE
$(foreach name,IMAGE REGISTRY BASE,$(if $(filter -%,$($(name))),$(error $(name) must not begin with `-`)))

.PHONY: help setup demo check lock render build test push build-and-push run doctor prove bench lint format requirements docs clean
.PHONY: needs-IMAGE needs-REGISTRY

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  IMAGE is a manifest's name; REGISTRY is HOST or HOST/PATH; BASE another base image than the manifest's."

setup: .venv/ready ## a virtual environment for everything but tests, from hashed requirements

.venv/ready: requirements.txt
	@tests/machine.sh setup
	@$(PYTHON) -m venv --clear .venv
	@awk '/^[a-z]/ {on = /^uv==/} on' requirements.txt >.venv/uv.txt
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r .venv/uv.txt
	@$(INSTALL) requirements.txt
	@touch $@

.venv/tests: .venv/ready requirements-dev.txt
	@$(INSTALL) requirements-dev.txt
	@touch $@

.venv/image-tests: .venv/ready requirements-image-tests.txt
	@$(INSTALL) requirements-image-tests.txt
	@touch $@

demo: setup ## the whole way on this machine, without Docker: stages, models from an own hub, an app
	@tests/machine.sh demo
	@exec $(BIN)/python -m tests.origin.demo

check: setup ## say what is wrong with manifests (of IMAGE, or all)
	@$(BUILDKIT) check $(if $(IMAGE),"$$IMAGE")

lock: setup needs-IMAGE ## write down what IMAGE's manifest means today
	@$(BUILDKIT) lock "$$IMAGE"

render: setup needs-IMAGE ## write IMAGE's Dockerfile and all that goes with it below build/
	@$(BUILDKIT) render "$$IMAGE" $(if $(BASE),--base "$$BASE")

build: setup needs-IMAGE ## build IMAGE
	@$(BUILDKIT) build "$$IMAGE" $(if $(BASE),--base "$$BASE") $(if $(REGISTRY),--registry "$$REGISTRY")

ifdef IMAGE
test: .venv/image-tests ## run the whole test suite, with Docker; with IMAGE, that image's tests
	@$(BUILDKIT) test "$$IMAGE"
else
test: .venv/tests
	@tests/machine.sh
	@$(BIN)/python -u -m pytest -n 2 $(TESTS)
endif

push: setup needs-IMAGE needs-REGISTRY ## push IMAGE to REGISTRY; it must have passed its tests
	@$(BUILDKIT) push "$$IMAGE" --registry "$$REGISTRY"

build-and-push: .venv/image-tests needs-IMAGE needs-REGISTRY ## check, lock --check, build, test and push IMAGE
	@$(BUILDKIT) check "$$IMAGE"
	@$(BUILDKIT) lock "$$IMAGE" --check
	@$(BUILDKIT) build "$$IMAGE" --registry "$$REGISTRY" $(if $(BASE),--base "$$BASE")
	@$(BUILDKIT) test "$$IMAGE"
	@$(BUILDKIT) push "$$IMAGE" --registry "$$REGISTRY"

run: setup needs-IMAGE ## start IMAGE and print its address
	@exec $(BUILDKIT) run "$$IMAGE"

doctor: setup ## say what this machine lacks
	@$(BUILDKIT) doctor

prove: .venv/tests ## the apps themselves, where their sources can be fetched: gigabytes, and a while
	@tests/machine.sh
	@$(BIN)/python -u -m pytest -s tests/apps/prove_*.py

bench: .venv/tests ## measure, and write docs/benchmarks.md
	@tests/machine.sh
	@$(BIN)/python -m tests.bench

lint: .venv/tests ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: .venv/tests ## bring the code into its form
	@$(BIN)/ruff check -q --fix-only .
	@$(BIN)/ruff format .

requirements: setup ## pin what pyproject.toml asks for, with hashes
	@set -- --generate-hashes --universal --python-version 3.11 --no-annotate --no-header --quiet; \
	UV_NATIVE_TLS=1 $(BIN)/uv pip compile "$$@" pyproject.toml -o requirements.txt; \
	UV_NATIVE_TLS=1 $(BIN)/uv pip compile "$$@" pyproject.toml --group test -o requirements-dev.txt; \
	UV_NATIVE_TLS=1 $(BIN)/uv pip compile "$$@" pyproject.toml --group image-test -c requirements-dev.txt \
		-o requirements-image-tests.txt

docs: setup ## write manifests/schema.json, docs/manifest.md and the tables of model sets
	@$(BIN)/python -m manifests.reference
	@$(BIN)/python -m manifests.catalog

clean: ## remove what was made here: .venv, build, .demo, .cache
	@rm -rf .venv build .demo .cache .mypy_cache .ruff_cache
	@find . -name __pycache__ -prune -exec rm -rf {} +

needs-IMAGE needs-REGISTRY: needs-%:
	@[[ -n "$$$*" ]] || { echo "make: $* is missing; hint: make $(firstword $(MAKECMDGOALS)) $*=…" >&2; exit 2; }
