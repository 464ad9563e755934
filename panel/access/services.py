"""Writing the audit trail; making people and their API tokens."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from axes.utils import reset
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, Group, User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _
from knox.models import AuthToken

from panel.access.actions import GRANTS
from panel.access.models import AuditEvent
from panel.problems import Unprocessable

TEAM: Final = re.compile(r"\w(?:[\w .-]{0,48}\w)?")


def record_event(
    *,
    user: AbstractBaseUser | AnonymousUser | None,
    action: str,
    target_kind: str,
    target_id: str,
    server_slug: str = "",
    detail: dict[str, Any] | None = None,
) -> AuditEvent:
    """Add one row, in the caller's transaction, so that a change and its trace stand or fall together.

    ``action`` is ``room.verb`` (``retries.request``); ``user`` is ``None`` for the command line. ``detail`` must
    hold no secret.
    """
    known = user if isinstance(user, User) else None
    return AuditEvent.objects.create(
        user=known,
        username=known.get_username() if known else "(command line)",
        action=action,
        server_slug=server_slug,
        target_kind=target_kind,
        target_id=target_id,
        detail=detail or {},
    )


def save_user(
    *,
    username: str,
    password: str,
    groups: Sequence[str],
    email: str | None = None,
    teams: Sequence[str] | None = None,
) -> tuple[User, bool]:
    """The user with this password and exactly these groups, made if there is none; whether they were made. An address
    and teams that are not given stay as they are.

    Teams are groups that allow nothing by themselves: launch forms and presets are for them. One that is named for the
    first time is made.

    Raises Unprocessable.
    """
    fields: dict[str, list[str]] = {}
    unknown = sorted(set(groups) - set(GRANTS))
    if unknown:
        fields["groups"] = [
            _("Unknown: %(names)s. There are: %(known)s.") % {"names": ", ".join(unknown), "known": ", ".join(GRANTS)}
        ]
    if unfit := [name for name in teams or () if name in GRANTS or not TEAM.fullmatch(name)]:
        fields["teams"] = [
            _("No names for a team: %(names)s. Letters, digits, dashes and blanks, at most 50, and none of %(known)s.")
            % {"names": ", ".join(unfit)[:200], "known": ", ".join(GRANTS)}
        ]
    user = User.objects.filter(username=username).first()
    made = user is None
    user = user or User(username=username)
    user.email = user.email if email is None else email
    try:
        user.clean_fields(exclude=["password"])
    except ValidationError as error:
        fields |= error.message_dict
    try:
        validate_password(password, user)
    except ValidationError as error:
        fields["password"] = error.messages
    if fields:
        raise Unprocessable(_("The user was not saved."), fields)
    user.set_password(password)
    with transaction.atomic():
        user.save()
        if teams is None:
            in_teams = list(user.groups.exclude(name__in=GRANTS))
        else:
            in_teams = [Group.objects.get_or_create(name=name)[0] for name in dict.fromkeys(teams)]
        user.groups.set([*Group.objects.filter(name__in=groups), *in_teams])
        reset(username=username)  # wrong passwords given so far count no more
        record_event(
            user=None,
            action="access.add_user" if made else "access.update_user",
            target_kind="user",
            target_id=username,
            detail={"groups": sorted(groups)} | ({"teams": sorted(team.name for team in in_teams)} if in_teams else {}),
        )
    return user, made


def create_api_token(*, username: str, lasts: timedelta | None = None) -> str:
    """A new bearer token of this user: kept as a digest only, so this is the one time it is seen.

    Raises User.DoesNotExist.
    """
    user = User.objects.get(username=username, is_active=True)
    with transaction.atomic():
        _row, token = AuthToken.objects.create(user=user, expiry=lasts)
        detail = {"days": lasts.days} if lasts else {}
        record_event(user=None, action="access.create_api_token", target_kind="user", target_id=username, detail=detail)
    return str(token)
