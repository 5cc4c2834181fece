# Everything a newcomer needs. `make run` and `make test` set up all they use.

PYTHON ?= python3
PORT ?= 8000
DATA_DIR ?= .data
# Tests side by side. On two cores three take less time than two: many of them wait.
WORKERS ?= 3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run install console test test-engine test-model test-crash test-browser test-clients test-console test-documents check bench bench-browser bench-search torture \
	screenshots every-page wheel format clean

run: install console  ## serve on http://127.0.0.1:8000 (PORT=, DATA_DIR=)
	$(BIN)/unspool serve --port $(PORT) --data-dir $(DATA_DIR)

install: $(VENV)/.installed  ## the environment alone

$(VENV)/.installed: pyproject.toml requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c requirements.txt -e .
	touch $@

$(VENV)/.test: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check -c requirements.txt -e .[test]
	touch $@

$(VENV)/.browser: $(VENV)/.test
	$(BIN)/pip install --quiet --disable-pip-version-check -c requirements.txt -e .[browser]
	touch $@

$(VENV)/.bench: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check -c requirements.txt -e .[bench]
	touch $@

console: install  ## the pages, into src/unspool/server/_console; only where their sources have changed
	$(BIN)/python console/build.py --node

wheel: install console  ## dist/*.whl, with the console in it
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .

test: $(VENV)/.browser console style test-console  ## all tests
	PYTHONASYNCIODEBUG=1 $(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not browser"
	$(MAKE) test-browser

$(VENV)/.clients: tests/clients/requirements.txt tests/clients/requirements-frameworks.txt $(VENV)/.installed
	$(PYTHON) -m venv $(VENV)/clients
	$(VENV)/clients/bin/pip install --quiet --disable-pip-version-check -r tests/clients/requirements.txt
	$(PYTHON) -m venv $(VENV)/frameworks
	$(VENV)/frameworks/bin/pip install --quiet --disable-pip-version-check -r tests/clients/requirements-frameworks.txt
	touch $@

test-clients: $(VENV)/.clients  ## other people's clients, in Python and JavaScript, against a server; an environment of their own
	UNSPOOL=$(BIN)/unspool $(VENV)/clients/bin/python -m pytest -c tests/clients/python/pytest.ini \
		--rootdir tests/clients/python --confcutdir tests/clients/python tests/clients/python
	UNSPOOL=$(BIN)/unspool $(VENV)/frameworks/bin/python -m pytest -c tests/clients/python/pytest.ini \
		--rootdir tests/clients/python --confcutdir tests/clients/python \
		$(addprefix tests/clients/python/,test_openai_agents.py test_pydantic_ai.py test_document.py)
	UNSPOOL=$(abspath $(BIN)/unspool) $(VENV)/clients/bin/python tests/clients/js/run.py

test-browser: $(VENV)/.browser console  ## those in a browser alone; `test` has them too
	$(BIN)/pytest -n $(WORKERS) --dist loadfile -m browser -rs tests/browser

test-console: console  ## format, lint, types, dead exports and tests of the pages and the client
	$(BIN)/python console/check.py

bench-search: $(VENV)/.bench  ## search, filters and sorting over 100,000 runs
	$(BIN)/python -m bench search

bench-browser: $(VENV)/.browser console  ## how quick the pages are, in figures
	cd tests && ../$(BIN)/python -m browser.figures

screenshots: $(VENV)/.browser console  ## every page, both languages, into docs/screenshots
	cd tests && ../$(BIN)/python -m browser.screens

every-page: $(VENV)/.browser console  ## every page, languages, themes and widths, into build/pages, to look at
	cd tests && ../$(BIN)/python -m browser.every_page $(ONLY)

test-engine: $(VENV)/.test  ## those over a real engine alone; `test` has them too
	PYTHONASYNCIODEBUG=1 $(BIN)/pytest -n 2 --dist loadfile -m engine

test-crash: $(VENV)/.test  ## kills, faults and crowds in their long form (`test` has a short one), and figures
	rm -f $(VENV)/crash-figures
	CRASHES=long CRASH_FIGURES=$(VENV)/crash-figures PYTHONASYNCIODEBUG=1 $(BIN)/pytest -n 2 --dist load \
		tests/crash
	$(BIN)/python tests/support/harness/figures.py $(VENV)/crash-figures

test-model: $(VENV)/.test  ## over a real small model (470 MB, fetched once): broken answers, the five systems; docs/real-model.md
	cd tests && ../$(BIN)/python -m real_model

check: $(VENV)/.test style  ## format, lint, types, floors and the fast tests
	PYTHONASYNCIODEBUG=1 $(BIN)/pytest -n $(WORKERS) --dist loadfile -m "not slow and not engine and not browser"

.PHONY: style
style: $(VENV)/.test
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.test  ## put the code into our format
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

test-documents: $(VENV)/.test  ## what the documents say, without their longer examples
	$(BIN)/pytest -n 2 -m "not slow" tests/test_documents.py tests/test_protocol.py tests/test_glossary.py \
		tests/test_walkthroughs.py

bench: $(VENV)/.bench  ## the benchmark: a table and a plot in bench/results
	$(BIN)/python -m bench all

$(VENV)/.torture: tests/torture/requirements.txt $(VENV)/.test
	$(PYTHON) -m venv $(VENV)/torture
	$(VENV)/torture/bin/pip install --quiet --disable-pip-version-check -r tests/torture/requirements.txt
	touch $@

torture: $(VENV)/.torture  ## faults, kills and returns against other ways to stream, about 7 minutes; the tables of the READMEs
	cd tests && PYTHONPATH=.. ../$(BIN)/python -m torture

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build src/unspool/server/_console \
		console/node_modules clients/typescript/node_modules clients/typescript/dist \
		examples/nextjs/node_modules examples/nextjs/.next tests/torture/node/node_modules
