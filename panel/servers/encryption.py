"""Secrets at rest: Fernet under ``MAPBOARD_ENCRYPTION_KEYS``, newest key first.

Rotation: put a new key in front, restart, run ``manage.py reencrypt_secrets``, then take the old key away.
"""

from __future__ import annotations

from typing import ClassVar

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.utils.translation import gettext as _

from panel.airflow import AirflowError


class SecretUnreadable(AirflowError):
    """A stored secret cannot be decrypted with any key that is set; nobody can talk to its server until it is."""

    code: ClassVar[str] = "secret_unreadable"


def encrypt(text: str) -> str:
    """The text under the newest key; "" stays ""."""
    return _keys().encrypt(text.encode()).decode() if text else ""


def decrypt(stored: str) -> str:
    """What was encrypted under any of the keys. Raises SecretUnreadable."""
    if not stored:
        return ""
    try:
        return _keys().decrypt(stored.encode()).decode()
    except InvalidToken:
        raise SecretUnreadable(
            _(
                "The stored secret of this server cannot be decrypted: none of MAPBOARD_ENCRYPTION_KEYS is the key it "
                "was written with. Add that key again, or enter the password or token anew on the Servers page."
            )
        ) from None


def reencrypted(stored: str) -> str:
    """The same secret under the newest key. Raises SecretUnreadable."""
    return encrypt(decrypt(stored))


def _keys() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings.MAPBOARD_ENCRYPTION_KEYS])
