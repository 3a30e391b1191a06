# Targets are the same commands that CI runs. Python 3.11 or newer, make and a package index are all that is needed.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
PORT ?= 8000
SHELL := /bin/bash

.PHONY: setup setup-run run test check format bench faults lock words test-postgres clean

# The lock with hashes decides what is installed; the stamp makes a second call free.
$(VENV)/run.stamp: requirements.lock
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@if command -v uv >/dev/null; then VIRTUAL_ENV=$(CURDIR)/$(VENV) uv pip install -q --require-hashes -r requirements.lock; \
	else $(PY) -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock; fi
	@touch $@

$(VENV)/dev.stamp: requirements-dev.lock $(VENV)/run.stamp
	@if command -v uv >/dev/null; then VIRTUAL_ENV=$(CURDIR)/$(VENV) uv pip install -q --require-hashes -r requirements-dev.lock; \
	else $(PY) -m pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock; fi
	@touch $@

setup: $(VENV)/run.stamp

run: setup
	@PORT=$(PORT) exec $(PY) deploy/demo/run.py

# A shell that keeps Python from writing bytecode would have every process of a test compile the whole portal again.
export PYTHONDONTWRITEBYTECODE :=

# DEBUG=1 gives checks and tests development keys; no test depends on it.
test check format bench faults test-postgres: export DEBUG := 1

check: $(VENV)/dev.stamp
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports
	$(PY) manage.py makemigrations --check --dry-run
	DEBUG=0 SECRET_KEY=check-only-key-check-only-key-check-only-key-0123456789 FTA_SECRET_KEYS=check-only-sealing-key-0123456789 \
	  $(PY) manage.py check --deploy --fail-level WARNING

test: check
	$(PY) -m pytest -n 3 --dist loadscope --no-loadscope-reorder

# What rests on the database: its locks, its clock, its constraints.
ON_POSTGRES := tests/approvals tests/fta/convergence tests/fta/intake tests/flows/test_deciders.py tests/notify/test_delivery.py \
  tests/flows/test_main_flow.py::test_it_does_so_with_celery_on_rabbitmq tests/wechat/test_entry.py tests/wechat/test_client.py $(foreach name,pipeline sleepers steps step_claims retries operations again by_hand graphs inner recovery halts flow_control modes spares \
  engine_loop engine_claim verification,tests/fta/test_$(name).py)

test-postgres: $(VENV)/dev.stamp
	$(PY) -m pytest -n 3 --dist loadscope --no-loadscope-reorder $(ON_POSTGRES)

format: $(VENV)/dev.stamp
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

bench: $(VENV)/dev.stamp
	$(PY) -m tests.bench

faults: $(VENV)/dev.stamp
	$(PY) -m tests.faults $(ARGS)

lock:
	uv pip compile -q pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --custom-compile-command "make lock" -o requirements.lock
	uv pip compile -q pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --custom-compile-command "make lock" -c requirements.lock -o requirements-dev.lock

# For who changes words: GNU gettext finds them in the code, and makes what is read at run time.
words: $(VENV)/dev.stamp
	DEBUG=1 $(PY) manage.py makemessages -l en --no-location --no-obsolete --no-wrap -i "static/*" -i tests -i deploy -i $(VENV) -i var
	sed -i '/^"POT-Creation-Date/d; /^"Report-Msgid-Bugs-To/d' locale/en/LC_MESSAGES/django.po
	msgfmt -c -o locale/en/LC_MESSAGES/django.mo locale/en/LC_MESSAGES/django.po

clean:
	rm -rf $(VENV) var .mypy_cache .ruff_cache .pytest_cache .hypothesis
