"""The panel's database in the soak: made, looked into from outside, removed."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg


class Sqlite:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = f"sqlite:///{path}"

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.path, timeout=30)) as connection:
            return connection.execute(sql).fetchall()


class Postgres:
    def __init__(self, server: str, name: str) -> None:
        self.url = f"{server}/{name}"

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url.replace("postgres://", "postgresql://", 1)) as connection:
            return connection.execute(sql).fetchall()


@contextmanager
def fresh_database(kind: str, directory: Path) -> Iterator[Sqlite | Postgres]:
    if kind == "sqlite":
        yield Sqlite(directory / "soak.sqlite3")
        return
    given = urlsplit(os.environ.get("MAPBOARD_SOAK_POSTGRES_URL") or "postgres://postgres@127.0.0.1:5432/postgres")
    server, name = f"{given.scheme}://{given.netloc}", f"mapboard_soak_{os.getpid()}"
    admin = f"postgresql://{given.netloc}/postgres"
    _do(admin, f'DROP DATABASE IF EXISTS "{name}"', f'CREATE DATABASE "{name}"')
    try:
        yield Postgres(server, name)
    finally:
        _do(admin, f'DROP DATABASE "{name}" WITH (FORCE)')


def _do(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)
