"""The demo's people and Airflow server, through the panel's own commands; one process, for Django is slow to start.

`python -m examples.demo.fill SLUG BASE_URL AIRFLOW_USER NAME…` reads one secret a line from standard input: Airflow's
first, then each person's. A person's group has the person's name.
"""

import os
import sys

import django
from django.core.management import call_command


def main(slug: str, base_url: str, airflow_user: str, *names: str) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    server = [slug, base_url, "--name", "Demo Airflow", "--username", airflow_user, "--password-stdin"]
    call_command("add_server", *server)
    for name in names:
        call_command("create_user", name, "--groups", name, "--password-stdin")


if __name__ == "__main__":
    main(*sys.argv[1:])
