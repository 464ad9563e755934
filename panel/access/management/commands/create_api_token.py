"""``create_api_token USERNAME``: the last line of its output is a new bearer token."""

from __future__ import annotations

import argparse
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError

from panel.access import services


class Command(BaseCommand):
    help = "Makes an API token of this user. The last line of the output is the token; it cannot be shown again."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("username", metavar="USERNAME")
        parser.add_argument("--days", type=int, help="how long it holds (default: until it is removed)")

    def handle(self, *args: Any, **options: Any) -> None:
        days = options["days"]
        if days is not None and not 1 <= days <= 3650:
            raise CommandError("--days must lie between 1 and 3650.")
        try:
            lasts = None if days is None else timedelta(days=days)
            token = services.create_api_token(username=options["username"], lasts=lasts)
        except User.DoesNotExist as error:
            raise CommandError(f"There is no active user {options['username']}.") from error
        self.stdout.write(f"A token of {options['username']}, for “Authorization: Bearer …”. Keep it safe:")
        self.stdout.write(token)
