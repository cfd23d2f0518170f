# Everything sets itself up in .venv; needs python3 (3.11 or later) and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Tests of one file stay together: they share what is dear to make.
PARALLEL := -n 2 --dist loadfile
export OMP_NUM_THREADS := 1

.PHONY: run test slow lint bench faults clean

run: $(VENV)/.ready
	$(BIN)/python -m bench run --methods all

test: $(VENV)/.ready-dev
	$(BIN)/python -m pytest $(PARALLEL)

slow: $(VENV)/.ready-dev
	$(BIN)/python -m pytest -m slow $(PARALLEL)

bench: $(VENV)/.ready-dev
	$(BIN)/python -m pytest -m benchmark -s

# FAULT_KILLS kills (200), and every other fault; as much as an hour. Ends with a table of all.
faults: $(VENV)/.ready-dev
	$(BIN)/python -m pytest tests/faults -m "faults or slow or not slow" -s

lint: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) .bench runs

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("python 3.11 or later is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.ready: pyproject.toml | $(VENV)/bin/python
	@echo "installing veilbench and what it needs into $(VENV) (torch is large: a few minutes)"
	$(BIN)/python -m pip install -q --disable-pip-version-check -e .
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[dev]'
	@touch $@
