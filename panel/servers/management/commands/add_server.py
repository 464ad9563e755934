"""``add_server SLUG BASE_URL --username NAME --password-stdin`` (or ``--token-stdin``): adds or updates a server."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from panel.problems import Problem
from panel.servers import selectors, services
from panel.servers.models import Server
from panel.servers.services import ServerDetails


class Command(BaseCommand):
    help = "Adds an Airflow server, or updates the one with this short name. The secret is read from standard input."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("slug", metavar="SLUG", help="short name, in every address of Mapboard")
        parser.add_argument("base_url", metavar="BASE_URL", help="https://airflow.example.com, with its path prefix")
        parser.add_argument("--name", help="as people call it (default: the short name)")
        parser.add_argument("--username", default="", help="Airflow user, with --password-stdin")
        secret = parser.add_mutually_exclusive_group(required=True)
        secret.add_argument("--password-stdin", action="store_true", help="read the user's password")
        secret.add_argument("--token-stdin", action="store_true", help="read a bearer token")
        parser.add_argument("--ca-file", type=Path, help="PEM file of an own certificate authority")
        parser.add_argument("--max-in-flight", type=int, help="requests at once over all of Mapboard, 1 to 8")

    def handle(self, *args: Any, **options: Any) -> None:
        slug = options["slug"]
        old = selectors.servers().filter(slug=slug).first()
        details = _details(options, old)
        try:
            if old is None:
                services.add_server(user=None, slug=slug, details=details)
            else:
                services.update_server(user=None, server=old, details=details)
        except Problem as problem:
            raise CommandError(_sentence(problem)) from problem
        self.stdout.write(f"Server {slug} was {'updated' if old else 'added'}.")


def _details(options: dict[str, Any], old: Server | None) -> ServerDetails:
    by_token = options["token_stdin"]
    if by_token and options["username"]:
        raise CommandError("--username goes with --password-stdin, not with --token-stdin.")
    secret = sys.stdin.readline().rstrip("\r\n")
    if not secret:
        raise CommandError("Nothing was read from standard input; the secret is expected on its first line.")
    return ServerDetails(
        name=options["name"] or (old.name if old else options["slug"]),
        base_url=options["base_url"],
        authentication=Server.Authentication.TOKEN if by_token else Server.Authentication.PASSWORD,
        username=options["username"],
        secret=secret,
        ca_pem=_certificate(options["ca_file"]) if options["ca_file"] else (old.ca_pem if old else ""),
        max_in_flight=_given(options["max_in_flight"], old.max_in_flight if old else 4),
    )


def _certificate(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except UnicodeDecodeError as error:
        raise CommandError(f"--ca-file: {path} is not a PEM file.") from error
    except OSError as error:
        raise CommandError(f"--ca-file: {path} cannot be read: {error.strerror}.") from error


def _sentence(problem: Problem) -> str:
    details = [f"{name}: {message}" for name, messages in problem.fields.items() for message in messages]
    return " ".join([problem.message, *details])


def _given(number: int | None, otherwise: int) -> int:
    return otherwise if number is None else number
