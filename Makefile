# Thin: each target does its own set-up, once. `make train ARGS="model=lstm reg=none"` passes overrides.
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
ARGS ?= model=rnn reg=gain
# an independent implementation to test curvature against; pip by itself would bring torchvision (see .bench)
CURVLINOPS := curvlinops-for-pytorch einconv einops linear_operator opt_einsum

# the study's sweeps: NAME/study is experiment=NAME, about four hours on two cores in all
STUDY := a_gradients/study a_gradients/rnn b_depth/study c_isometry/study c_isometry/relu \
	d_hard/study d_hard/references d_hard/glorot d_hard/pixels e_when/study e_when/schedules e_when/none \
	hlav_seqmnist/study hlav_seqmnist/notebook hlav_seqmnist/glorot hlav_seqmnist/ours hlav_sentiment/study \
	sokol_fisher/study sokol_fisher/training sokol_manifold/study sokol_manifold/slower sokol_manifold/largest
SENTIMENT ?= data

.PHONY: train test test-slow test-all test-slurm bench lint study

train: $(READY)
	@$(VENV)/bin/python train.py $(ARGS)

PYTEST := $(VENV)/bin/python -m pytest --numprocesses auto --dist worksteal

test: $(READY)
	@$(PYTEST) -m "not slow"

# what takes longer than ten seconds a case: whole trainings, kills, every command of the pages
test-slow: $(READY)
	@$(PYTEST) -m slow

test-all: test test-slow

# needs root: starts a SLURM of its own (tests/slurm/up), and stops it
test-slurm: $(READY)
	@PYTHON=$(VENV)/bin/python tests/slurm/check

bench: $(VENV)/.bench
	@$(VENV)/bin/python benchmarks/recurrence.py
	@PYTHONPATH=$(VENV)/bench $(VENV)/bin/python benchmarks/epoch.py --torchvision
	@PYTHONPATH=$(VENV)/bench $(VENV)/bin/python benchmarks/constraints.py
	@$(VENV)/bin/python benchmarks/curvature.py
	@$(VENV)/bin/python benchmarks/diagnostics.py --slow
	@$(VENV)/bin/python benchmarks/callbacks.py
	@PYTHONPATH=$(VENV)/bench $(VENV)/bin/python benchmarks/data.py --torchvision
	@$(VENV)/bin/python benchmarks/theory.py

# `make -k study` goes on with the next experiment after a failure; called again it takes up what is not finished.
# hlav_sentiment reads SENTIMENT=FOLDER, sokol_manifold Fashion-MNIST.
study: $(STUDY:%=multirun/study/%/.done)

multirun/study/hlav_sentiment/study/.done: OPTIONS := data.root=$(SENTIMENT)

multirun/study/%/.done: | $(READY)
	$(VENV)/bin/python train.py -m experiment=$(patsubst %/study,%,$*) cluster=local resume=true out=$(@D) $(OPTIONS)
	@touch $@

lint: $(READY)
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,results,slurm,dashboard]'
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps $(CURVLINOPS)
	@touch $@

# torchvision stays out of the environment proper: where it is installed, torchmetrics imports it (1 to 2 s a start)
$(VENV)/.bench: $(READY)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --target $(VENV)/bench torchvision==0.29.1 geotorch==0.4.0
	@touch $@
