# `make demo` and `make test` are all a newcomer needs: each makes its own environment first.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO_STAMP := $(VENV)/.installed-demo
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
TYPES := build/typing

.PHONY: demo suite test slow lint types check install clean

install: $(STAMP)

$(BIN)/python:
	$(PYTHON) -c "import sys; assert (3, 11) <= sys.version_info < (3, 14), 'Python 3.11 to 3.13 is needed'"
	$(PYTHON) -m venv $(VENV)

$(STAMP): pyproject.toml setup.py constraints.txt | $(BIN)/python
	$(PIP) -e ".[dev]"
# Without what it asks for: torchvision does not import beside a CPU torch, and is not needed here.
	$(PIP) --no-deps torch-fidelity
	touch $(STAMP) $(DEMO_STAMP)

# What the demo needs and no more: the library, and the features by which photos are compared.
$(DEMO_STAMP): pyproject.toml setup.py constraints.txt | $(BIN)/python
	$(PIP) -e ".[perceptual]"
	touch $(DEMO_STAMP)

# Few images and few photos, for a first look within two minutes; without them all is as usual.
DEMO := -n 300 --cut default --per-class 2 --own 2 --patched 0

demo: $(DEMO_STAMP)
	$(BIN)/seeingkit analyze --gan progan --data minichurches --out runs/demo $(DEMO)

# A process a core, each with one thread: several teams of threads would wait for each other. Tests of
# a file stay together, so that what they share is made once; and the many processes that tests
# start find compiled code, even where the environment keeps Python from writing it.
TESTS := OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n auto --dist worksteal

suite: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/seeingkit suite benchmarks/suites/minichurches.toml --processes 2

test: $(STAMP)
	$(TESTS)

slow: $(STAMP)
	$(TESTS) -m "slow or not slow"

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# The type checker follows no import hooks, so it gets the two mapped folders under their real names.
types: $(STAMP)
	mkdir -p $(TYPES)
	ln -sfn ../../adapters $(TYPES)/seeingkit_adapters
	ln -sfn ../../plugins $(TYPES)/seeingkit_plugins
	MYPYPATH=$(TYPES) $(BIN)/mypy -p seeingkit -p seeingkit_adapters -p seeingkit_plugins

check: lint types test

clean:
	rm -rf $(VENV) build runs .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
