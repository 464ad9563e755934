"""``create_user NAME --groups operator,deployer --password-stdin``: adds a user, or updates the one of this name."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from panel.access import services
from panel.access.actions import GRANTS
from panel.problems import Problem


class Command(BaseCommand):
    help = "Adds a user, or gives the one of this name a new password and exactly these groups."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("username", metavar="NAME")
        parser.add_argument("--groups", required=True, help=f"separated by commas, of {', '.join(GRANTS)}")
        parser.add_argument("--teams", help="separated by commas, made if missing; without it they stay as they are")
        parser.add_argument("--email", help="where reports go; without it an address that is there stays")
        parser.add_argument(
            "--password-stdin", action="store_true", required=True, help="read the password's line from standard input"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        groups = [name.strip() for name in options["groups"].split(",") if name.strip()]
        if not groups:
            raise CommandError("--groups names none; a user in no group may do nothing.")
        given = options["teams"]
        teams = None if given is None else [name.strip() for name in given.split(",") if name.strip()]
        password = sys.stdin.readline().rstrip("\r\n")
        if not password:
            raise CommandError("Nothing was read from standard input; the password is expected on its first line.")
        try:
            _user, made = services.save_user(
                username=options["username"], password=password, groups=groups, email=options["email"], teams=teams
            )
        except Problem as problem:
            details = [f"{name}: {text}" for name, texts in problem.fields.items() for text in texts]
            raise CommandError(" ".join([problem.message, *details])) from problem
        self.stdout.write(f"User {options['username']} was {'added' if made else 'updated'}: {', '.join(groups)}.")
