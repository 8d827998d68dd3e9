# Two commands do all the set-up on a fresh machine: `make demo` runs the main job, `make test` the tests.
PYTHON ?= python3
BIN = .venv/bin
# torch's CPU build is enough here; elsewhere install the one for your accelerator first.

.PHONY: demo test check docs clean

demo: .venv/demo
	$(BIN)/python -m pipeline crawl runs/demo.warc.gz
	$(BIN)/python -m pipeline run configs/quickstart.toml
	$(BIN)/python -m pipeline generate runs/quickstart --prompt "The module" --tokens 60

test: .venv/test
	$(BIN)/python -m pytest -q -n auto

check: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: .venv/test
	$(BIN)/python -m pipeline.tools.reference docs/reference

.venv/demo: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[train]'
	touch $@

.venv/test: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[train,dev]'
	touch $@

clean:
	rm -rf .venv build dist *.egg-info
