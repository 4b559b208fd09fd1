# Everything on a fresh machine with Python 3.11 (3.11.5 or later), pip and make:
#   make study [STUDY=name|file.yaml] [PRESET=name]   set up, run a study, say where its report is
#   make study COHORTS=folder                         all arms on your own cohorts: ct/ is the target, every other folder a source
#   make study PRESET=full                            all 10 splits and the controls; resumes what is there
#   make study STUDY=guidance SPLITS=4                fewer splits, or more: what is finished stays
#   make study-real                                   the same on a few real scans, fetched first
#   make test                                         set up, run every notebook as a test and the repository checks
#   make reference [STUDY=name]                       copy a phantom study's tables and a few pictures to reports/reference
#   make notebooks [NB=nbs/...]                       execute all notebooks, or some, and save what they show
#   make docs [SERVE=1] [REPORTS="mine"]              the site from the notebooks, into _docs/; your studies in reports/ may join it
#   make lab                                          JupyterLab on the first notebook
#   make style                                        format the code, and say in numbers how it reads
#   make bench                                        ratios of speed from interleaved runs, to reports/reference/bench.csv
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
COHORTS ?=
# the name goes through the environment, as it was written: a shell, YAML or make itself would read some names as something else
override STUDY := $(or $(value STUDY),$(if $(value COHORTS),$(value COHORTS)/),phantom)
override PRESET := $(value PRESET)
override SPLITS := $(value SPLITS)
export DUIIT_STUDY := $(value STUDY)
export DUIIT_PRESET := $(value PRESET)
export DUIIT_SPLITS := $(value SPLITS)
CORES ?= 2
# runs at a time: as many as cores, or PER_GPU on each GPU where there are any
PER_GPU ?= 1
GPUS := $(words $(wildcard /dev/nvidia[0-9]*))
JOBS := $(if $(filter 0,$(GPUS)),$(CORES),$(shell expr $(GPUS) '*' $(PER_GPU)))
export PATH := $(CURDIR)/$(BIN):$(PATH)
# two runs of one thread are faster than one run of two
export OMP_NUM_THREADS := 1
unexport PYTHONPATH

.PHONY: help study study-real reference test notebooks docs lab style bench
.DEFAULT_GOAL := help
help: ; @sed -n 's/^#  //p' Makefile

.venv/ready: requirements.lock settings.ini setup.py
	@$(PYTHON) -c 'import sys; v = sys.version_info[:3]; sys.exit(0 if (3,11,5)<=v<(3,12) else "Python 3.11.5 or a later 3.11 is needed, found %d.%d.%d: install it, or name it: make PYTHON=/path/to/python3.11 ..." % v)'
	@echo "Setting up .venv (about two minutes, 2.3 GB)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# what is there goes on where it stopped; one study at a time
study: .venv/ready
	@duiit study $(if $(PRESET),--preset "$$DUIIT_PRESET") $(if $(SPLITS),--splits "$$DUIIT_SPLITS") --jobs $(JOBS) --per_gpu $(PER_GPU) -- "$$DUIIT_STUDY"

study-real: .venv/ready
	@python data/fetch_real.py data/raw/real
	@$(MAKE) --no-print-directory study STUDY=real

# the tables of a phantom study, and a few of its pictures; without a judge there is no drift
reference:
	@duiit keep -- "$$DUIIT_STUDY"
	@to="$(CURDIR)/reports/reference/$$DUIIT_STUDY"; cd "reports/$$DUIIT_STUDY/tables" && cp $(foreach t,arms runs metrics summary contrasts fidelity probes,$(t).csv) $$(ls drift.csv 2>/dev/null) "$$to/" && du -sh "$$to"

test: .venv/ready
	@python -m pytest -n 2 --dist load --maxschedchunk 1 -q tests

notebooks: .venv/ready
	@python tests/notebooks.py $(NB)

docs: .venv/ready
	@python docs/build.py $(if $(REPORTS),--reports $(REPORTS))
ifdef SERVE
	@echo "http://localhost:8000, until Ctrl-C"
	@cd _docs && python -m http.server 8000 --bind 127.0.0.1
endif

# JupyterLab on the first notebook
lab: .venv/ready
	@jupyter lab nbs/10_minutes.ipynb

style: .venv/ready
	@ruff format --quiet .
	@nbdev_clean
	@nbdev_export
	@python tests/style.py

FULL_BENCH := {sizes: [64, 128, 256], repeats: 5, slices: 20000, large: 2000, out: reports/reference/bench.csv}
bench: .venv/ready
	@mkdir -p build; papermill nbs/guides/bench.ipynb build/bench.ipynb --no-progress-bar --log-level ERROR -y '$(FULL_BENCH)' --stdout-file build/bench.txt; status=$$?; cat build/bench.txt; exit $$status
