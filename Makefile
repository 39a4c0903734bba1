# Two commands matter: `make demo` shows the gateway at work, `make test` runs everything.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# The tests start Python hundreds of times: what a machine says about this, each would compile the gateway anew.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
# Tests run in this many processes side by side, a file at a time: one more than two cores, since browsers and killed processes
# are waited for half of the time. ARGS="-n 0" runs them one after the other.
WORKERS ?= 3
PYTEST = $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder
# The first Python on the path that is new enough; `make PYTHON=... demo` chooses another.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
PACKAGING := pyproject.toml hatch_build.py package.json package-lock.json
STATIC := $(shell find static -type f)

# pip at its own length fills screens: show the name of each package as it arrives, and all errors.
define install
	@printf '%s\n  ' 'Installing $(2) into $(VENV) ...'
	@$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off $(1) | \
		while read -r verb name rest; do case "$$verb $$name" in \
			"Collecting "*) printf '%s ' "$${name%%[^A-Za-z0-9._-]*}" ;; \
			"Installing collected") printf '\n  unpacking ...' ;; \
		esac; done
	@echo ' done'
endef

.PHONY: help demo test quick check format coverage soak bench native pictures assets tools clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "  ARGS=... is passed on: make demo ARGS=--once, make quick ARGS='-k cookie'"

# With the developers' environment at hand, changed scripts take a second; without it, a reinstall.
demo: $(if $(wildcard $(VENV)/dev.stamp),assets,$(VENV)/installed.stamp) ## the main job on an invented site (ARGS=--once: check and stop)
	@$(BIN)/gateway demo $(ARGS)

test: assets tools ## everything: unit, journeys in a real browser, kill rounds
	@$(PYTEST) $(ARGS)

quick: assets ## the tests without browser and long rounds, under a minute
	@$(PYTEST) -m "not browser and not slow" $(ARGS)

check: assets ## ruff, mypy --strict, layers, documentation
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy --strict gateway tests bench hatch_build.py
	@$(BIN)/python -m pytest -q tests/test_layers.py tests/test_documented.py

format: $(VENV)/dev.stamp ## let ruff sort imports and lay out the code
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format .

coverage: assets ## branch coverage of the quick tests
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest -q -m "not browser and not slow" $(ARGS)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

soak: assets tools ## the kill rounds of `make test`, 200 instead of 20, and 50,000 steps through the outbox
	@OUTBOX_EXAMPLES=1700 KILL_ROUNDS=200 $(BIN)/python -m pytest --timeout=7200 \
		tests/journeys/test_kill.py tests/destinations/test_outbox_states.py $(ARGS)

bench: tools native ## speed and memory of the compiled wheel, as printed in docs/performance.md
	@cd build/wheel && PYTHONPATH="$$PWD:$(CURDIR)" $(CURDIR)/$(BIN)/python -m bench $(ARGS)

native: assets ## a wheel with what requests pass through compiled, in build/dist, and unpacked in build/wheel
	@rm -rf build/dist build/wheel
	@GATEWAY_COMPILE=1 $(BIN)/python -m hatchling build -t wheel -d build/dist
	@$(BIN)/python -m zipfile -e build/dist/*.whl build/wheel
	@$(BIN)/python -m compileall -q build/wheel

pictures: assets tools ## take the pictures of README and docs anew, from a running demo
	@$(BIN)/python -m scripts.pictures $(ARGS)

assets: $(VENV)/dev.stamp ## bundle scripts and styles anew after a change in static/
	@$(BIN)/python hatch_build.py

clean: ## remove everything that was made here
	rm -rf $(VENV) build dist htmlcov .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

tools: $(BIN)/python # what the tests need beside Python: browser, fonts, nginx, Caddy, Apache, strace, a C compiler
	@PYTHON=$(BIN)/python scripts/install_tools

$(BIN)/python:
	@[ -n "$(PYTHON)" ] || { echo 'The gateway needs Python 3.11 or newer, and found none on the path.' >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/installed.stamp: $(PACKAGING) $(STATIC) | $(BIN)/python
	$(call install,-e .,the gateway)
	@touch $@

$(VENV)/dev.stamp: $(PACKAGING) | $(BIN)/python
	$(call install,-e '.[dev]',the gateway and what its tests need)
	@touch $(VENV)/installed.stamp $@
