# make demo, make test: create .venv, install, build the op library, run.
# A second run reuses .venv; it is installed anew when pyproject.toml or custom_ops change.

PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.14; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
# make believes in g++; any compiler that CMake finds will do.
ifeq ($(origin CXX),default)
CXX := c++
endif
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
OP_SOURCES := $(shell find custom_ops -type f)
CXX_SOURCES := $(shell find custom_ops tests benchmarks -name '*.cc' -o -name '*.h')
PYTEST_ARGS ?= --numprocesses auto --dist loadscope

.DEFAULT_GOAL := help
.PHONY: help install demo test lint format wheel maven docs clean

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST)

install: $(STAMP) ## Create .venv and install the package for development

demo: $(STAMP) ## Train, quantize, export, verify and evaluate a small model (12 minutes)
	$(BIN)/python -m pqv_onnx.demo --output build/demo

test: $(STAMP) ## Run the tests
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(STAMP) ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@echo clang-format --dry-run --Werror ...
	@$(BIN)/clang-format --dry-run --Werror $(CXX_SOURCES)
	$(BIN)/mypy

format: $(STAMP) ## Rewrite the sources in the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	@echo clang-format -i ...
	@$(BIN)/clang-format -i $(CXX_SOURCES)

wheel: $(STAMP) ## Build an sdist and manylinux wheels, x86-64 and arm64, in dist/
	rm -rf dist
	PYTHON=$(abspath $(BIN))/python .ci/build-wheels dist

maven: $(STAMP) ## Build a Maven repository with the Android package in build/maven
	$(BIN)/pqv android build -o build/arm64-v8a
	$(BIN)/pqv android maven --binaries build/arm64-v8a -o build/maven

docs: $(STAMP) ## Build the documentation's site in build/site; a warning is an error
	PYTHON=$(abspath $(BIN))/python .ci/build-docs

clean: ## Remove what the build made, .venv included
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or newer found; install one or set PYTHON=" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
		{ echo "error: $(PYTHON) has no venv module (Debian, Ubuntu: apt install python3-venv)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(STAMP): pyproject.toml pqv_onnx/version.py $(OP_SOURCES) | $(BIN)/python
	@command -v $(CXX) >/dev/null || \
		{ echo "error: no C++ compiler '$(CXX)' found (Debian, Ubuntu: apt install g++)" >&2; exit 1; }
	@echo "Installing into $(VENV) and building the op library (some minutes the first time) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]' || \
		{ echo "error: installing failed, the reason is above; it takes some 10 GB of disk," \
			"$$(df -Ph . | awk 'NR == 2 { print $$4 }') are free here" >&2; exit 1; }
	@touch $@
