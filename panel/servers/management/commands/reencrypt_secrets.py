"""``reencrypt_secrets``: writes every stored secret under the newest of MAPBOARD_ENCRYPTION_KEYS."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from panel.servers import services
from panel.servers.encryption import SecretUnreadable


class Command(BaseCommand):
    help = "Writes every stored secret under the newest encryption key, so that older keys can be taken away."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            count = services.reencrypt_secrets()
        except SecretUnreadable as error:
            raise CommandError(f"Nothing was changed. {error}") from error
        self.stdout.write(f"Secrets of {count} servers are now under the newest key.")
