# The menu: `make` alone prints it.
.DEFAULT_GOAL := help
.PHONY: help setup demo test lint format bench docs bpf vm lock clean

BIN := .venv/bin
STAMP := .venv/.installed
PYTEST_ARGS ?=

help: ## print this menu
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## make .venv from requirements.lock; leaves the command at .venv/bin/bothways
	@:

$(STAMP): requirements.lock pyproject.toml tools/setup tools/find-python
	@tools/setup
	@touch $@

demo: setup ## diagnose the incident; prints the path of the HTML report last
	@mkdir -p build
	@$(BIN)/bothways demo --html build/demo.html

test: lint ## lint, then every test that this machine can run; names the others
	@$(BIN)/pytest -n auto $(PYTEST_ARGS)

lint: setup ## ruff, mypy, import contracts
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

format: setup ## let ruff rewrite what it can
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

bench: setup ## measure start-up and diagnosis, in pairs with an empty Python
	@$(BIN)/python bench/startup.py
	@$(BIN)/python bench/captures.py
	@$(BIN)/python bench/rulesets.py

docs: setup ## write the generated pages of docs/reference again
	@$(BIN)/python tools/write_cli_reference.py

bpf: ## compile the tracer's kernel programs again (clang-19); the objects are kept in the repository
	@tools/build-bpf

vm: setup ## try the tracer under other kernels, in emulated machines (apt, QEMU; half an hour)
	@tools/vm/run

lock: setup ## write requirements.lock again, with the newest versions that pyproject.toml admits
	@$(BIN)/python tools/write_lock.py

clean: ## remove what the other targets made
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
	find src tests tools bench -name __pycache__ -type d -prune -exec rm -rf {} +
