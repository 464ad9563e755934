# Mapboard's commands. Everything is set up by them; `make demo` and `make test` need Python 3.11+, make and git only.
SHELL := /bin/sh
export UV_SYSTEM_CERTS := true
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help demo run test check bench live browser format requirements venv clean

help: ## Lists the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv:
	@scripts/venv.sh $(VENV) requirements/dev.txt

demo: venv ## A real Airflow with the example Dags, and the panel: the main job
	@$(BIN)/python -m examples.demo

run: venv ## The panel alone, against your own Airflow (PORT, DATABASE_URL, REDIS_URL)
	@$(BIN)/python -m config.run

test: venv ## The tests; they need no network, no root, no service
	@$(BIN)/pytest -n 2 --dist worksteal -m "not live and not browser" -q $(PYTEST_ARGS)

live: venv ## The live tests: they start a real Airflow themselves
	@$(BIN)/pytest -m live -q

browser: venv ## The browser tests, with Chromium
	@$(BIN)/pytest -m browser -q

bench: venv ## Benchmarks: ratios against Airflow doing the same work in the same run
	@scripts/venv.sh var/airflow requirements/airflow.txt airflow_plugin
	@$(BIN)/python -m benchmarks $(BENCH_ARGS)

check: venv ## Lint, types, architecture
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/djlint --lint --quiet templates
	@$(BIN)/python scripts/check_tree.py
	@$(BIN)/python manage.py makemigrations --check --dry-run
	@$(BIN)/python manage.py check

format: venv ## Brings the source into shape
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

requirements: ## Compiles requirements/*.in to hashed requirement files (needs uv)
	@for name in uv base dev airflow; do \
		uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
			requirements/$$name.in -o requirements/$$name.txt || exit 1; done

clean: ## Removes what the commands made: environments, var/
	@rm -rf $(VENV) var staticfiles .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
