# Two commands do everything on a fresh machine: `make demo` and `make test`.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

# The tests that take longest go first, so that no process is left alone with them at the end. The
# folders are named one by one: of a folder and one below it, pytest takes the upper alone.
LONG := tests/training tests/cluster tests/serving tests/commands
SHORT := $(filter-out $(LONG),$(patsubst %/,%,$(wildcard tests/[a-z]*/)) $(wildcard tests/test_*.py))

# What a command that failed has made is not taken for whole the next time.
.DELETE_ON_ERROR:

.PHONY: help demo test lint format pictures benchmark fuzz clean

help:
	@echo "make demo       set up, deblur the example photograph, say where the result is"
	@echo "make test       set up for development, run all tests"
	@echo "make lint       format, lint, types and layers, as CI checks them"
	@echo "make format     let ruff format and mend what it can"
	@echo "make pictures   make the pictures of the README and the docs anew"
	@echo "make benchmark  measure memory and speed on this machine"
	@echo "make fuzz       give 10,000 damaged files to the readers"
	@echo "make clean      remove the environment and all that was made"

demo: $(VENV)/base
	@mkdir -p demo
	$(BIN)/ifan deblur examples/out-of-focus.jpg -o demo/sharp.jpg --compare --overwrite --verbose
	@echo "Look at demo/sharp.jpg, or at before and after side by side: demo/sharp.compare.jpg"

test: $(VENV)/dev
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(LONG) $(SHORT)

lint: $(VENV)/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

pictures: $(VENV)/dev
	$(BIN)/python docs/make_pictures.py
	$(BIN)/python docs/make_optics_pictures.py
	$(BIN)/python docs/make_page_picture.py

benchmark: $(VENV)/dev
	$(BIN)/python benchmarks/network.py
	$(BIN)/python benchmarks/optics.py
	$(BIN)/python benchmarks/folder.py
	$(BIN)/python benchmarks/evaluation.py
	$(BIN)/python benchmarks/serving.py

fuzz: $(VENV)/dev
	$(BIN)/python tests/fuzz.py --count 10000 --seed 1

clean:
	rm -rf $(VENV) demo build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "ifan needs Python 3.11 or newer: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

# What the demo needs: the base installation, without PyTorch.
$(VENV)/base: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	@touch $@

$(VENV)/dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/base
