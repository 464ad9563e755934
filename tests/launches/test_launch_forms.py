"""Launch forms: what they make of a Dag's params, who may use them, and that the server holds to them."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied

from panel.access.models import AuditEvent
from panel.launches.approvals import approve_launch, why_not_decide
from panel.launches.form_rights import usable_forms, visible_forms
from panel.launches.guard_rails_changing import set_guard_rails
from panel.launches.launch_forms_changing import FormContent, add_form, change_form, delete_form, set_only_forms
from panel.launches.models import FormDefinition, Launch
from panel.launches.selectors import launches_to_approve
from panel.launches.services import request_launch
from panel.launches.shapes import shapes_of
from panel.problems import Conflicting, Unprocessable

pytestmark = pytest.mark.django_db


@pytest.fixture
def launch_through(server, deployer):
    """``launch_through(form, version="1")``"""

    def launch(form, *, user=None, key="", **params):
        slug = form if isinstance(form, str) else form.slug
        return request_launch(
            user=user or deployer, server=server, dag_id="deploy", params=params, form=slug, idempotency_key=key
        ).launch

    return launch


def content(form, **more):
    given = {"slug": form.slug, "title": form.title, "button": form.button, "shapes": shapes_of(form.shapes)}
    return FormContent(**given | more)


# ── What a launch gives to the Dag ───────────────────────────────────────────────────────────────────────────────
def test_a_launch_takes_what_the_form_fixes_and_its_defaults(form, launch_through):
    launch = launch_through(form, version="1.2.3")
    assert launch.params == {"version": "1.2.3", "env": "prod", "replicas": 3}
    assert (launch.form_slug, launch.form_version) == ("deploy-it", 1)


def test_what_was_chosen_wins_over_the_forms_default(form, launch_through):
    assert launch_through(form, version="1", env="staging").params["env"] == "staging"


@pytest.mark.parametrize("value", [4, 3.0, "3", None])
def test_another_value_for_a_fixed_param_is_refused(value, form, launch_through):
    with pytest.raises(Unprocessable) as refused:
        launch_through(form, version="1", replicas=value)
    assert list(refused.value.fields) == ["replicas"]
    assert not Launch.objects.exists()


def test_the_fixed_value_itself_may_be_given(form, launch_through):
    assert launch_through(form, version="1", replicas=3).params["replicas"] == 3


def test_a_hidden_param_is_not_sent_and_not_taken(make_form, launch_through):
    form = make_form([{"name": "replicas", "mode": "hidden"}])
    assert launch_through(form, version="1").params == {"version": "1"}
    with pytest.raises(Unprocessable) as refused:
        launch_through(form, version="1", replicas=2)
    assert list(refused.value.fields) == ["replicas"]


def test_values_have_to_fit_the_dag_as_ever(form, launch_through):
    with pytest.raises(Unprocessable) as refused:
        launch_through(form, env="moon", more=1)
    assert set(refused.value.fields) == {"version", "env", "more"}


def test_the_bare_form_is_what_it_was(form, launched):
    launch = launched(version="1")
    assert (launch.params, launch.form_slug) == ({"version": "1"}, "")


def test_the_same_key_with_another_form_is_another_body(form, launch_through, server, deployer):
    first = launch_through(form, version="1", key="k")
    assert launch_through(form, version="1", key="k") == first
    with pytest.raises(Conflicting):
        request_launch(user=deployer, server=server, dag_id="deploy", params={"version": "1"}, idempotency_key="k")


# ── Only through its forms ───────────────────────────────────────────────────────────────────────────────────────
def test_a_dag_can_be_launched_through_its_forms_only(form, launch_through, launched, server, admin):
    set_only_forms(user=admin, server=server, dag_id="deploy", only_forms=True)
    with pytest.raises(Unprocessable) as refused:
        launched(version="1")
    assert refused.value.code == "form_needed"
    assert launch_through(form, version="1").form_slug == "deploy-it"
    assert launch_through("", user=admin, version="1").form_slug == ""
    set_only_forms(user=admin, server=server, dag_id="deploy", only_forms=False)
    assert launched(version="1").form_slug == ""


def test_only_forms_set_meanwhile_holds_before_it_is_sent(form, launched, submitted, server, admin, fake_airflow):
    launch = launched(version="1")
    set_only_forms(user=admin, server=server, dag_id="deploy", only_forms=True)
    assert submitted(launch).state == "refused"
    assert "launch forms only" in launch.message
    assert fake_airflow.world.runs == {}


# ── Who may use it ───────────────────────────────────────────────────────────────────────────────────────────────
def slugs(found):
    return [one.slug for one in found]


def test_a_form_is_open_to_every_deployer_unless_it_names_somebody(form, deployer, admin, viewer, operator):
    assert slugs(usable_forms(deployer)) == slugs(usable_forms(admin)) == ["deploy-it"]
    assert slugs(usable_forms(viewer)) == slugs(usable_forms(operator)) == []


def test_a_form_of_a_group_is_seen_and_used_by_its_members_only(make_form, launch_through, person):
    Group.objects.create(name="payments")
    form = make_form(groups=["payments"])
    member, other = person("paul", "deployer", "payments"), person("olaf", "deployer")
    assert (slugs(usable_forms(member)), slugs(visible_forms(other))) == (["deploy-it"], [])
    assert launch_through(form, user=member, version="1")
    with pytest.raises(Unprocessable) as refused:
        launch_through(form, user=other, version="1")
    assert refused.value.code == "no_such_form"


def test_the_group_alone_is_no_right_to_launch(make_form, launch_through, person):
    Group.objects.create(name="payments")
    form = make_form(groups=["payments"])
    with pytest.raises(PermissionDenied):
        launch_through(form, user=person("vic", "viewer", "payments"), version="1")


def test_a_form_of_one_person_is_theirs_and_the_admins(make_form, launch_through, deployer, admin, person):
    form = make_form(users=["dora"])
    assert launch_through(form, user=deployer, version="1")
    assert launch_through(form, user=admin, version="1")
    assert slugs(usable_forms(person("olaf", "deployer"))) == []


def test_a_form_that_is_switched_off_launches_nothing(make_form, launch_through, deployer, admin):
    form = make_form(is_enabled=False)
    assert slugs(visible_forms(deployer)) == []
    assert slugs(visible_forms(admin)) == ["deploy-it"]
    for user in (deployer, admin):
        with pytest.raises(Conflicting):
            launch_through(form, user=user, version="1")


@pytest.mark.parametrize("slug", ["nope", "Deploy-It", "deploy-it\x00"])
def test_a_form_that_is_not_there_launches_nothing(slug, form, launch_through):
    with pytest.raises(Unprocessable):
        launch_through(slug, version="1")


def test_rights_to_the_form_are_checked_again_before_it_is_sent(make_form, launch_through, submitted, person, admin):
    team = Group.objects.create(name="payments")
    form = make_form(groups=["payments"])
    paul = person("paul", "deployer", "payments")
    launch = launch_through(form, user=paul, version="1")
    paul.groups.remove(team)
    assert submitted(launch).state == "refused"
    assert "paul may not use the launch form “Deploy a release”." in launch.message


def test_a_form_that_was_deleted_or_changed_meanwhile_sends_nothing(form, launch_through, submitted, admin):
    other = launch_through(form, version="1")
    harmless = launch_through(form, version="2")
    shapes = [*form.shapes[:2], {"name": "replicas", "mode": "fixed", "value": 5}]
    change_form(user=admin, form=form, content=content(form, title="New words"), version=1)
    assert submitted(harmless).state == "queued"
    change_form(user=admin, form=form, content=content(form, shapes=shapes_of(shapes)), version=2)
    assert submitted(other).state == "refused"
    assert "gives other values by now" in other.message
    last = launch_through(form, version="3")
    delete_form(user=admin, form=form)
    assert submitted(last).state == "refused"
    assert "was deleted" in last.message


# ── Approval ─────────────────────────────────────────────────────────────────────────────────────────────────────
def test_only_who_may_use_the_form_approves(make_form, launch_through, server, admin, person, submitted):
    team = Group.objects.create(name="payments")
    form = make_form(groups=["payments"])
    set_guard_rails(user=admin, server=server, dag_id="deploy", protects="everything")
    paul, pia, olaf = (
        person("paul", "deployer", "payments"),
        person("pia", "deployer", "payments"),
        person("olaf", "deployer"),
    )
    launch = launch_through(form, user=paul, version="1")
    assert launch.state == "awaiting_approval"
    assert "olaf may not use the launch form" in why_not_decide(olaf, launch)
    assert list(launches_to_approve(olaf)) == []
    assert list(launches_to_approve(pia)) == list(launches_to_approve(admin)) == [launch]
    with pytest.raises(Conflicting):
        approve_launch(user=olaf, launch=launch)
    approve_launch(user=pia, launch=launch)
    pia.groups.remove(team)
    assert submitted(launch).state == "refused"
    assert "pia may not use" in launch.message


def test_a_fixed_value_protects_a_launch_like_any_other(make_form, launch_through, server, admin):
    form = make_form([{"name": "env", "mode": "fixed", "value": "prod"}])
    set_guard_rails(user=admin, server=server, dag_id="deploy", protects="values", values=[("env", "prod")])
    assert launch_through(form, version="1").state == "awaiting_approval"


# ── A Dag that changed since ─────────────────────────────────────────────────────────────────────────────────────
def test_a_fixed_value_that_no_longer_fits_is_refused_clearly(form, launch_through, change_dag):
    change_dag(replicas={"value": 1, "schema": {"type": "integer", "maximum": 2}})
    with pytest.raises(Conflicting) as refused:
        launch_through(form, version="1")
    assert refused.value.code == "form_outdated"
    assert "“replicas” does not fit the Dag any more: Enter 2 or less." in refused.value.message


@pytest.mark.parametrize("name", ["replicas", "env"])
def test_a_param_that_vanished_is_refused_clearly(name, form, launch_through, change_dag):
    change_dag(**{name: None})
    with pytest.raises(Conflicting) as refused:
        launch_through(form, version="1")
    assert f"no param “{name}” any more" in refused.value.message


def test_a_hidden_param_that_vanished_hinders_nobody(make_form, launch_through, change_dag):
    form = make_form([{"name": "replicas", "mode": "hidden"}])
    change_dag(replicas=None)
    assert launch_through(form, version="1").params == {"version": "1"}


def test_a_hidden_param_that_became_required_is_refused_clearly(make_form, launch_through, change_dag):
    form = make_form([{"name": "replicas", "mode": "hidden"}])
    change_dag(replicas={"value": None, "schema": {"type": "integer"}})
    with pytest.raises(Conflicting) as refused:
        launch_through(form, version="1")
    assert "hides “replicas”" in refused.value.message


def test_a_fixed_param_that_became_a_secret_is_refused(make_form, launch_through, change_dag):
    form = make_form([{"name": "version", "mode": "fixed", "value": "1"}])
    change_dag(version={"value": None, "schema": {"type": "string", "format": "password"}})
    with pytest.raises(Conflicting):
        launch_through(form)


def test_a_new_param_of_the_dag_may_be_given(form, launch_through, change_dag):
    change_dag(dry_run={"value": False, "schema": {"type": "boolean"}})
    assert launch_through(form, version="1", dry_run=True).params["dry_run"] is True


# ── Making and changing ──────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("wrong", "field", "words"),
    [
        ({"slug": "Not good"}, "slug", "Lower-case"),
        ({"slug": "add"}, "slug", "not “add”"),
        ({"title": "  "}, "title", "Give it a title"),
        ({"text": "x" * 5_001}, "text", "At most"),
        ({"button": "Deploy {verison}"}, "button", "no param “verison”"),
        ({"button": "Deploy {version"}, "button", "A brace is open"),
        ({"groups": ["nobodies"]}, "groups", "Not known: nobodies"),
        ({"users": ["dora", "ghost"]}, "users", "Not known: ghost"),
        ({"shapes": [{"name": "verison", "mode": "shown"}]}, "params.verison", "no such param"),
        ({"shapes": [{"name": "env", "mode": "fixed", "value": "moon"}]}, "params.env", "not one of the choices"),
        ({"shapes": [{"name": "env", "mode": "fixed"}]}, "params.env", "Say which value"),
        ({"shapes": [{"name": "env", "mode": "shown", "value": 3}]}, "params.env", "This must be text"),
        ({"shapes": [{"name": "env", "mode": "hidden", "value": "prod"}]}, "params.env", "What is hidden"),
        ({"shapes": [{"name": "version", "mode": "hidden"}]}, "params.version", "cannot be hidden"),
        ({"shapes": [{"name": "env", "mode": "shown"}] * 2}, "params.env", "more than once"),
    ],
)
def test_a_form_that_makes_no_sense_is_refused_at_its_field(wrong, field, words, make_form, deployer):
    with pytest.raises(Unprocessable) as refused:
        make_form(**wrong)
    assert words in " ".join(refused.value.fields[field])
    assert not FormDefinition.objects.exists()


def test_a_secret_is_not_kept_in_a_form(make_form, change_dag):
    change_dag(token={"value": None, "schema": {"type": ["string", "null"], "format": "password"}})
    for shape in ({"mode": "fixed", "value": "s3cr3t"}, {"mode": "shown", "value": "s3cr3t"}):
        with pytest.raises(Unprocessable) as refused:
            make_form([{"name": "token", **shape}])
        assert refused.value.fields["params.token"][0] == "A secret is not kept in a form."
    with pytest.raises(Unprocessable) as refused:
        make_form(button="Deploy with {token}")
    assert "is a secret" in refused.value.fields["button"][0]


def test_two_forms_of_a_dag_have_two_short_names(make_form):
    make_form()
    with pytest.raises(Unprocessable) as refused:
        make_form()
    assert list(refused.value.fields) == ["slug"]
    assert make_form(slug="other").slug == "other"


def test_the_second_of_two_admins_is_told(form, admin, person):
    other = person("amir", "admin")
    change_form(user=other, form=form, content=content(form, title="Amir's"), version=1)
    with pytest.raises(Conflicting) as refused:
        change_form(user=admin, form=FormDefinition.objects.get(), content=content(form, title="Anna's"), version=1)
    assert "amir changed this launch form" in refused.value.message
    form.refresh_from_db()
    assert (form.title, form.version, form.username) == ("Amir's", 2, "amir")
    with pytest.raises(Conflicting):
        delete_form(user=admin, form=form, version=1)


@pytest.mark.parametrize("who", ["viewer", "operator", "deployer"])
def test_only_admins_make_change_and_delete_forms(who, form, request, server):
    user = request.getfixturevalue(who)
    for act in (
        lambda: add_form(user=user, server=server, dag_id="deploy", content=content(form, slug="x")),
        lambda: change_form(user=user, form=form, content=content(form), version=1),
        lambda: delete_form(user=user, form=form),
        lambda: set_only_forms(user=user, server=server, dag_id="deploy", only_forms=True),
    ):
        with pytest.raises(PermissionDenied):
            act()
    assert FormDefinition.objects.get().version == 1


def test_each_change_leaves_a_trace_without_values(form, admin, server):
    change_form(user=admin, form=form, content=content(form, is_enabled=False), version=1)
    set_only_forms(user=admin, server=server, dag_id="deploy", only_forms=True)
    delete_form(user=admin, form=form)
    events = AuditEvent.objects.order_by("pk")
    assert [event.action for event in events] == [
        "launches.add_form", "launches.change_form", "launches.set_only_forms", "launches.delete_form",
    ]  # fmt: skip
    assert events[0].detail["params"] == {"version": "shown", "env": "shown", "replicas": "fixed"}
    assert events[1].detail["is_enabled"] is False
