"""Between a Dag's fields and what a launch form shows of them: the one place that joins the two.

Pages and API, the form that people fill in and the service that stores a launch, all ask here what is shown, what is
fixed, and what no longer agrees because the Dag's params changed since the form was made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.utils.translation import gettext as _

from panel.launches.conf import digest
from panel.launches.fields import Field
from panel.launches.models import FormDefinition
from panel.launches.shapes import Mode, Options, Shape, may_decide, may_depend, shapes_of
from panel.launches.validation import messages_for


@dataclass(frozen=True)
class ShapedFields:
    """``shown`` in the order of the form, with its titles, help and defaults; params that the form does not name come
    last. ``options`` by the name of a shown param.

    ``obstacles`` are why nothing can be launched through this form; ``notices`` what else its admins should know.
    """

    fields: list[Field]
    definition: FormDefinition | None = None
    shown: list[Field] = field(default_factory=list)
    fixed: dict[str, Any] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()
    defaults: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Options] = field(default_factory=dict)
    obstacles: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    @property
    def slug(self) -> str:
        return self.definition.slug if self.definition else ""

    @property
    def by_name(self) -> dict[str, Field]:
        """Every field of the Dag; the shown ones as the form has them."""
        return {one.name: one for one in [*self.fields, *self.shown]}

    @property
    def ordered(self) -> list[Field]:
        """All fields: those shown in the order of the form, then the others."""
        names = {one.name for one in self.shown}
        return [*self.shown, *(one for one in self.fields if one.name not in names)]

    def sent(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """What a launch with these params gives to the Dag: the form's own defaults, then them, then what is fixed."""
        return {**self.defaults, **params, **self.fixed}

    def mistakes(self, params: Mapping[str, Any]) -> dict[str, list[str]]:
        """Messages by param for what this form does not let anybody choose."""
        if self.definition is None:
            return {}
        return shape_mistakes(shapes_of(self.definition.shapes), params)


def shape_mistakes(shapes: Sequence[Shape], params: Mapping[str, Any]) -> dict[str, list[str]]:
    """Values that differ from a fixed one, or that are given for a hidden param."""
    found = {}
    for shape in shapes:
        if shape.name not in params:
            continue
        if shape.mode is Mode.HIDDEN:
            found[shape.name] = [_("This launch form does not ask for it: the Dag's own default holds.")]
        elif shape.mode is Mode.FIXED and digest(params[shape.name]) != digest(shape.value):
            found[shape.name] = [_("This launch form always gives it a value of its own. Leave it out.")]
    return found


def shaped(fields: Sequence[Field], definition: FormDefinition | None = None) -> ShapedFields:
    """The fields as this form has them; without one as the Dag has them."""
    if definition is None:
        return ShapedFields(list(fields), shown=list(fields))
    result = ShapedFields(list(fields), definition, hidden=frozenset(_names(definition, Mode.HIDDEN)))
    known = {one.name: one for one in fields}
    for shape in shapes_of(definition.shapes):
        _apply(result, shape, known.get(shape.name))
    named = {shape.name for shape in shapes_of(definition.shapes)}
    fresh = [one for one in fields if one.name not in named]
    result.shown.extend(fresh)
    for one in fresh:
        result.notices.append(_("New in the Dag, and shown last: %(name)s.") % {"name": one.name})
    for one in fields:
        if one.name in result.hidden and one.required:
            result.obstacles.append(
                _("The form hides “%(name)s”, for which the Dag now needs a value.") % {"name": one.name}
            )
    return result


def _names(definition: FormDefinition, mode: Mode) -> list[str]:
    return [shape.name for shape in shapes_of(definition.shapes) if shape.mode is mode]


def _apply(result: ShapedFields, shape: Shape, one: Field | None) -> None:
    if one is None:
        said = _("The Dag has no param “%(name)s” any more, which the form still has.") % {"name": shape.name}
        (result.notices if shape.mode is Mode.HIDDEN else result.obstacles).append(said)
    elif shape.mode is Mode.FIXED:
        _fix(result, shape, one)
    elif shape.mode is Mode.SHOWN:
        _show(result, shape, one)


def _fix(result: ShapedFields, shape: Shape, one: Field) -> None:
    result.fixed[one.name] = shape.value
    if one.is_secret:
        result.obstacles.append(_("“%(name)s” is a secret by now; a form keeps none.") % {"name": one.name})
    elif messages := messages_for(one.schema, shape.value):
        result.obstacles.append(
            _("The value that the form gives to “%(name)s” does not fit the Dag any more: %(why)s")
            % {"name": one.name, "why": " ".join(messages)}
        )


def _show(result: ShapedFields, shape: Shape, one: Field) -> None:
    if shape.has_value and not one.is_secret:
        result.defaults[one.name] = shape.value
        if messages := messages_for(one.schema, shape.value):
            result.notices.append(
                _("The form's default of “%(name)s” does not fit the Dag any more: %(why)s")
                % {"name": one.name, "why": " ".join(messages)}
            )
    default = result.defaults.get(one.name, one.default)
    result.shown.append(replace(one, default=default, title=shape.title or one.title, help=shape.help or one.help))
    if shape.options is not None:
        _depend(result, shape.options, one)


def _depend(result: ShapedFields, options: Options, one: Field) -> None:
    other = next((field for field in result.fields if field.name == options.on), None)
    if options.on and (other is None or not may_decide(other)):
        result.obstacles.append(
            _("The options of “%(name)s” depend on “%(on)s”, which the Dag has no longer, or not as one value.")
            % {"name": one.name, "on": options.on}
        )
    elif not may_depend(one):
        result.obstacles.append(_("“%(name)s” can have no options of its own any more.") % {"name": one.name})
    else:
        result.options[one.name] = options
