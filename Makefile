# Every command of the project. `make run` and `make test` do all set-up themselves, on a machine with Python 3.11, 3.12 or
# 3.13 and make.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PORT ?= 8501
PYTHONS ?= python3.13 python3.12 python3.11 python3 python# the first that will do makes .venv; PYTHONS=python3.11 chooses
PY := .venv/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --quiet
# two files at a time; the tests of one file stay together, since they share servers and models
PYTEST := $(PY) -m pytest -n 2 --dist loadfile

.PHONY: help run test check lint types unit rest format audit bench screenshots smol train hooks setup dev browser clean

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 20

# ------------------------------------------------------------------------------------------------ the two to know

run: setup ## start the dashboard (PORT=8501)
	@echo "Strata: http://localhost:$(PORT)  (Ctrl-C stops it)"
	@# sessions come and go on threads: with two arenas the allocator keeps less of what they held
	@MALLOC_ARENA_MAX=2 $(PY) -m streamlit run dashboard/app.py --server.port $(PORT) --server.headless true

test: dev browser unit rest ## every test: unit, pages, browser, conformance

# ------------------------------------------------------------------------------------------------ checks

check: lint types unit ## lint, types and quick tests

lint: dev
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

types: dev
	@$(PY) -m mypy

# `make check test` runs the quick tests once: both need this target.
unit: dev
	@$(PYTEST) tests/unit -q -m "not slow"

rest: dev browser
	@$(PYTEST) tests -q -m "slow or not unit"

format: dev ## format the code and sort its imports
	@$(PY) -m ruff check --fix-only --quiet .
	@$(PY) -m ruff format .

# The one entry: diskcache unpickles by default and has no fixed release; cache/disk.py never does (SECURITY.md).
audit: dev ## known advisories of what is installed (needs the network)
	@$(PY) -m pip_audit -r requirements.txt --ignore-vuln CVE-2025-69872

hooks: dev ## run the checks before every commit
	@$(PY) -m pre_commit install

# ------------------------------------------------------------------------------------------------ made things

bench: setup ## speed of ours against the reference ways
	@$(PY) -m core bench all

screenshots: dev browser ## the pictures of the README
	@$(PY) -m tests.browser.screenshots

smol: setup ## fetch a really pretrained model (93 MB), give it eyes, and start the dashboard with it
	@$(PY) -m core models fetch smol
	@echo "smol is chosen at http://localhost:$(PORT)/?model=smol"
	@$(MAKE) run PORT=$(PORT)

train: setup ## train the embedded model again (hours on a CPU)
	@$(PY) -m core tiny train

# ------------------------------------------------------------------------------------------------ set-up

setup: .venv/runtime.done
dev: .venv/dev.done

.venv/bin/python:
	@for p in $(PYTHONS); do \
	  if $$p -c 'import sys, ensurepip, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then \
	    echo "creating .venv with $$($$p --version) …"; $$p -m venv --clear .venv && exit 0; \
	  fi; \
	done; \
	echo "Strata needs Python 3.11, 3.12 or 3.13 with venv: install one (Debian: apt-get install python3 python3-venv) and run make again." >&2; \
	exit 1

.venv/runtime.done: pyproject.toml requirements-viewer.txt requirements-models.txt .venv/bin/python
	@echo "installing Strata and what it needs into .venv (once; a few minutes) …"
	@$(PIP) install -e .
	@touch $@

.venv/dev.done: requirements-dev.txt requirements-ray.txt requirements-report.txt .venv/runtime.done
	@echo "installing what the tests need into .venv (once) …"
	@$(PIP) install -r requirements-dev.txt
	@touch $@

browser:
	@if command -v chromium >/dev/null 2>&1; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
	  echo "installing chromium for the browser tests (once) …"; \
	  apt-get -qq update >/dev/null && \
	  DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends chromium fonts-liberation >/dev/null; \
	else \
	  echo "The browser tests need chromium on the PATH: sudo apt-get install chromium, then make test again." >&2; exit 1; \
	fi

clean: ## remove .venv and the tools' caches
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
