"""Reading the environment: each variable also as ``NAME_FILE``, and what is wrong is said with the variable's name."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured
from environs import FileAwareEnv

from panel.access.actions import GRANTS, Action
from panel.domain.option_hosts import MalformedHost, OptionHost, option_hosts_from
from panel.domain.storages import MalformedStorage, Storage, storages_from

env = FileAwareEnv(strip_whitespace=True)

PRODUCTION = "production"
MOST_DIGITS = 10


def private_directory(path: Path) -> Path:
    """The directory, made if missing, readable by its owner only."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.stat().st_uid == os.getuid():
        path.chmod(0o700)
    return path


def kept_secret(path: Path, fresh: str) -> str:
    """The secret in the file; ``fresh`` is written there first where there is none.

    Two processes that start together agree on one secret: it is written whole under another name and then linked,
    which only the first can do.
    """
    if not path.exists():
        draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        draft.touch(mode=0o600)
        draft.write_text(fresh)
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text().strip()


def encryption_keys(texts: list[str], variable: str) -> list[str]:
    """The Fernet keys, newest first. Raises ImproperlyConfigured for a text that is not one, never repeating it."""
    for place, text in enumerate(texts, start=1):
        try:
            Fernet(text.encode())
        except ValueError as error:
            raise ImproperlyConfigured(
                f"{variable}: key {place} is not a Fernet key (32 url-safe base64-encoded bytes). "
                "Make one with: python -c "
                "'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'"
            ) from error
    return texts


def numbers_by_group(text: str, variable: str) -> dict[str, int]:
    """``operator:20000,admin:100000`` as numbers by group. Raises ImproperlyConfigured."""
    found = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        group, _colon, number = (piece.strip() for piece in part.partition(":"))
        if Action.RETRY not in GRANTS.get(group, ()):
            raise ImproperlyConfigured(f"{variable}: “{group[:40]}” is no group that may retry.")
        if not (number.isascii() and number.isdigit() and 0 < len(number) < MOST_DIGITS):
            raise ImproperlyConfigured(f"{variable} must look like operator:20000,admin:100000.")
        found[group] = int(number)
    return found


def storages(text: str, variable: str) -> list[Storage]:
    """The storages that a variable names as JSON. Raises ImproperlyConfigured, never repeating what it holds."""
    try:
        return storages_from(json.loads(text or "[]"))
    except MalformedStorage as error:
        raise ImproperlyConfigured(f"{variable}: {error}.") from None
    except ValueError:
        raise ImproperlyConfigured(f"{variable} is no JSON.") from None


def option_hosts(text: str, variable: str) -> list[OptionHost]:
    """``inventory.example.com, cmdb.example.lan:8443 private``. Raises ImproperlyConfigured."""
    try:
        return option_hosts_from(text)
    except MalformedHost as error:
        raise ImproperlyConfigured(f"{variable}: {error}.") from None
