# Everything runs in a virtual environment of its own: see tools/make_venv.
PYTHON ?= python3
VENV ?= .venv
TORCH ?= torch==2.13.0
ARGS ?=

READY := $(VENV)/.ready
RUN := $(VENV)/bin/python -m
CODE := . tools/ablations tools/lock
PARTS := tools/make_venv setup.py setup.cfg config/fastdds_profile.xml \
         $(wildcard requirements/*.txt) $(shell find ros_wheels -type f -not -name '*.md')

.PHONY: help venv demo real test style format benchmark gpu gpu-pack clean

help:
	@echo 'make demo       the embedded drive: map, bag, live node, figures and pictures'
	@echo 'make real       the same with the real drive in ../shared'
	@echo 'make test       all tests (ARGS="-k tracker" for some)'
	@echo 'make style      formatter, linter and type checker, a part of make test; make format fixes'
	@echo 'make benchmark  the figures of the README'
	@echo 'make gpu-pack   what make gpu needs, to be carried to a GPU machine (docs/gpu.md)'
	@echo 'make gpu        tests, speed and training there, with its own PYTHON, not .venv'
	@echo 'make venv       only the virtual environment (PYTHON=, VENV=, TORCH=)'
	@echo 'make clean      removes what was built and made here, not the environment'

venv: $(READY)

$(READY): $(PARTS)
	@tools/make_venv '$(PYTHON)' '$(VENV)' '$(TORCH)'
	@touch $@

demo: $(READY)
	@$(RUN) pixloc_ros.cli.demo $(ARGS)

real: $(READY)
	@$(RUN) pixloc_ros.cli.demo --drive kitti00 $(ARGS)

test: style
	@$(RUN) pytest $(ARGS)

style: $(READY)
	@$(RUN) ruff format --check --quiet $(CODE)
	@$(RUN) ruff check --quiet $(CODE)
	@$(RUN) mypy

format: $(READY)
	@$(RUN) ruff check --fix $(CODE)
	@$(RUN) ruff format $(CODE)

benchmark: $(READY)
	@$(RUN) pixloc_ros.cli.benchmark $(ARGS)

gpu-pack: $(READY)
	@$(RUN) pixloc_ros.cli.gpu_pack $(ARGS)

gpu:
	@$(PYTHON) -m pixloc_ros.cli.gpu $(ARGS)

clean:
	rm -rf build install log demo_output real_output gpu_pack gpu_pack.partial gpu_output runs .pytest_cache .hypothesis *.egg-info
