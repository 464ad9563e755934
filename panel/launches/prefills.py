"""What a launch form begins with besides the defaults: an earlier launch, a run, a preset, a link with values.

What does not fit is said and never silently left out; nothing is ever launched by opening a link.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from django.contrib.auth.models import User
from django.http import QueryDict
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from panel.airflow import AirflowError, NotFound
from panel.launches import selectors
from panel.launches.conf import digest
from panel.launches.entries import Unreadable
from panel.launches.fields import Field
from panel.launches.found import launch_id_of
from panel.launches.models import Launch, Preset
from panel.launches.presets import presets_of
from panel.launches.shaped_fields import ShapedFields
from panel.launches.typed_texts import texts_of_value, value_of_texts
from panel.launches.validation import messages_for
from panel.servers.client import open_client
from panel.servers.models import Server

VALUE: Final = "p."
NO_VALUE: Final = "none"
FORM: Final = "form"
PRESET: Final = "preset"
RUN: Final = "run"
LAUNCH: Final = "from"
LONGEST_LINK: Final = 6_000
"""What browsers, proxies and mails take without cutting it."""
MOST_SAID: Final = 30


@dataclass
class Prefill:
    """``values`` by param, of ``launch`` and ``preset`` where these were named.

    ``said`` are sentences about what was not taken over or does not fit.
    """

    values: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    errors: dict[str, list[str]] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    preset: Preset | None = None
    launch: Launch | None = None


def prefill(*, user: User, server: Server, shape: ShapedFields, dag_id: str, query: QueryDict) -> Prefill:
    """What this address asks the form to begin with; values of the link win over those of a preset, and so on."""
    start = Prefill()
    _take(start, shape, shape.defaults, judged_only=True)
    if given := query.get(LAUNCH, ""):
        _from_launch(start, shape, server, dag_id, given)
    if given := query.get(RUN, ""):
        _from_run(start, shape, server, dag_id, given)
    if given := query.get(PRESET, ""):
        _from_preset(start, shape, user, server, dag_id, given)
    _from_link(start, shape, query)
    if len(start.said) > MOST_SAID:
        start.said[MOST_SAID:] = [_("And %(n)s more like these.") % {"n": len(start.said) - MOST_SAID}]
    return start


def misfits(shape: ShapedFields, values: Mapping[str, Any]) -> list[str]:
    """What is wrong with these values for this form, one sentence each."""
    start = Prefill()
    _take(start, shape, values)
    return start.said


def link_query(shape: ShapedFields, values: Mapping[str, Any]) -> str:
    """The query string that brings these values back; ``""`` when it would be too long. Secrets are left out."""
    pairs: list[tuple[str, str]] = [(FORM, shape.slug)] if shape.slug else []
    for one in shape.shown:
        if one.name not in values or one.is_secret:
            continue
        texts = texts_of_value(one, values[one.name])
        pairs += [(NO_VALUE, one.name)] if texts is None else [(f"{VALUE}{one.name}", text) for text in texts]
    query = urlencode(pairs)
    return query if len(query) <= LONGEST_LINK else ""


def _from_launch(start: Prefill, shape: ShapedFields, server: Server, dag_id: str, given: str) -> None:
    launch: Launch | None = None
    if launch_id := launch_id_of(given):
        launch = selectors.launches(server=server.slug, dag_id=dag_id).filter(pk=launch_id).first()
    if launch is None:
        start.said.append(_("There is no such launch of this Dag to take values from."))
        return
    start.launch, start.note = launch, launch.note
    start.errors = {name: list(messages) for name, messages in launch.fields.items()}
    _take(start, shape, launch.params, quiet=set(start.errors), secrets=set(launch.secret_params))


def _from_run(start: Prefill, shape: ShapedFields, server: Server, dag_id: str, run_id: str) -> None:
    """Airflow is asked: the mirror keeps large params only in part."""
    try:
        with open_client(server) as airflow:
            conf = airflow.runs.find(dag_id, run_id).conf or {}
    except NotFound:
        start.said.append(_("Airflow has no such run of this Dag to take values from."))
    except AirflowError as error:
        start.said.append(_("The values of the run cannot be read now: %(why)s") % {"why": error})
    else:
        _take(start, shape, conf)


def _from_preset(start: Prefill, shape: ShapedFields, user: User, server: Server, dag_id: str, given: str) -> None:
    found = presets_of(user, server, dag_id, shape.definition)
    preset = found.filter(pk=int(given)).first() if given.isascii() and given.isdigit() and len(given) < 18 else None
    if preset is None:
        start.said.append(_("This form has no such preset, or none that you may see. Nothing was taken over from it."))
        return
    start.preset = preset
    _take(start, shape, preset.params)


def _from_link(start: Prefill, shape: ShapedFields, query: QueryDict) -> None:
    known = shape.by_name
    values: dict[str, Any] = dict.fromkeys(query.getlist(NO_VALUE))
    for key in query:
        if not key.startswith(VALUE):
            continue
        name = key.removeprefix(VALUE)
        one = known.get(name)
        if one is None:
            start.said.append(_("The link has a value for “%(name)s”, which is no param.") % {"name": name[:60]})
        elif one.is_secret:
            said = _("The link has a value for the secret “%(title)s”. It was not taken over: a secret does not belong "
                     "in a link.")  # fmt: skip
            start.said.append(said % {"title": one.title})
        else:
            try:
                values[name] = value_of_texts(one, query.getlist(key))
            except Unreadable as error:
                start.said.append(
                    _("The link's value for “%(title)s” cannot be read: %(why)s") % {"title": one.title, "why": error}
                )
    _take(start, shape, values)


def _take(
    start: Prefill,
    shape: ShapedFields,
    values: Mapping[str, Any],
    *,
    quiet: set[str] | None = None,
    secrets: set[str] | None = None,
    judged_only: bool = False,
) -> None:
    """Take over what the form asks for, and say what it does not, or what does not fit."""
    known, shown = shape.by_name, {one.name for one in shape.shown}
    for name, value in values.items():
        one = known.get(name)
        if one is None:
            start.said.append(_("“%(name)s” is no param of this Dag; its value was left out.") % {"name": name[:60]})
        elif one.is_secret or name in (secrets or ()):
            if value:
                start.said.append(_("“%(title)s” is a secret: enter it again.") % {"title": one.title})
        elif name in shape.fixed:
            if digest(value) != digest(shape.fixed[name]):
                start.said.append(_("“%(title)s” is always the same in this form.") % {"title": one.title})
        elif name not in shown:
            start.said.append(
                _("This form does not ask for “%(title)s”; its value was left out.") % {"title": one.title}
            )
        else:
            if not judged_only:
                start.values[name] = value
            _judge(start, one, value, quiet or set())


def _judge(start: Prefill, one: Field, value: Any, quiet: set[str]) -> None:
    messages = messages_for(one.schema, value)
    if messages and one.name not in quiet:
        start.said.append(_("“%(title)s” does not fit: %(why)s") % {"title": one.title, "why": " ".join(messages)})
