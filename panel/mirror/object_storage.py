"""Reading results that Airflow keeps in object storage (XComObjectStorageBackend), through fsspec.

Only what lies under a base that the settings name is opened, and only at the place where Airflow puts the result of
this very Dag, run and task: a reference is text from Airflow, and anybody's task can return any text.
"""

from __future__ import annotations

import io
import json
import os
import zlib
from collections.abc import Sequence
from lzma import LZMAError
from typing import Any, Final
from zipfile import BadZipFile

import fsspec
from aiohttp import ClientError as ClientHttpError
from botocore.exceptions import BotoCoreError, ClientError
from django.utils.translation import gettext as _
from fsspec.compression import compr
from fsspec.utils import infer_compression

from panel.domain.storages import Storage
from panel.mirror.references import file_of
from panel.mirror.serialized_values import plainly

MOST_BYTES: Final = 8 * 1024 * 1024
"""Of an object, and of what it holds once uncompressed."""
CONNECT_SECONDS: Final = 3
READ_SECONDS: Final = 10


class Unresolvable(Exception):
    """Why a result cannot be read, in a sentence for people: it never repeats what a storage said."""


class OpenStorages:
    """The storages of the settings, each opened once. ``read`` may be called by several threads."""

    def __init__(self, storages: Sequence[Storage]) -> None:
        self._open = [(storage, _filesystem(storage)) for storage in storages]

    def read(self, place: str, reference: str) -> Any:
        """The value behind ``reference``, which a mapped task at this ``place_of`` has. Raises Unresolvable."""
        for storage, filesystem in self._open:
            file = file_of(reference, storage.base, place)
            if file is not None:
                return _value(_fetched(storage, filesystem, f"{storage.root}/{place}/{file}"), file)
        raise Unresolvable(_("No storage is set for this address (MAPBOARD_XCOM_STORAGE)."))


def _filesystem(storage: Storage) -> Any:
    if storage.scheme == "file":
        return fsspec.filesystem("file", skip_instance_cache=True)
    filesystem = fsspec.filesystem(
        "s3",
        skip_instance_cache=True,  # fsspec keeps one for every thread that ever was
        use_listings_cache=False,
        key=storage.options.get("key"),
        secret=storage.options.get("secret"),
        token=storage.options.get("token"),
        anon=bool(storage.options.get("anonymous")),
        endpoint_url=storage.options.get("endpoint_url"),
        client_kwargs={"region_name": storage.options["region"]} if "region" in storage.options else {},
        config_kwargs={
            "connect_timeout": CONNECT_SECONDS,
            "read_timeout": READ_SECONDS,
            "retries": {"max_attempts": 0},
        },
    )
    filesystem.retries = 1  # s3fs has a loop of its own around that
    return filesystem


def _fetched(storage: Storage, filesystem: Any, path: str) -> bytes:
    try:
        return _bytes(storage, filesystem, path)
    except FileNotFoundError as error:
        raise Unresolvable(_("The storage does not have it (any more).")) from error
    except PermissionError as error:
        raise Unresolvable(_("The storage does not let Mapboard read it.")) from error
    except (OSError, ValueError, BotoCoreError, ClientError, ClientHttpError) as error:  # fsspec lets these through
        name = type(error).__name__
        raise Unresolvable(_("The storage could not be read (%(error)s).") % {"error": name}) from error


def _bytes(storage: Storage, filesystem: Any, path: str) -> bytes:
    """One byte more than is allowed tells what is too large, without reading the rest."""
    if storage.scheme == "file":
        path = _real(storage.root, path)
    data: bytes = filesystem.cat_file(path, start=0, end=MOST_BYTES + 1)
    return data


def _real(root: str, path: str) -> str:
    """A link must not lead out of the base."""
    real, base = os.path.realpath(path), os.path.realpath(root)
    if not real.startswith(base.rstrip("/") + "/"):
        raise PermissionError
    return real


def _value(data: bytes, file: str) -> Any:
    if len(data) <= MOST_BYTES:
        data = _uncompressed(data, file)
    if len(data) > MOST_BYTES:
        raise Unresolvable(_("It is larger than %(size)d MB.") % {"size": MOST_BYTES // 1024 // 1024})
    try:
        # NaN and infinities, which Python writes and no database takes, become words.
        return plainly(json.loads(data, parse_constant=str))
    except (ValueError, RecursionError) as error:
        raise Unresolvable(_("What the storage holds is no JSON.")) from error


def _uncompressed(data: bytes, file: str) -> bytes:
    name = infer_compression(file)
    if name is None and "." not in file:
        return data
    opener = compr.get(name) if name is not None else None
    if opener is None:
        raise Unresolvable(_("Its compression is not known here."))
    try:
        uncompressed: bytes = opener(io.BytesIO(data), mode="rb").read(MOST_BYTES + 1)
    except (OSError, EOFError, ValueError, BadZipFile, LZMAError, zlib.error) as error:
        raise Unresolvable(_("It could not be uncompressed.")) from error
    return uncompressed
