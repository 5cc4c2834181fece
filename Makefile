# Everything a newcomer needs. `make run` and `make test` set up all they use.

PYTHON ?= python3
PORT ?= 8000
DATA_DIR ?= .data
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run install test test-engine test-crash check bench format clean

run: install  ## serve on http://127.0.0.1:8000 (PORT=, DATA_DIR=)
	$(BIN)/unspool serve --port $(PORT) --data-dir $(DATA_DIR)

install: $(VENV)/.installed  ## the environment alone

$(VENV)/.installed: pyproject.toml requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c requirements.txt -e .
	touch $@

$(VENV)/.test: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check -c requirements.txt -e .[test]
	touch $@

$(VENV)/.bench: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check -c requirements.txt -e .[bench]
	touch $@

test: $(VENV)/.test style  ## all tests
	PYTHONASYNCIODEBUG=1 $(BIN)/pytest -n 2 --dist loadgroup

test-engine: $(VENV)/.test  ## those over a real engine alone; `test` has them too
	PYTHONASYNCIODEBUG=1 $(BIN)/pytest -n 2 --dist loadgroup -m engine

test-crash: $(VENV)/.test  ## kills, faults and crowds in their long form (`test` has a short one), and figures
	rm -f $(VENV)/crash-figures
	CRASHES=long CRASH_FIGURES=$(VENV)/crash-figures PYTHONASYNCIODEBUG=1 $(BIN)/pytest -n 2 --dist loadgroup \
		tests/test_crash*.py tests/test_resume_cases.py tests/test_simulation.py
	$(BIN)/python tests/harness/figures.py $(VENV)/crash-figures

check: $(VENV)/.test style  ## format, lint, types, floors and the fast tests
	PYTHONASYNCIODEBUG=1 $(BIN)/pytest -n 2 --dist loadgroup -m "not slow and not engine"

.PHONY: style
style: $(VENV)/.test
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.test  ## put the code into our format
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench: $(VENV)/.bench  ## the benchmark: a table and a plot in bench/results
	$(BIN)/python -m bench all

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build
