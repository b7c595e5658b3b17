# Every target finds its tools in .venv, which `setup` makes and keeps in step with the lock.
BIN := .venv/bin
CODE := constitution engine training scripts tests docs
PAGES := commands settings
DEVICE := cpu
PYTHON := $(BIN)/python
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast gpu-check check format docs pages lock clean

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:  ## make or update .venv from requirements/cpu.txt; DEVICE=cuda: from cuda.txt
	@bash scripts/setup.sh $(DEVICE)

demo: setup  ## the whole pipeline on this CPU: revise, SFT, DPO, a table of before and after
	@bash scripts/demo.sh

test: setup  ## every test but those that need a GPU or the network
	@$(PYTEST)

test-fast: setup  ## the tests that take seconds
	@$(PYTEST) -m "not vllm and not slow and not browser"

gpu-check:  ## what only a GPU shows, in 8 minutes; PYTHON=... with cuda.txt's packages, here .venv's
	@$(PYTHON) -m tests.gpu.check

check: setup  ## lint, format, types, layers and written pages, as CI does
	@$(BIN)/ruff check --quiet $(CODE)
	@$(BIN)/ruff format --quiet --check $(CODE) || { echo "not formatted: run make format"; exit 1; }
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@mkdir -p build && $(MAKE) --no-print-directory pages INTO=build
	@for page in $(PAGES); do cmp --silent build/$$page.md docs/$$page.md || \
	  { echo "docs/$$page.md is out of date: run make docs"; exit 1; }; done

docs: setup  ## write the pages that come from the code
	@$(MAKE) --no-print-directory pages INTO=docs

pages:
	@$(BIN)/python -m typer scripts/solon.py utils docs --name solon --title Commands \
	  --output $(INTO)/commands.md >/dev/null
	@$(BIN)/python docs/write_settings.py $(INTO)/settings.md

format: setup  ## sort imports, fix what can be fixed, format
	@$(BIN)/ruff check --quiet --fix $(CODE)
	@$(BIN)/ruff format $(CODE)

lock:  ## resolve requirements/*.in again, to the newest versions that fit
	@bash scripts/lock.sh

clean:  ## remove .venv, caches and build products; runs/ stays
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
