# Thin: each target does its own set-up, once. `make train ARGS="model=lstm reg=none"` passes overrides.
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
ARGS ?= model=rnn reg=gain

.PHONY: train test bench lint

train: $(READY)
	@$(VENV)/bin/python train.py $(ARGS)

test: $(READY)
	@$(VENV)/bin/python -m pytest

bench: $(VENV)/.bench
	@$(VENV)/bin/python benchmarks/recurrence.py
	@$(VENV)/bin/python benchmarks/epoch.py

lint: $(READY)
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,plots]'
	@touch $@

$(VENV)/.bench: $(READY)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	@touch $@
