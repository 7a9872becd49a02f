# Everything a developer does, on nothing but Python ≥ 3.11 with pip. On Windows, see the README for the same in plain pip.
# Paths are relative, so a folder with a space in its name works.

PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?= constraints/pinned.txt
TESTS ?=
IN := $(VENV)/bin/python

.PHONY: help demo test test-twenty lint bench snapshot snapshots docs configs dist conformance test-clients pin clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\)[a-z -]*:.*## /\1\t/p' Makefile | expand -t 16

demo: $(VENV)/.demo ## Walk through all tools on the embedded platform
	$(IN) -m cyberun_mcp demo

test: $(VENV)/.dev ## Run the test suite
	$(IN) -m pytest -n 3 $(TESTS)

test-twenty: $(VENV)/.dev ## Run the suite twenty times beside two busy loops; the first failure ends it
	@sh -c 'while :; do :; done' & one=$$!; sh -c 'while :; do :; done' & two=$$!; \
	trap 'kill $$one $$two' EXIT; trap 'exit 1' INT TERM HUP; \
	for run in $$(seq 20); do echo "== run $$run of 20"; $(IN) -m pytest -n 3 $(TESTS) || exit 1; done

lint: $(VENV)/.dev ## Types and style, as CI checks them
	$(IN) -m ruff check .
	$(IN) -m ruff format --check .
	$(IN) -m mypy

bench: $(VENV)/.dev ## Measure start-up against a bare SDK server, in one run
	$(IN) -m benchmarks.startup

snapshot snapshots: $(VENV)/.dev ## Write the tools' surface, and the prepared handshake, anew after a wanted change
	UPDATE_SNAPSHOTS=1 $(IN) -m pytest tests/tools/test_surface.py tests/stdio/test_snapshot.py

docs: $(VENV)/.dev ## Update the generated parts of the README, and the number of tools in other texts
	$(IN) -m distribution.readme

configs: $(VENV)/.dev ## Write the examples under configs/, from the table of AI clients
	$(IN) -m distribution.example_configs

dist: $(VENV)/.dev ## Build the bundle, plugin, extension, registry entry and install links
	$(IN) -m distribution

conformance: $(VENV)/.dev ## Run the official MCP conformance suite at both revisions; brings its own Node
	$(IN) -m tests.conformance

test-clients: $(VENV)/.dev ## Let the real AI clients connect; installs them into .clients/, asks no model
	REAL_CLIENTS=1 $(IN) -m pytest tests/clients/real

pin: $(VENV)/.dev ## Renew constraints/pinned.txt from the newest versions allowed
	$(IN) -m pip install -q --upgrade --upgrade-strategy eager -e '.[dev,fast,image]'
	(sed -n 1p constraints/pinned.txt; $(IN) -m pip freeze --exclude-editable --exclude cyberun-mcp) > $(VENV)/pinned.txt
	cp $(VENV)/pinned.txt constraints/pinned.txt

clean: ## Remove what the other targets made
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis dist .clients cyberun-output

$(VENV)/.demo: $(VENV)/.created pyproject.toml cyberun_mcp/__init__.py $(wildcard $(CONSTRAINTS))
	$(IN) -m pip install -q -c $(CONSTRAINTS) -e '.[emulator]'
	touch $@

$(VENV)/.dev: $(VENV)/.created pyproject.toml cyberun_mcp/__init__.py $(wildcard $(CONSTRAINTS))
	$(IN) -m pip install -q -c $(CONSTRAINTS) -e '.[dev]'
	touch $@ $(VENV)/.demo

$(VENV)/.created:
	$(PYTHON) -m venv $(VENV)
	touch $@
