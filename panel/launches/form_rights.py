"""Which launch forms there are, and who may see and use them.

Judged when a launch is asked for, when somebody decides about it, and again before it is sent.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from panel.access.actions import Action
from panel.access.authorization import allowed_actions
from panel.launches.models import FormDefinition, FormsSwitch, Launch
from panel.launches.shaped_fields import shape_mistakes
from panel.launches.shapes import shapes_of
from panel.mirror.selectors import findable
from panel.problems import Conflicting, Unprocessable
from panel.servers.models import Server


def is_form_admin(user: Any) -> bool:
    """Whether they make forms; they see all of them, and use the bare one of any Dag."""
    return user is not None and Action.SET_GUARD_RAILS in allowed_actions(user)


def definitions(*, server: Server | None = None, dag_id: str = "", search: str = "") -> QuerySet[FormDefinition]:
    found = FormDefinition.objects.select_related("server")
    if server is not None:
        found = found.filter(server=server)
    if dag_id:
        found = found.filter(dag_id=dag_id)
    for word in findable(search).casefold().split()[:10]:
        found = found.filter(search__contains=word)
    return found.order_by("title", "pk")


def definition(server: Server, dag_id: str, slug: str) -> FormDefinition | None:
    return definitions(server=server, dag_id=dag_id).filter(slug=findable(slug)).first()


def open_to(user: Any) -> Q:
    """Forms that this person may use as far as groups and names go."""
    if is_form_admin(user):
        return Q()
    groups, users = FormDefinition.groups.through.objects, FormDefinition.users.through.objects
    of_form = {"formdefinition_id": OuterRef("pk")}
    everybody = ~Exists(groups.filter(**of_form)) & ~Exists(users.filter(**of_form))
    mine = Exists(groups.filter(**of_form, group__user=user)) | Exists(users.filter(**of_form, user=user))
    return Q(everybody | mine)


def usable_forms(
    user: Any, *, server: Server | None = None, dag_id: str = "", search: str = ""
) -> QuerySet[FormDefinition]:
    """The forms that this person can launch through."""
    if user is None or Action.LAUNCH not in allowed_actions(user):
        return FormDefinition.objects.none()
    return definitions(server=server, dag_id=dag_id, search=search).filter(open_to(user), is_enabled=True)


def visible_forms(
    user: Any, *, server: Server | None = None, dag_id: str = "", search: str = ""
) -> QuerySet[FormDefinition]:
    """Those, and for admins also the ones that are switched off."""
    if is_form_admin(user):
        return definitions(server=server, dag_id=dag_id, search=search)
    return usable_forms(user, server=server, dag_id=dag_id, search=search)


def visible_form(user: Any, server: Server, dag_id: str, slug: str) -> FormDefinition | None:
    return visible_forms(user, server=server, dag_id=dag_id).filter(slug=findable(slug)).first()


def only_forms(server: Server, dag_id: str) -> bool:
    """Whether people who are no admins launch this Dag through its forms only."""
    return FormsSwitch.objects.filter(server=server, dag_id=dag_id, only_forms=True).exists()


def may_use_bare_form(user: Any, server: Server, dag_id: str) -> bool:
    return is_form_admin(user) or not only_forms(server, dag_id)


def form_to_use(user: User, server: Server, dag_id: str, slug: str) -> FormDefinition | None:
    """The form that a launch comes through; ``None`` for the bare one.

    Raises Unprocessable (``form``) where there is no such form for this person, or the Dag has to be launched through
    one; Conflicting for one that is switched off.
    """
    if not slug:
        if not may_use_bare_form(user, server, dag_id):
            said = _("This Dag is launched through its launch forms only. Choose one of them.")
            raise Unprocessable(said, {"form": [said]}, code="form_needed")
        return None
    found = definitions(server=server, dag_id=dag_id).filter(open_to(user), slug=findable(slug)).first()
    if found is None:
        said = _("This Dag has no such launch form, or none that you may use.")
        raise Unprocessable(said, {"form": [said]}, code="no_such_form")
    if not found.is_enabled:
        raise Conflicting(_("This launch form is switched off. Ask an administrator."), code="form_disabled")
    return found


def form_objection(launch: Launch, server: Server, user: Any) -> str:
    """Why this person can have no part in this launch any more, as far as its form goes; ``""`` when they can."""
    name = user.get_username() if user is not None else _("Nobody")
    if not launch.form_slug:
        if may_use_bare_form(user, server, launch.dag_id):
            return ""
        return _("%(name)s may launch this Dag through its launch forms only.") % {"name": name}
    found = definition(server, launch.dag_id, launch.form_slug)
    if found is None:
        return _("The launch form that it came through was deleted.")
    if not found.is_enabled:
        return _("The launch form that it came through was switched off.")
    if not usable_forms(user, server=server, dag_id=launch.dag_id).filter(pk=found.pk).exists():
        return _("%(name)s may not use the launch form “%(form)s”.") % {"name": name, "form": found.title}
    return ""


def changed_form(launch: Launch, server: Server) -> str:
    """What the form fixes or hides by now, and this launch has otherwise; ``""`` when it agrees."""
    found = definition(server, launch.dag_id, launch.form_slug) if launch.form_slug else None
    if found is None or found.version == launch.form_version:
        return ""
    shapes, params = shapes_of(found.shapes), launch.params
    missing = [shape.name for shape in shapes if shape.mode == "fixed" and shape.name not in params]
    if missing or shape_mistakes(shapes, params):
        return _("Its launch form was changed and gives other values by now. Launch it again.")
    return ""


def through_usable_forms(user: Any, launches: QuerySet[Launch]) -> QuerySet[Launch]:
    """Without the launches whose form this person may not use."""
    of_launch = {"server_id": OuterRef("server_id"), "dag_id": OuterRef("dag_id"), "slug": OuterRef("form_slug")}
    usable = FormDefinition.objects.filter(open_to(user), is_enabled=True, **of_launch)
    return launches.filter(Q(form_slug="") | Exists(usable))
