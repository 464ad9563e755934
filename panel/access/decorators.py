"""How a route declares what one must be allowed to do; the middleware enforces it and denies routes without."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from panel.access.actions import Action

View = TypeVar("View", bound=Callable[..., Any])

PUBLIC: Final = "public"


def requires(action: Action) -> Callable[[View], View]:
    """Only people who may do ``action`` reach the view."""

    def declare(view: View) -> View:
        view.required_action = action  # type: ignore[attr-defined]  # read by AuthorizationMiddleware
        return view

    return declare


def public(view: View) -> View:
    """Anybody reaches the view: login, health, nothing else."""
    view.required_action = PUBLIC  # type: ignore[attr-defined]  # read by AuthorizationMiddleware
    return view
