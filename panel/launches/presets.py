"""Presets: values kept under a name, for oneself or for a team. A secret is in none of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from django.contrib.auth.models import Group, User
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from panel.access.actions import Action
from panel.access.authorization import allowed_actions, authorize
from panel.access.services import record_event
from panel.launches.conf import secret_names, unsendable_params
from panel.launches.dag_forms import known_fields, read_form
from panel.launches.fields import Field
from panel.launches.form_rights import form_to_use, is_form_admin
from panel.launches.models import FormDefinition, Preset
from panel.launches.validation import unsendable
from panel.mirror.models import MASKED
from panel.problems import Conflicting, Unprocessable
from panel.servers.models import Server

NAME_LENGTH: Final = 80
MOST: Final = 200
"""Presets of one holder for one form."""
LARGEST: Final = 100_000


def visible_presets(user: User) -> QuerySet[Preset]:
    """One's own, those of one's groups; for admins those of all teams."""
    found = Preset.objects.select_related("server", "form", "user", "group")
    if is_form_admin(user):
        return found.filter(Q(user=user) | Q(group__isnull=False))
    return found.filter(Q(user=user) | Q(group__in=user.groups.all()))


def presets_of(user: User, server: Server, dag_id: str, form: FormDefinition | None) -> QuerySet[Preset]:
    """Those that can be applied to this form, by name."""
    return visible_presets(user).filter(server=server, dag_id=dag_id, place=_place(form)).order_by("name", "pk")


def teams_of(user: User) -> list[Group]:
    """The groups for which this person may keep presets."""
    if is_form_admin(user):
        return list(Group.objects.order_by("name"))
    return list(user.groups.order_by("name"))


def shown_params(preset: Preset, fields: Sequence[Field]) -> dict[str, Any]:
    """As anybody may see them: a param may have become a secret since."""
    hidden = set(secret_names(fields))
    return {name: MASKED if name in hidden and value else value for name, value in preset.params.items()}


def may_change(user: User, preset: Preset) -> bool:
    """The owner, or who may launch and is in the team; admins those of teams."""
    if Action.LAUNCH not in allowed_actions(user):
        return False
    return visible_presets(user).filter(pk=preset.pk).exists()


def add_preset(
    *, user: User, server: Server, dag_id: str, form: str = "", name: str, params: Mapping[str, Any], team: str = ""
) -> Preset:
    """Keep these values under a name. Raises Unprocessable (``name``, ``team``, by param), Conflicting."""
    authorize(user, Action.LAUNCH)
    definition = form_to_use(user, server, dag_id, form)
    group = _team(user, team)
    name = _checked_name(name)
    _check_params(server, dag_id, params)
    place, holder = _place(definition), _holder(user, group)
    if Preset.objects.filter(server=server, dag_id=dag_id, place=place, holder=holder).count() >= MOST:
        raise Conflicting(_("There are %(n)s presets already. Delete one first.") % {"n": MOST})
    try:
        with transaction.atomic():
            preset = Preset.objects.create(
                server=server,
                dag_id=dag_id,
                form=definition,
                place=place,
                user=None if group else user,
                group=group,
                holder=holder,
                name=name,
                params_json=json.dumps(dict(params)),
                updated_at=timezone.now(),
                username=user.get_username(),
            )
            _record(user, "launches.add_preset", preset)
    except IntegrityError as error:
        raise _name_taken() from error
    return preset


def change_preset(
    *,
    user: User,
    preset: Preset,
    version: int,
    name: str | None = None,
    params: Mapping[str, Any] | None = None,
) -> Preset:
    """Rename it, or give it other values; ``version`` is the one changed from. Raises Unprocessable, Conflicting."""
    _authorize_change(user, preset)
    columns: dict[str, Any] = {}
    if name is not None:
        columns["name"] = _checked_name(name)
    if params is not None:
        _check_params(preset.server, preset.dag_id, params)
        columns["params_json"] = json.dumps(dict(params))
    columns |= {"version": version + 1, "updated_at": timezone.now(), "username": user.get_username()}
    try:
        with transaction.atomic():
            if not Preset.objects.filter(pk=preset.pk, version=version).update(**columns):
                said = _("Somebody changed or deleted this preset since you opened it. Look at it again.")
                raise Conflicting(said, code="changed_since")
            preset.refresh_from_db()
            _record(user, "launches.change_preset", preset)
    except IntegrityError as error:
        raise _name_taken() from error
    return preset


def delete_preset(*, user: User, preset: Preset) -> None:
    _authorize_change(user, preset)
    with transaction.atomic():
        _record(user, "launches.delete_preset", preset)
        Preset.objects.filter(pk=preset.pk).delete()


def preset_params(
    *, user: User, server: Server, dag_id: str, form: str, preset_id: int, params: Mapping[str, Any]
) -> dict[str, Any]:
    """The values of a preset, and over them those that were given. Raises Unprocessable (``preset``)."""
    definition = form_to_use(user, server, dag_id, form)
    preset = presets_of(user, server, dag_id, definition).filter(pk=preset_id).first()
    if preset is None:
        said = _("There is no such preset for this form, or none of yours.")
        raise Unprocessable(said, {"preset": [said]})
    secret = secret_names(known_fields(server, dag_id))  # a param may have become one since
    return {**{name: value for name, value in preset.params.items() if name not in secret}, **params}


def _authorize_change(user: User, preset: Preset) -> None:
    authorize(user, Action.LAUNCH)
    if not may_change(user, preset):
        raise Conflicting(_("Only its owner, or somebody of its team, changes a preset."), code="not_yours")


def _team(user: User, name: str) -> Group | None:
    if not name:
        return None
    for group in teams_of(user):
        if group.name == name:
            return group
    said = _("You are in no group of this name.")
    raise Unprocessable(said, {"team": [said]})


def _checked_name(name: str) -> str:
    name = name.strip()
    if not name or len(name) > NAME_LENGTH or unsendable(name) or "\n" in name:
        said = _("Give it a name of at most %(n)s plain characters.") % {"n": NAME_LENGTH}
        raise Unprocessable(said, {"name": [said]})
    return name


def _check_params(server: Server, dag_id: str, params: Mapping[str, Any]) -> None:
    """Values may be missing or not fit yet; secret ones and those of no param are refused."""
    fields = known_fields(server, dag_id) or read_form(server=server, dag_id=dag_id).fields
    errors = unsendable_params(params)
    secret, known = set(secret_names(fields)), {one.name for one in fields}
    for name in params:
        if name in secret:
            errors[name] = [_("A secret is not kept in a preset.")]
        elif name not in known:
            errors[name[:200]] = [_("The Dag has no such param.")]
    if errors:
        raise Unprocessable(_("This preset cannot be kept."), errors)
    if len(json.dumps(dict(params))) > LARGEST:
        said = _("These values are too large for a preset.")
        raise Unprocessable(said, {"params": [said]})


def _name_taken() -> Unprocessable:
    said = _("There is a preset of this name already. Choose another name, or delete that one.")
    return Unprocessable(said, {"name": [said]})


def _place(form: FormDefinition | None) -> str:
    return f"form:{form.pk}" if form else "dag"


def _holder(user: User, group: Group | None) -> str:
    return f"group:{group.pk}" if group else f"user:{user.pk}"


def _record(user: User, action: str, preset: Preset) -> None:
    record_event(
        user=user,
        action=action,
        target_kind="preset",
        target_id=str(preset.pk),
        server_slug=preset.server.slug,
        detail={
            "dag_id": preset.dag_id,
            "form": preset.form.slug if preset.form else "",
            "name": preset.name,
            "team": preset.group.name if preset.group else "",
            "params": sorted(preset.params),
        },
    )
