"""Object storages that results may be read from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

SCHEMES: Final = ("file", "s3")
OPTIONS: Final = {"key": str, "secret": str, "token": str, "endpoint_url": str, "region": str, "anonymous": bool}
"""What may be said of a storage beside its base, all of it for S3."""


class MalformedStorage(ValueError):
    """What is wrong; never repeats a value."""


@dataclass(frozen=True, slots=True)
class Storage:
    """A base that may be read, as Airflow's setting ``xcom_objectstorage_path`` names it, and how to log in there."""

    base: str
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def scheme(self) -> str:
        return self.base.partition("://")[0]

    @property
    def root(self) -> str:
        """What fsspec is given: Airflow's connection id (``s3://conn@bucket/…``) says nothing to anybody else."""
        path = self.base.partition("://")[2].rstrip("/")
        return path.rpartition("@")[2] if self.scheme == "s3" else path


def storages_from(value: Any) -> list[Storage]:
    """The storages in a decoded setting: ``[{"base": "s3://…", "key": …}, …]``. Raises MalformedStorage."""
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise MalformedStorage("a JSON list of objects is expected")
    return [_storage(place, entry) for place, entry in enumerate(value, start=1)]


def _storage(place: int, entry: Mapping[str, Any]) -> Storage:
    base = entry.get("base")
    if not isinstance(base, str) or urlsplit(base).scheme not in SCHEMES or "://" not in base:
        raise MalformedStorage(f"entry {place} needs a base that begins with file:// or s3://")
    if base.startswith("file://") and not base.startswith("file:///"):
        raise MalformedStorage(f"the base of entry {place} needs an absolute path: file:///…")
    storage = Storage(base.rstrip("/"), {name: option for name, option in entry.items() if name != "base"})
    if not storage.root.strip("/") or ".." in storage.root.split("/"):
        raise MalformedStorage(f"the base of entry {place} names no directory or bucket")
    for name, option in storage.options.items():
        if name not in OPTIONS or not isinstance(option, OPTIONS[name]):
            raise MalformedStorage(f"entry {place} may have, beside its base: {', '.join(OPTIONS)}")
    return storage
