"""Making, changing and deleting launch forms: admins only, each change with a trace."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import Group, User
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from panel.access.actions import Action
from panel.access.authorization import authorize
from panel.access.services import record_event
from panel.launches.dag_forms import known_fields, read_form
from panel.launches.form_rights import definition
from panel.launches.launch_forms_checking import Messages, button_mistakes, shape_mistakes_by_name, text_mistakes
from panel.launches.models import FormDefinition, FormsSwitch
from panel.launches.selectors import dag_is_known
from panel.launches.shapes import Shape, stored_shapes
from panel.problems import Conflicting, Unprocessable
from panel.servers.models import Server


@dataclass(frozen=True, slots=True)
class FormContent:
    """All that an admin says about a form. ``groups`` and ``users`` are names."""

    slug: str
    title: str
    text: str = ""
    button: str = ""
    shapes: Sequence[Shape] = ()
    groups: Sequence[str] = ()
    users: Sequence[str] = ()
    is_enabled: bool = True
    is_protected: bool = False


def add_form(*, user: User, server: Server, dag_id: str, content: FormContent) -> FormDefinition:
    """Raises Unprocessable; messages about params stand under ``params.NAME``. AirflowError when the Dag's params were
    never read and cannot be now."""
    authorize(user, Action.SET_GUARD_RAILS)
    groups, users = _checked(server, dag_id, content)
    if definition(server, dag_id, content.slug) is not None:
        raise _taken()
    try:
        with transaction.atomic():
            made = FormDefinition.objects.create(server=server, dag_id=dag_id, **_columns(user, dag_id, content))
            made.groups.set(groups)
            made.users.set(users)
            _record(user, "launches.add_form", made)
    except IntegrityError as error:
        raise _taken() from error
    return made


def change_form(*, user: User, form: FormDefinition, content: FormContent, version: int) -> FormDefinition:
    """``version`` is the one that was changed from. Raises Unprocessable, Conflicting when somebody was faster."""
    authorize(user, Action.SET_GUARD_RAILS)
    groups, users = _checked(form.server, form.dag_id, content)
    other = definition(form.server, form.dag_id, content.slug)
    if other is not None and other.pk != form.pk:
        raise _taken()
    columns = _columns(user, form.dag_id, content) | {"version": version + 1}
    try:
        with transaction.atomic():
            # Conditional: of two admins who began with the same version, the first wins and the second is told.
            if not FormDefinition.objects.filter(pk=form.pk, version=version).update(**columns):
                raise _overtaken(form)
            form.groups.set(groups)
            form.users.set(users)
            form.refresh_from_db()
            _record(user, "launches.change_form", form)
    except IntegrityError as error:
        raise _taken() from error
    return form


def delete_form(*, user: User, form: FormDefinition, version: int | None = None) -> None:
    """With its presets; launches that came through it keep its short name. Raises Conflicting."""
    authorize(user, Action.SET_GUARD_RAILS)
    with transaction.atomic():
        found = FormDefinition.objects.filter(pk=form.pk)
        if version is not None and not found.filter(version=version).exists():
            raise _overtaken(form)
        _record(user, "launches.delete_form", form)
        found.delete()


def set_only_forms(*, user: User, server: Server, dag_id: str, only_forms: bool) -> FormsSwitch:
    """Whether people who are no admins launch this Dag through its forms only. Raises Unprocessable."""
    authorize(user, Action.SET_GUARD_RAILS)
    _check_dag(server, dag_id)
    columns = {"only_forms": only_forms, "updated_at": timezone.now(), "username": user.get_username()}
    with transaction.atomic():
        switch, _created = FormsSwitch.objects.update_or_create(server=server, dag_id=dag_id, defaults=columns)
        record_event(
            user=user,
            action="launches.set_only_forms",
            target_kind="dag",
            target_id=dag_id,
            server_slug=server.slug,
            detail={"only_forms": only_forms},
        )
    return switch


def _checked(server: Server, dag_id: str, content: FormContent) -> tuple[list[Group], list[User]]:
    _check_dag(server, dag_id)
    fields = known_fields(server, dag_id) or read_form(server=server, dag_id=dag_id).fields
    messages: Messages = text_mistakes(
        {"slug": content.slug, "title": content.title, "text": content.text, "button": content.button}
    )
    if said := button_mistakes(content.button, fields):
        messages.setdefault("button", []).extend(said)
    messages |= {f"params.{name}": said for name, said in shape_mistakes_by_name(content.shapes, fields).items()}
    groups = list(Group.objects.filter(name__in=content.groups))
    users = list(User.objects.filter(username__in=content.users))
    strangers = {
        "groups": set(content.groups) - {group.name for group in groups},
        "users": set(content.users) - {one.get_username() for one in users},
    }
    for name, unknown in strangers.items():
        if unknown:
            messages[name] = [_("Not known: %(names)s.") % {"names": ", ".join(sorted(unknown))[:200]}]
    if messages:
        raise Unprocessable(_("This launch form cannot be kept as it is."), messages)
    return groups, users


def _columns(user: User, dag_id: str, content: FormContent) -> dict[str, Any]:
    words = [content.title, content.text, content.slug, dag_id]
    return {
        "slug": content.slug,
        "title": content.title.strip(),
        "text": content.text.strip(),
        "button": content.button.strip(),
        "shapes_json": json.dumps(stored_shapes(content.shapes)),
        "is_enabled": content.is_enabled,
        "is_protected": content.is_protected,
        "search": "\n".join(words).casefold(),
        "updated_at": timezone.now(),
        "username": user.get_username(),
    }


def _check_dag(server: Server, dag_id: str) -> None:
    if not dag_is_known(server, dag_id):
        raise Unprocessable(_("Mapboard knows no such Dag."), {"dag_id": [_("Not known.")]})


def _taken() -> Unprocessable:
    said = _("Another launch form of this Dag has this short name.")
    return Unprocessable(said, {"slug": [said]})


def _overtaken(form: FormDefinition) -> Conflicting:
    current = FormDefinition.objects.filter(pk=form.pk).first()
    if current is None:
        return Conflicting(_("Somebody deleted this launch form meanwhile."), code="form_deleted")
    said = _("%(name)s changed this launch form since you opened it. Nothing of yours is kept yet: look at it again.")
    return Conflicting(said % {"name": current.username}, code="changed_since")


def _record(user: User, action: str, form: FormDefinition) -> None:
    """Without values: those of a Dag's params may be secret one day."""
    record_event(
        user=user,
        action=action,
        target_kind="launch_form",
        target_id=f"{form.dag_id}/{form.slug}",
        server_slug=form.server.slug,
        detail={
            "title": form.title,
            "version": form.version,
            "is_enabled": form.is_enabled,
            "is_protected": form.is_protected,
            "groups": sorted(form.groups.values_list("name", flat=True)),
            "users": sorted(form.users.values_list("username", flat=True)),
            "params": {shape["name"]: shape["mode"] for shape in form.shapes},
        },
    )
