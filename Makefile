# Thin: each target does its own set-up, once. `make help` lists them.
PYTHON ?= python3
CONSTRAINTS ?= constraints.txt
VENV := .venv
READY := $(VENV)/.ready
ARGS ?= model=rnn reg=gain
# an independent implementation to test curvature against; without what pip would bring along
CURVLINOPS := curvlinops-for-pytorch einconv einops linear_operator opt_einsum

# the study's sweeps: NAME/study is experiment=NAME, about four hours on two cores in all
STUDY := a_gradients/study a_gradients/rnn b_depth/study c_isometry/study c_isometry/relu \
	d_hard/study d_hard/references d_hard/glorot d_hard/pixels e_when/study e_when/schedules e_when/none \
	hlav_seqmnist/study hlav_seqmnist/notebook hlav_seqmnist/glorot hlav_seqmnist/ours hlav_sentiment/study \
	sokol_fisher/study sokol_fisher/training sokol_manifold/study sokol_manifold/slower sokol_manifold/largest
SENTIMENT ?= data

.PHONY: train help test test-slow test-all test-slurm bench docs lint types study

train: $(READY) ## train one network: make train ARGS="model=lstm reg=none"
	@$(VENV)/bin/python train.py $(ARGS)

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# a thread a worker: two cores with two workers of two threads each take half as long again
PYTEST := OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest --numprocesses auto --dist worksteal

test: $(READY) ## the quick suite, five to six minutes on two cores
	@$(PYTEST) -m "not slow"

test-slow: $(READY) ## the other cases: whole trainings, kills, every command of the pages
	@$(PYTEST) -m slow

test-all: test test-slow ## both

test-slurm: $(READY) ## sweeps on a real SLURM, which it starts and stops; needs root
	@PYTHON=$(VENV)/bin/python tests/slurm/check

bench: $(VENV)/.bench ## every table of benchmarks/, beside the alternatives it names
	@$(VENV)/bin/python benchmarks/recurrence.py
	@PYTHONPATH=$(VENV)/bench $(VENV)/bin/python benchmarks/epoch.py --torchvision
	@PYTHONPATH=$(VENV)/bench $(VENV)/bin/python benchmarks/constraints.py
	@PYTHONPATH=$(VENV)/bench $(VENV)/bin/python benchmarks/regularize.py
	@$(VENV)/bin/python benchmarks/along.py
	@$(VENV)/bin/python benchmarks/curvature.py
	@$(VENV)/bin/python benchmarks/diagnostics.py --slow
	@$(VENV)/bin/python benchmarks/callbacks.py
	@PYTHONPATH=$(VENV)/bench $(VENV)/bin/python benchmarks/data.py --torchvision
	@$(VENV)/bin/python benchmarks/theory.py

# `make -k study` goes on with the next experiment after a failure; called again it takes up what is not finished.
# hlav_sentiment reads SENTIMENT=FOLDER, sokol_manifold Fashion-MNIST.
study: ## the sweeps of results/, about four hours on two cores
study: $(STUDY:%=multirun/study/%/.done)

multirun/study/hlav_sentiment/study/.done: OPTIONS := data.root=$(SENTIMENT)

multirun/study/%/.done: | $(READY)
	$(VENV)/bin/python train.py -m experiment=$(patsubst %/study,%,$*) cluster=local resume=true out=$(@D) $(OPTIONS)
	@touch $@

docs: $(READY) ## docs/groups.md, from the YAMLs of conf/
	@$(VENV)/bin/python -m isogain.launch.groups_page conf docs/groups.md

lint: types ## the linter, the formatter and the types
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .

types: $(READY) ## mypy over the science floor
	@$(VENV)/bin/mypy

$(READY): pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) -e '.[dev,results,slurm,dashboard]'
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) --no-deps $(CURVLINOPS)
	@touch $@

# the alternatives that benchmarks time against and no test needs
$(VENV)/.bench: $(READY)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --target $(VENV)/bench geotorch==0.4.0 pogo-torch==1.0.2
	@touch $@
