# Thin: each target does its own set-up, once. `make train ARGS="model=lstm reg=none"` passes overrides.
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
ARGS ?= model=rnn reg=gain
# an independent implementation to test curvature against; pip by itself would bring torchvision (see .bench)
CURVLINOPS := curvlinops-for-pytorch einconv einops linear_operator opt_einsum

.PHONY: train test bench lint

train: $(READY)
	@$(VENV)/bin/python train.py $(ARGS)

test: $(READY)
	@$(VENV)/bin/python -m pytest --numprocesses auto --dist loadfile

bench: $(VENV)/.bench
	@$(VENV)/bin/python benchmarks/recurrence.py
	@PYTHONPATH=$(VENV)/bench $(VENV)/bin/python benchmarks/epoch.py --torchvision
	@PYTHONPATH=$(VENV)/bench $(VENV)/bin/python benchmarks/constraints.py
	@$(VENV)/bin/python benchmarks/curvature.py
	@$(VENV)/bin/python benchmarks/diagnostics.py --slow
	@$(VENV)/bin/python benchmarks/callbacks.py

lint: $(READY)
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,results,dashboard]'
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps $(CURVLINOPS)
	@touch $@

# torchvision stays out of the environment proper: where it is installed, torchmetrics imports it (1 to 2 s a start)
$(VENV)/.bench: $(READY)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --target $(VENV)/bench torchvision==0.29.1 geotorch==0.4.0
	@touch $@
