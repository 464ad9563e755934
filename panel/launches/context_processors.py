"""What the header of every page says about launches."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from django.contrib.auth.models import User
from django.http import HttpRequest

from panel.launches.selectors import launches_to_approve


def waiting(request: HttpRequest) -> dict[str, Callable[[], int]]:
    """``launches_to_approve``: how many wait for this person's yes or no. Counted when a template asks for it, at most
    once a page; fragments, which have no header, never do."""

    @cache
    def count() -> int:
        user = getattr(request, "user", None)
        return launches_to_approve(user).count() if isinstance(user, User) else 0

    return {"launches_to_approve": count}
