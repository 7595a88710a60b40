# make demo       train a small model on English, look at its words, fill a gap (at most 10 minutes on two cores)
# make test       the tests
# make check      all that is checked before a change lands, on this machine's Python: lint types test notebooks docs
# make lint | types | notebooks | docs      one of those alone; docs builds the documentation into site/
# make lowest     the quick tests with the oldest versions of the dependencies that are admitted (Python 3.11 or 3.12)
# make newest     the quick tests with the newest ones (jax above 0.10 needs Python 3.12)
# make battery    kill, starve and damage runs, and read what nobody wrote (half an hour of two cores; Linux)
# make tables     fill the tables of the README from results/
# make lock       resolve the dependencies anew into requirements/
# make clean      remove what these commands made, runs excepted
#
# PYTHON=...      another Python, 3.11 to 3.13                VENV=...    another place for the environment
# WORKERS=        runs the tests in one process
# ARGS=...        goes to pytest or to the demo, e.g. make test ARGS="-k gru -x"

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
WORKERS ?= -n auto --dist loadfile
# Left out at both ends: what does not depend on the versions of others, or asks nothing of them that the rest does
# not. (Named folders would be imported before their types are checked.)
ENDS := $(addprefix --ignore=tests/,evaluate plots benchmarks data test_cli.py test_doctor.py test_package.py \
	test_results.py test_runs.py test_codes.py test_sentences.py fields/test_lipschitz.py solve/test_penalty.py \
	solve/test_reversible.py solve/test_backsolve.py solve/test_direct.py solve/test_replay.py solve/test_march.py \
	solve/test_tableau.py solve/test_timeline.py solve/test_adjoint.py solve/test_adaptive.py solve/test_grid.py \
	fields/test_attention.py fields/test_augmented.py fields/test_contract.py fields/test_divergence.py \
	fields/test_gated.py train/test_adaptive_devices.py objectives/test_sentence_vae.py test_speak.py \
	models/test_encoders.py models/test_interpolator.py models/test_flow.py models/test_sentence_vae.py \
	models/test_series.py models/test_controlled.py models/test_density.py objectives/test_masked_interpolation.py \
	objectives/test_flow_matching.py objectives/test_series.py objectives/test_sequence.py test_translate.py \
	test_configs.py test_docs.py test_notebooks.py test_demo.py pages/test_explore.py pages/test_report.py \
	pages/test_facts.py pages/test_comparison.py)

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.SUFFIXES:

# The corpora that the larger configs and some tests read lie beside the checkout, where there are any.
ifneq ($(wildcard ../shared/data),)
export ODEEMBED_DATA ?= $(abspath ../shared/data)
endif

.PHONY: help setup demo test check lint types notebooks docs lowest newest battery tables lock clean
help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

# $(call install,LOCK): every file comes from a lock and is checked against its hash, the tools that build included.
PACKAGE := pyproject.toml setup.cfg requirements/build.txt
PIP := -m pip --disable-pip-version-check -qq --no-input install --no-build-isolation
define install
	@$(PYTHON) -c 'import sys; (3, 11) <= sys.version_info < (3, 14) or sys.exit(f"odeembed needs Python 3.11 to 3.13; \
	got {sys.version.split()[0]} from $(PYTHON). Name another one: make PYTHON=python3.12 ...")'
	@test -x $(@D)/bin/python || { echo "== a virtual environment in $(@D)"; $(PYTHON) -m venv $(@D); }
	@echo "== installing requirements/$(1).txt (a minute or two, once)"
	@$(@D)/bin/python $(PIP) --require-hashes --requirement requirements/build.txt
	@$(@D)/bin/python $(PIP) --require-hashes --requirement requirements/$(1).txt
	@$(@D)/bin/python $(PIP) --no-deps --editable .
	@touch $@
endef

$(VENV)/.run: $(PACKAGE) requirements/run.txt
	$(call install,run)
$(VENV)/.dev: $(PACKAGE) requirements/dev.txt
	$(call install,dev)
	@touch $(@D)/.run
$(VENV)-lowest/.lowest: $(PACKAGE) requirements/lowest.txt
	$(call install,lowest)
$(VENV)-newest/.newest: PYTHON = $(NEWEST_PYTHON)
$(VENV)-newest/.newest: $(PACKAGE) requirements/newest.txt
	$(call install,newest)

setup: $(VENV)/.dev

demo: $(VENV)/.run
	@$(VENV)/bin/odeembed demo $(ARGS)

test: $(VENV)/.dev
	$(VENV)/bin/python -m pytest $(WORKERS) $(ARGS)

check: lint types test notebooks docs

lint: $(VENV)/.dev
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .

types: $(VENV)/.dev
	$(VENV)/bin/basedpyright

notebooks: $(VENV)/.dev
	printf '%s\n' notebooks/*.ipynb | JAX_PLATFORMS=cpu xargs -P 2 -n 1 $(VENV)/bin/jupyter execute --timeout=600

docs: $(VENV)/.dev
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict --quiet

lowest: $(VENV)-lowest/.lowest
	$(VENV)-lowest/bin/python -m pytest -m "not slow" $(WORKERS) $(ARGS) $(ENDS)

# A version manager's stand-in for a Python that is not there answers to its name too, so each is asked to run.
NEWEST_PYTHON ?= $(firstword $(foreach python,python3.12 python3.13 $(wildcard ~/.pyenv/versions/3.1[23].*/bin/python), \
	$(shell $(python) -c 'print("$(python)")' 2>/dev/null)))
newest:
	@if [ -z "$(NEWEST_PYTHON)" ]; then echo "== no Python 3.12 here: the newest versions are not tested"; else \
	$(MAKE) --no-print-directory $(VENV)-newest/.newest && \
	$(VENV)-newest/bin/python -m pytest -m "not slow" $(WORKERS) $(ARGS) $(ENDS); fi

battery: $(VENV)/.dev
	$(VENV)/bin/python benchmarks/battery.py $(ARGS)

tables: $(VENV)/.run
	$(VENV)/bin/python -m odeembed.results

COMPILE := pip-compile --quiet --upgrade --generate-hashes --strip-extras --allow-unsafe --no-header --no-annotate \
	--no-emit-options --no-emit-index-url --no-emit-find-links --no-emit-trusted-host
EXTRAS := --extra export --extra notebook --extra tensorboard --extra docs --extra dev
lock: $(VENV)/.dev $(VENV)-newest/.newest
	@$(VENV)/bin/python -c 'import sys; sys.version_info[:2] == (3, 11) or sys.exit("The locks are made with Python 3.11.")'
	$(VENV)/bin/$(COMPILE) --output-file requirements/build.txt requirements/build.in
	$(VENV)/bin/$(COMPILE) --output-file requirements/run.txt pyproject.toml
	$(VENV)/bin/$(COMPILE) --output-file requirements/dev.txt $(EXTRAS) \
		--constraint requirements/build.txt --constraint requirements/run.txt pyproject.toml
	$(VENV)/bin/$(COMPILE) --output-file requirements/lowest.txt requirements/lowest.in
	$(VENV)-newest/bin/$(COMPILE) --output-file requirements/newest.txt $(EXTRAS) \
		--constraint requirements/build.txt pyproject.toml

clean:
	rm -rf $(VENV) $(VENV)-lowest $(VENV)-newest build dist site odeembed.egg-info .pytest_cache .ruff_cache .hypothesis
