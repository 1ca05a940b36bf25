# Everything a fresh machine needs: `make demo` shows the main job, `make test` passes the tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: install demo test lint check nightly bench clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(STAMP)

demo: install
	$(BIN)/arch validate vit5_hybrid
	$(BIN)/arch flops vit5_hybrid --depth 2
	$(BIN)/arch instantiate vit5_hybrid --forward

test: install
	$(BIN)/python -m pytest -n 2

nightly: install
	$(BIN)/python -m pytest -n 2 -m nightly
	$(BIN)/python -m tests.mutation

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint test

bench: install
	for script in benchmarks/bench_*.py; do $(BIN)/python $$script || exit 1; done

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
