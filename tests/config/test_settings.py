"""Settings come from the environment and fail loudly; production refuses what is unsafe, naming it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

GOOD = {
    "MAPBOARD_ENV": "production",
    "SECRET_KEY": "correct-horse-battery-staple-and-more-letters-to-be-sure",
    "MAPBOARD_ENCRYPTION_KEYS": "c2Vjb25kLWtleS1zZWNvbmQta2V5LXNlY29uZC1rZXk=",
    "ALLOWED_HOSTS": "mapboard.example.com",
    "DATABASE_URL": "postgres://mapboard:word@db.example.com/mapboard",
    "REDIS_URL": "redis://redis.example.com:6379/0",
}


def python(code: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run in a bare environment with nothing of ours but what is given."""
    bare = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "config.settings"}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=bare | environment, capture_output=True, text=True, timeout=60, check=False)


def settings_with(environment: dict[str, str], shown: str = "''") -> subprocess.CompletedProcess[str]:
    return python(f"from django.conf import settings; settings.DEBUG; print({shown})", environment)


def test_a_complete_production_starts() -> None:
    answer = settings_with(GOOD, "settings.SECURE_SSL_REDIRECT, settings.SESSION_COOKIE_SECURE, settings.DEBUG")
    assert answer.stdout.strip() == "True True False", answer.stderr


def test_djangos_deployment_checks_find_nothing_in_production() -> None:
    code = "import sys; from django.core.management import execute_from_command_line as run; run(sys.argv)"
    bare = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "config.settings"}
    command = [sys.executable, "-c", code, "check", "--deploy", "--fail-level", "WARNING"]
    answer = subprocess.run(command, env=bare | GOOD, capture_output=True, text=True, timeout=60, check=False)
    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize(
    "missing", ["SECRET_KEY", "MAPBOARD_ENCRYPTION_KEYS", "ALLOWED_HOSTS", "DATABASE_URL", "REDIS_URL"]
)
def test_production_names_the_setting_that_is_missing(missing) -> None:
    answer = settings_with({name: value for name, value in GOOD.items() if name != missing})
    assert answer.returncode != 0
    assert f"ImproperlyConfigured: {missing} (or {missing}_FILE) must be set" in answer.stderr


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("RETRY_MOST_INDICES", "deployer:5", "“deployer” is no group that may retry"),
        ("RETRY_MOST_INDICES", "operator:many", "RETRY_MOST_INDICES must look like operator:20000,admin:100000"),
        ("LAUNCH_OPTION_HOSTS", "https://a.test/x", "LAUNCH_OPTION_HOSTS: “https://a.test/x” is not of the form"),
        ("SECRET_KEY", "short", "SECRET_KEY must be at least 50 random characters"),
        ("SECRET_KEY", "a" * 60, "SECRET_KEY must be at least 50 random characters"),
        ("MAPBOARD_ENCRYPTION_KEYS", "nonsense", "MAPBOARD_ENCRYPTION_KEYS: key 1 is not a Fernet key"),
        ("ALLOWED_HOSTS", "*", "ALLOWED_HOSTS must name the hosts"),
        ("DATABASE_URL", "sqlite:///var/db.sqlite3", "DATABASE_URL must name a PostgreSQL database"),
        ("DEBUG", "true", "DEBUG must not be on"),
        ("REDIS_URL", "http://redis:6379", "REDIS_URL must begin with"),
        ("MAPBOARD_ENV", "prod", "MAPBOARD_ENV must be"),
        ("AIRFLOW_MAX_IN_FLIGHT", "9", "AIRFLOW_MAX_IN_FLIGHT must lie between 1 and 8"),
        ("AIRFLOW_MAX_IN_FLIGHT", "many", "AIRFLOW_MAX_IN_FLIGHT"),
        ("LAUNCH_APPROVER_MAILS", "-1", "LAUNCH_APPROVER_MAILS must lie between 0"),
        ("AIRFLOW_TIMEOUT_SECONDS", "0", "AIRFLOW_TIMEOUT_SECONDS must lie between"),
        ("RETRY_LEASE_SECONDS", "3", "must be at least 30 in production"),
        ("RETRY_UNSURE_SECONDS", "3", "must be at least 30 in production"),
        ("MAPBOARD_API_RATE", "plenty", "MAPBOARD_API_RATE must look like"),
    ],
)
def test_production_refuses_what_is_unsafe_or_unreadable_and_names_it(name, value, why) -> None:
    answer = settings_with(GOOD | {name: value})
    assert answer.returncode != 0
    assert why in answer.stderr


def test_a_bad_key_is_not_repeated_in_the_error() -> None:
    answer = settings_with(GOOD | {"MAPBOARD_ENCRYPTION_KEYS": "my-very-own-nonsense"})
    assert "my-very-own-nonsense" not in answer.stderr + answer.stdout


def test_every_secret_may_stand_in_a_file(tmp_path) -> None:
    environment = dict(GOOD)
    for name in ("SECRET_KEY", "MAPBOARD_ENCRYPTION_KEYS", "DATABASE_URL", "REDIS_URL", "ALLOWED_HOSTS"):
        file = tmp_path / name
        file.write_text(environment.pop(name) + "\n")
        environment[f"{name}_FILE"] = str(file)
    answer = settings_with(environment, "settings.SECRET_KEY[:13], settings.DATABASES['default']['HOST']")
    assert answer.stdout.strip() == "correct-horse db.example.com", answer.stderr


def test_without_production_everything_is_made_and_private(tmp_path) -> None:
    var = tmp_path / "var"
    shown = "settings.ALLOWED_HOSTS, settings.SECRET_KEY, settings.DATABASES['default']['NAME']"
    first = settings_with({"MAPBOARD_VAR_DIR": str(var)}, shown)
    second = settings_with({"MAPBOARD_VAR_DIR": str(var)}, shown)
    assert first.stdout == second.stdout != ""
    assert "localhost" in first.stdout
    assert var.stat().st_mode & 0o777 == 0o700
    assert (var / "secret_key").stat().st_mode & 0o777 == 0o600
    assert (var / "encryption_keys").stat().st_mode & 0o777 == 0o600


def test_processes_that_start_together_agree_on_the_made_keys(tmp_path) -> None:
    bare = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "config.settings", "MAPBOARD_VAR_DIR": str(tmp_path)}
    code = "from django.conf import settings; print(settings.SECRET_KEY, settings.MAPBOARD_ENCRYPTION_KEYS)"
    started = [
        subprocess.Popen([sys.executable, "-c", code], env=bare, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    answers = {process.communicate(timeout=60)[0] for process in started}
    assert len(answers) == 1
    assert answers != {""}


@pytest.mark.parametrize(
    "text", ['[{"base": "s3://b", "secret": "hidden", "odd": 1}]', "[hidden", '{"base": "hidden"}']
)
def test_a_malformed_storage_stops_the_start_and_is_not_repeated(text: str) -> None:
    answer = settings_with({**GOOD, "MAPBOARD_XCOM_STORAGE": text})
    assert answer.returncode != 0
    assert "MAPBOARD_XCOM_STORAGE" in answer.stderr
    assert "hidden" not in answer.stderr
