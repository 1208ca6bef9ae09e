# Needs only Python 3.11 or newer, make and git: each target makes and updates .venv by itself from uv.lock.
#   make install | run | test | check | bench | bench-peers | cover | format | lock | clean
#   PYTHON=python3.13 chooses the interpreter of a new .venv; TESTS=tests/wire ARGS="-k tcp" JOBS=4 go to pytest.

JOBS ?= 2
TESTS ?= tests $(wildcard notebooks/*.ipynb)
ARGS ?=
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
# The first interpreter that is new enough, unless PYTHON says which one.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14 python; do \
	$$p -c '$(NEW_ENOUGH)' >/dev/null 2>&1 && { echo $$p; break; }; done)
MAKE_VENV = $(PYTHON) -c '$(NEW_ENOUGH)' && $(PYTHON) -m venv --clear .venv || { rm -rf .venv; echo >&2 \
	"make: needs Python 3.11 or newer with venv (PYTHON=/path/to/python3; Debian: apt install python3-venv)"; exit 1; }
BIN := .venv/bin
STAMP := .venv/.installed
# pip fetches uv, in the locked version; uv then installs what uv.lock names, checking every hash.
UV_VERSION := $(shell sed -n '/^name = "uv"$$/{n;s/^version = "\(.*\)"$$/\1/p;}' uv.lock)
UV := UV_PYTHON_DOWNLOADS=never UV_SYSTEM_CERTS=true $(BIN)/python -m uv

.DELETE_ON_ERROR:
.PHONY: install run test check bench bench-peers cover format lock clean

install: $(STAMP)

# The stamp is older than pyproject.toml or uv.lock when .venv is out of date.
$(STAMP): pyproject.toml uv.lock
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { $(MAKE_VENV); }
	@$(BIN)/python -m uv --version 2>/dev/null | grep -qF "uv $(UV_VERSION)" || \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv==$(UV_VERSION)"
	$(UV) sync --frozen --inexact --python $(BIN)/python
	@touch $@

run: $(STAMP)
	$(BIN)/netsim run experiments/pod-kill.yaml

test: $(STAMP)
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal --nbmake $(TESTS) $(ARGS)

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict netsim
	$(BIN)/lint-imports --no-logo

# Interleaves bare SimPy with our own work in one run and writes bench.json.
bench: $(STAMP)
	$(BIN)/python tests/bench/bench.py

# The same beside ns.py, ns-3 (with g++) and a plain Scapy simulator, which it installs into .venv/peers.
bench-peers: $(STAMP)
	$(BIN)/python tests/bench/peers.py

cover: $(STAMP)
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest tests $(ARGS)
	$(BIN)/coverage combine
	$(BIN)/coverage report

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# After a change of the dependencies in pyproject.toml; versions that still fit stay.
lock: $(STAMP)
	$(UV) lock

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage* build dist results bench.json
	find netsim tests -name __pycache__ -type d -prune -exec rm -rf {} +
