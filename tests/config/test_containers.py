"""docker-compose.yaml and the Dockerfile name what the project really has. No container engine runs here."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from celery.bin.celery import celery as celery_cli
from django.core.management import get_commands, load_command_class
from granian.cli import cli as granian_cli

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "mapboard"}
DOCKERFILE = (ROOT / "Dockerfile").read_text()
IMAGE_VARIABLES = {
    "postgres": {"POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD"},
    "apache/airflow": {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
        "AIRFLOW__CORE__LOAD_EXAMPLES",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS",
    },
}


def read_by_settings() -> set[str]:
    """The names of the variables that config/ reads."""
    text = "\n".join(file.read_text() for file in (ROOT / "config").glob("*.py"))
    return set(re.findall(r"""(?:env\.\w+|_needed_in_production|whole_number)\(\s*"([A-Z_]+)\"""", text))


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, continued lines joined."""
    joined = re.sub(r"\\\n\s*", " ", re.sub(r"(?m)^#.*\n", "", DOCKERFILE))
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in joined.splitlines() if line.strip()]


def check_command(command: list[str]) -> None:
    """Raise unless the program takes these arguments and finds what they name."""
    program, *arguments = command
    if program == "granian":
        given = granian_cli.make_context("granian", list(arguments)).params
        module, _, name = given["app"].partition(":")
        assert given["interface"].value == "wsgi"
        assert callable(getattr(import_module(module), name))
    elif program == "celery":
        group = celery_cli.make_context("celery", list(arguments), resilient_parsing=False)
        assert group.params["app"] == "config"
        name, subcommand, rest = celery_cli.resolve_command(group, [*group._protected_args, *group.args])
        assert name in {"worker", "beat"}
        assert subcommand is not None
        parser_only = subcommand.make_parser(group)
        options, left, _ = parser_only.parse_args(list(rest))
        assert left == []
        assert options
    else:
        assert command[:2] == ["python", "manage.py"]
        name = command[2]
        parser = load_command_class(get_commands()[name], name).create_parser("manage.py", name)
        parser.parse_args(command[3:])


def test_the_services_are_the_ones_the_panel_needs() -> None:
    assert {"postgres", "redis", "migrate", "web", "worker", "beat", "airflow"} <= set(SERVICES)
    assert set(OURS) == {"migrate", "web", "worker", "beat"}


@pytest.mark.parametrize("name", list(OURS))
def test_commands_are_ones_that_the_programs_take(name) -> None:
    check_command(OURS[name]["command"])


def test_a_wrong_command_would_be_noticed() -> None:
    for wrong in (
        ["granian", "--no-such", "config.wsgi:application"],
        ["celery", "-A", "config", "worker", "--no-such"],
    ):
        with pytest.raises(Exception, match=r"(?i)no such option"):
            check_command(wrong)


@pytest.mark.parametrize("name", list(SERVICES))
def test_every_variable_is_one_that_its_program_reads(name) -> None:
    service = SERVICES[name]
    image = service["image"].partition(":")[0]
    known = read_by_settings() if name in OURS else IMAGE_VARIABLES.get(image, set())
    given = {variable.removesuffix("_FILE") for variable in service.get("environment", {})}
    assert given <= known


def test_settings_accept_what_compose_gives(tmp_path) -> None:
    filled = {
        "SECRET_KEY": "correct-horse-battery-staple-and-more-letters-to-be-sure",
        "MAPBOARD_ENCRYPTION_KEYS": "c2Vjb25kLWtleS1zZWNvbmQta2V5LXNlY29uZC1rZXk=",
        "ALLOWED_HOSTS": "mapboard.example.com",
        "POSTGRES_PASSWORD": "word",
    }
    environment = {
        name: re.sub(r"\$\{(\w+):(.)([^}]*)\}", lambda m: filled.get(m[1], m[3] if m[2] == "-" else ""), str(value))
        for name, value in OURS["web"]["environment"].items()
    }
    code = "from django.conf import settings as s; print(s.DATABASES['default']['HOST'], s.REDIS_URL, s.IN_PRODUCTION)"
    bare = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "config.settings"}
    answer = subprocess.run(
        [sys.executable, "-c", code], env=bare | environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert answer.stdout.split() == ["postgres", "redis://redis:6379/0", "True"], answer.stderr


def test_required_variables_stop_compose_when_missing_and_have_no_value_in_the_file() -> None:
    text = (ROOT / "docker-compose.yaml").read_text()
    for name in ("SECRET_KEY", "MAPBOARD_ENCRYPTION_KEYS", "ALLOWED_HOSTS", "POSTGRES_PASSWORD"):
        assert f"${{{name}:?" in text
        assert f"${{{name}:-" not in text


def test_addresses_name_services_and_their_ports() -> None:
    environment = OURS["web"]["environment"]
    for variable, port in (("DATABASE_URL", 5432), ("REDIS_URL", 6379)):
        url = urlsplit(re.sub(r"\$\{[^}]*\}", "x", environment[variable]))
        assert url.hostname in SERVICES
        assert url.port == port
    assert urlsplit(environment["DATABASE_URL"].split("@")[1]).path.endswith(
        SERVICES["postgres"]["environment"]["POSTGRES_DB"]
    )
    execution = SERVICES["airflow"]["environment"]["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"]
    assert urlsplit(execution).port == 8080


def test_published_ports_are_where_the_programs_listen_and_on_loopback_only() -> None:
    (published,) = OURS["web"]["ports"]
    command = OURS["web"]["command"]
    assert published.startswith("127.0.0.1:")
    assert published.rpartition(":")[2] == command[command.index("--port") + 1]
    assert f":{published.rpartition(':')[2]}/healthz" in OURS["web"]["healthcheck"]["test"][-1]
    for service in SERVICES.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_one_scheduler_and_everything_waits_for_what_it_needs() -> None:
    assert "deploy" not in SERVICES["beat"]
    for service in SERVICES.values():
        for needed, how in service.get("depends_on", {}).items():
            assert needed in SERVICES
            assert how["condition"] == "service_completed_successfully" or "healthcheck" in SERVICES[needed]
    for name in ("web", "worker", "beat"):
        assert set(OURS[name]["depends_on"]) == {"postgres", "redis", "migrate"}


def test_airflow_is_optional_and_shows_the_example_dags() -> None:
    assert {name for name, service in SERVICES.items() if "airflow" in service.get("profiles", [])} == {
        "airflow",
        "airflow-postgres",
    }
    (mount,) = SERVICES["airflow"]["volumes"]
    source, target, mode = mount.split(":")
    assert list((ROOT / source).glob("*.py"))
    assert (target, mode) == ("/opt/airflow/dags", "ro")
    assert set(COMPOSE["volumes"]) == {"postgres", "airflow-postgres"}


def test_the_airflow_is_the_one_the_tests_run_on() -> None:
    pinned = re.search(r"^apache-airflow==(\S+)", (ROOT / "requirements/airflow.in").read_text(), re.M)
    assert pinned is not None
    assert SERVICES["airflow"]["image"] == f"apache/airflow:{pinned[1]}"


# The image


def test_the_image_runs_as_nobody_special_and_needs_nothing_of_the_network() -> None:
    last = dict(instructions())
    assert last["USER"] == "10001:10001"
    assert json.loads(last["CMD"]) == OURS["web"]["command"]
    assert last["EXPOSE"] == "8000"
    for service in OURS.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]


def test_packages_are_installed_by_hash_and_from_slim() -> None:
    assert all("slim" in value for name, value in instructions() if name == "FROM")
    (install,) = [value for name, value in instructions() if name == "RUN" and " install " in value]
    assert "--require-hashes -r base.txt" in install


def test_what_is_copied_is_there_and_not_ignored() -> None:
    ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert ignored[0] == "*"
    kept = [line[1:] for line in ignored if line.startswith("!")]
    for source in [value.split()[0] for name, value in instructions() if name == "COPY" and "--from" not in value]:
        assert (ROOT / source).exists()
        assert any(fnmatch.fnmatch(source, pattern) for pattern in kept), source


def test_no_secret_stays_in_the_image() -> None:
    kept = " ".join(value for name, value in instructions() if name in {"ENV", "ARG", "LABEL"})
    assert not re.search(r"(?i)secret|password|token|encryption", kept)
    assert ".env" not in {value.split()[0] for name, value in instructions() if name == "COPY"}


def test_the_files_are_collected_by_a_command_that_works(tmp_path) -> None:
    (collect,) = [value for name, value in instructions() if name == "RUN" and "collectstatic" in value]
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "MAPBOARD_ENV": "production",
        "MAPBOARD_STATIC_ROOT": str(tmp_path / "static"),
    }
    done = subprocess.run(["sh", "-c", collect], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "static" / "staticfiles.json").is_file()
    assert not [word for word in shlex.split(collect) if word.startswith("MAPBOARD_ENV=")]
