"""The clock of retry jobs is the database's (``panel.clock``). Migrations name it by this place."""

from __future__ import annotations

from panel.clock import database_now

__all__ = ["database_now"]
