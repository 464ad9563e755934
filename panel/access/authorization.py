"""The one function that decides whether somebody may do something. What it does not know, it denies."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.utils.translation import gettext as _

from panel.access.actions import GRANTS, Action

type_of_user = AbstractBaseUser | AnonymousUser


class LoginRequired(PermissionDenied):
    """Nobody is logged in: a page answers with the login form, the API with 401."""


def allowed_actions(user: type_of_user) -> frozenset[Action]:
    """Everything the user's groups allow; read once a request, as it is kept on the user object."""
    if not isinstance(user, User) or not user.is_active:
        return frozenset()
    if user.is_superuser:
        return frozenset(Action)
    kept: frozenset[Action] | None = getattr(user, "_mapboard_actions", None)
    if kept is None:
        kept = keep_groups(user, user.groups.values_list("name", flat=True))
    return kept


def keep_groups(user: User, names: Iterable[str]) -> frozenset[Action]:
    """Note what these groups, which were read just now, allow; it holds as long as this user object, a request."""
    allowed: frozenset[Action] = frozenset().union(*(GRANTS.get(name, frozenset()) for name in names))
    user._mapboard_actions = allowed  # type: ignore[attr-defined]  # lives as long as this object
    return allowed


def authorize(user: type_of_user, action: Action | None) -> None:
    """Return when ``user`` may do ``action``.

    Raises LoginRequired when nobody is logged in, PermissionDenied otherwise; also for ``None``, the action of a
    route that declares none.
    """
    if not user.is_authenticated:
        raise LoginRequired(_("Log in to go on."))
    if action is None or action not in allowed_actions(user):
        raise PermissionDenied(_("Your groups do not allow this. Ask an administrator of Mapboard."))
