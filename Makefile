# Each target sets up all it needs in .venv, from Python >= 3.11 alone.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test docs clean

demo: .venv/ready
	@sh benchmarks/demo.sh $(BIN)/seqlm

test: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest

docs: .venv/docs
	$(BIN)/mkdocs build --strict --quiet
	@echo "The site is site/index.html."

# torch first and pinned: a looser request may bring gigabytes of GPU libraries with it.
.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "seqlm needs Python >= 3.11")'
	@echo "Setting up .venv, which is done once: PyTorch (about 200 MB) ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	@echo "Setting up .venv: seqlm and the packages of its tests (about 600 MB) ..."
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	@touch $@

.venv/docs: .venv/ready
	@echo "Setting up .venv: the packages of the documentation ..."
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	@touch $@

clean:
	rm -rf .venv site checkpoints/demo
