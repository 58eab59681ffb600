# Needs make, a POSIX shell and Python 3.11+ with venv; everything else comes from requirements/*.lock.
.SUFFIXES:
.DEFAULT_GOAL := help

PY := .venv/bin/python
PIP_INSTALL := $(PY) -m pip --disable-pip-version-check install --quiet --no-compile --no-deps
# Once and for all users of the environment: where bytecode cannot be written, each start would compile anew.
# What no start loads is left out; a file that does not compile stays as it is.
SELDOM := yt_dlp/extractor|apprise/plugins|pygments/(lexers|styles)|Cryptodome|future|pip|setuptools|pkg_resources
SELDOM := $(SELDOM)|sqlalchemy/(testing|dialects/(mssql|mysql|oracle))|mypyc?|hypothesis|_pytest|tests?
COMPILE := $(PY) -m compileall -q -j 0 -x '/($(SELDOM))/' .venv/lib/python3*/site-packages >/dev/null 2>&1 || true
UV := .uv/bin/uv

# What a developer's shell holds must neither reach a test nor point the demo at a real platform.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV PIP_USER PIP_TARGET PIP_PREFIX
unexport ENV LOG_LEVEL DATABASE_URL UPLOADS_BUCKET $(filter S3_% AWS_%_KEY AWS_PROFILE AWS_SESSION_TOKEN AWS_REGION AWS_DEFAULT_REGION,$(.VARIABLES))
unexport $(filter-out INGESTCTL_FFMPEG,$(filter INGESTCTL_%,$(.VARIABLES)))
ifneq ($(shell test -n "$$HOME" && test -w "$$HOME" && echo usable),usable)
export HOME := $(CURDIR)/.venv
export PIP_NO_CACHE_DIR := 1
endif

.PHONY: help demo test soak mutants lint docs bench lock clean

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile

demo: .venv/run.stamp ## Run one real job end to end in .demo/: fetch, extract, store, verify, run again
	@INGESTCTL_HOME="$$(pwd)/.demo" $(PY) -m ingestctl demo

test: .venv/dev.stamp ## Run every test on real services that the tests start themselves
	@$(PY) -m pytest -m "not soak" -n auto --dist worksteal

soak: .venv/dev.stamp mutants ## Repeat the crash matrix and the races with random faults for MINUTES=15; also 2 GB objects, mutants
	@SOAK_MINUTES=$(MINUTES) $(PY) -m pytest -m soak

mutants: .venv/dev.stamp ## Take each safety check out of a copy of the program and see a test go red (MUTANTS="name" picks)
	@$(PY) tools/mutants.py run $(MUTANTS)

lint: .venv/dev.stamp ## Check format, rules, types, layers, lengths, lock files and the reference
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	.venv/bin/lint-imports
	$(PY) tools/check_length.py
	$(PY) tools/check_hosts.py
	$(PY) tools/locks.py check
	$(PY) tools/reference.py check
	$(PY) tools/mutants.py check

docs: .venv/dev.stamp ## Write docs/reference, docs/man and .env.example from the code
	@$(PY) tools/reference.py write

bench: .venv/dev.stamp .bench/aws.stamp ## Measure beside the tools people use today; prints ratios (BENCH="help clip" picks)
	@$(PY) -m benchmarks $(BENCH)

lock: .venv/run.stamp ## Resolve pyproject.toml anew into requirements/*.lock (LOCK=--upgrade takes newer releases)
	@test -x $(UV) || { $(PY) -m venv .uv && .uv/bin/python -m pip install --quiet uv; }
	$(PY) tools/locks.py update --uv $(UV) $(LOCK)
	@rm -rf .uv

clean: ## Remove everything that make made, the virtual environment included
	rm -rf .venv .uv .demo .bench .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist
	find src tests tools benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# PYTHON=… names an interpreter; otherwise the first one that is new enough and can make environments.
.venv/bin/python:
	@for candidate in $${PYTHON:-python3.13 python3.12 python3.11 python3 python}; do \
	    if "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        echo "creating .venv with $$("$$candidate" --version)"; \
	        "$$candidate" -m venv --clear .venv && exit 0; rm -rf .venv; exit 1; \
	    fi; \
	done; \
	echo "make: no Python 3.11 or newer with the venv module was found (tried: $${PYTHON:-python3.13, python3.12, python3.11, python3, python})." >&2; \
	echo "make: install one (Debian: apt install python3 python3-venv) or name it: make PYTHON=/path/to/python3.11" >&2; \
	exit 1

# The locks are complete, so nothing is resolved: pip checks hashes and unpacks.
.venv/run.stamp: .venv/bin/python requirements/build.lock requirements/run.lock pyproject.toml
	@echo "installing requirements/run.lock"
	@$(PIP_INSTALL) --require-hashes -r requirements/build.lock -r requirements/run.lock
	@$(PIP_INSTALL) --no-build-isolation --editable .
	@$(COMPILE)
	@touch $@

.venv/dev.stamp: .venv/bin/python requirements/build.lock requirements/dev.lock pyproject.toml
	@echo "installing requirements/dev.lock"
	@$(PIP_INSTALL) --require-hashes -r requirements/build.lock -r requirements/dev.lock
	@$(PIP_INSTALL) --no-build-isolation --editable .
	@$(COMPILE)
	@touch .venv/run.stamp $@

.bench/aws.stamp: requirements/bench.lock
	@echo "installing requirements/bench.lock into .bench/aws"
	@$(PY) -m venv --clear .bench/aws
	@.bench/aws/bin/python -m pip --disable-pip-version-check install --quiet --no-compile --no-deps --require-hashes -r $<
	@touch $@
