"""Presets: values kept under a name, for oneself or a team."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied

from panel.access.models import AuditEvent
from panel.launches.launch_forms_changing import delete_form
from panel.launches.models import Launch, Preset
from panel.launches.presets import add_preset, change_preset, delete_preset, presets_of, visible_presets
from panel.problems import Conflicting, Unprocessable

pytestmark = pytest.mark.django_db
URL = "/servers/prod/dags/deploy/launch/"
THROUGH = f"{URL}?form=deploy-it"
TOKEN = {"value": None, "schema": {"type": ["string", "null"], "format": "password"}}


@pytest.fixture
def keep(server, deployer, form):
    def preset(*, user=None, name="nightly", team="", slug="deploy-it", **params):
        return add_preset(
            user=user or deployer, server=server, dag_id="deploy", form=slug, name=name, team=team, params=params
        )

    return preset


@pytest.fixture
def team(person):
    """Two deployers and a viewer of one group, and a deployer who is not in it."""
    Group.objects.create(name="payments")
    return {
        "paul": person("paul", "deployer", "payments"),
        "pia": person("pia", "deployer", "payments"),
        "vic": person("vic", "viewer", "payments"),
        "olaf": person("olaf", "deployer"),
    }


def filled_in(client, url=THROUGH, **more):
    form = client.get(url).context["form"]
    posted = {"launch-form": form.digest, "launch-key": form.key, "p-env": '"prod"', "p-version": "1.2.3"}
    return posted | {"p-replicas": "2"} | more


def text_of(response):
    return " ".join(response.content.decode().split())


# ── On the form ──────────────────────────────────────────────────────────────────────────────────────────────────
def test_it_is_saved_from_the_form_and_fills_it_in_again(form, as_user, deployer):
    client = as_user(deployer)
    answer = client.post(
        THROUGH,
        filled_in(client, **{"launch-save-preset": "1", "launch-preset-name": "Prod <b>", "p-env": '"staging"'}),
    )
    preset = Preset.objects.get()
    assert preset.params == {"env": "staging", "version": "1.2.3"}
    assert answer["Location"] == f"{THROUGH}&preset={preset.pk}"
    page = client.get(answer["Location"])
    assert "Filled in from your preset “Prod &lt;b&gt;”." in text_of(page)
    assert 'value="1.2.3"' in text_of(page)
    assert page.context["form"].start.values == preset.params
    assert not Launch.objects.exists()


def test_what_is_missing_or_wrong_is_left_out_and_said(as_user, deployer, deploy_dag):
    client = as_user(deployer)
    entered = filled_in(client, URL, **{"launch-save-preset": "1", "launch-preset-name": "half", "p-version": ""})
    answer = client.post(URL, entered | {"p-replicas": "99"}, follow=True)
    assert Preset.objects.get().params == {"env": "prod"}
    assert "Not in it, to be entered each time: version, replicas." in text_of(answer)


def test_a_secret_is_never_in_it(as_user, deployer, deploy_dag, change_dag):
    change_dag(token=TOKEN)
    client = as_user(deployer)
    assert "Secrets are never kept in a preset" in text_of(client.get(URL))
    entered = filled_in(client, URL, **{"launch-save-preset": "1", "launch-preset-name": "x", "p-token": "s3cr3t"})
    client.post(URL, entered)
    assert Preset.objects.get().params == {"env": "prod", "version": "1.2.3", "replicas": 2}
    assert "s3cr3t" not in str(list(AuditEvent.objects.values_list("detail", flat=True)))


def test_the_service_refuses_secrets_and_what_is_no_param(keep, change_dag):
    change_dag(token=TOKEN)
    with pytest.raises(Unprocessable) as refused:
        keep(token="s3cr3t", nope=1)
    assert set(refused.value.fields) == {"token", "nope"}
    assert not Preset.objects.exists()


@pytest.mark.parametrize("name", ["", "   ", "x" * 81, "a\nb", "a\x00"])
def test_it_needs_a_name(name, keep, as_user, deployer):
    with pytest.raises(Unprocessable):
        keep(name=name)
    client = as_user(deployer)
    entered = filled_in(client, **{"launch-save-preset": "1", "launch-preset-name": "", "p-version": "7.7"})
    answer = client.post(THROUGH, entered)
    assert answer.status_code == 422
    assert "Give it a name" in text_of(answer)
    assert 'value="7.7"' in text_of(answer)


def test_a_name_is_there_once_for_each_holder_and_form(keep, team):
    keep(version="1")
    with pytest.raises(Unprocessable) as refused:
        keep(version="2")
    assert list(refused.value.fields) == ["name"]
    keep(slug="", version="2")
    keep(user=team["olaf"], version="3")
    keep(user=team["paul"], team="payments", version="4")
    with pytest.raises(Unprocessable):
        keep(user=team["pia"], team="payments", version="5")
    assert Preset.objects.count() == 4


# ── Whose it is ──────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_personal_preset_is_seen_by_its_owner_alone(keep, team, deployer, admin, as_user):
    preset = keep(version="9.9.9")
    for other in (team["olaf"], admin):
        assert preset not in visible_presets(other)
        assert as_user(other).get(f"/presets/{preset.pk}/").status_code == 404
        assert as_user(other).post(f"/presets/{preset.pk}/delete/").status_code == 404
    answer = as_user(team["olaf"]).get(f"{THROUGH}&preset={preset.pk}")
    assert "no such preset" in text_of(answer)
    assert "9.9.9" not in text_of(answer)
    assert Preset.objects.exists()


def test_a_teams_preset_is_seen_and_changed_by_its_deployers_and_admins(keep, team, server, form, admin):
    preset = keep(user=team["paul"], team="payments", version="1")
    assert list(presets_of(team["pia"], server, "deploy", form)) == [preset]
    assert list(presets_of(team["olaf"], server, "deploy", form)) == []
    assert change_preset(user=team["pia"], preset=preset, version=1, name="renamed").name == "renamed"
    assert change_preset(user=admin, preset=preset, version=2, params={"version": "2"}).params == {"version": "2"}
    with pytest.raises(PermissionDenied):
        change_preset(user=team["vic"], preset=preset, version=3, name="x")
    with pytest.raises(Conflicting):
        delete_preset(user=team["olaf"], preset=preset)
    delete_preset(user=team["pia"], preset=preset)
    assert not Preset.objects.exists()


def test_a_team_is_a_group_one_is_in(keep, team):
    with pytest.raises(Unprocessable) as refused:
        keep(user=team["olaf"], team="payments", version="1")
    assert list(refused.value.fields) == ["team"]


def test_who_may_not_use_the_form_keeps_nothing_for_it(make_form, team, server, as_user):
    make_form(slug="closed", groups=["payments"])
    with pytest.raises(Unprocessable):
        add_preset(user=team["olaf"], server=server, dag_id="deploy", form="closed", name="x", params={})


def test_of_two_who_change_it_the_second_is_told(keep, team):
    preset = keep(user=team["paul"], team="payments", version="1")
    change_preset(user=team["pia"], preset=Preset.objects.get(), version=1, name="pia's")
    with pytest.raises(Conflicting):
        change_preset(user=team["paul"], preset=preset, version=1, name="paul's")
    assert Preset.objects.get().name == "pia's"


def test_it_goes_with_its_form(keep, form, admin):
    keep(version="1")
    keep(slug="", version="1")
    delete_form(user=admin, form=form)
    assert [preset.place for preset in Preset.objects.all()] == ["dag"]


# ── Its page ─────────────────────────────────────────────────────────────────────────────────────────────────────
def test_it_is_renamed_and_deleted_on_its_page(keep, as_user, deployer):
    preset, client = keep(version="1"), as_user(deployer)
    keep(name="taken", version="1")
    page = f"/presets/{preset.pk}/"
    assert "Rename" in text_of(client.get(page))
    answer = client.post(f"{page}rename/", {"name": "taken", "version": "1"})
    assert answer.status_code == 422
    assert "of this name already" in text_of(answer)
    assert client.post(f"{page}rename/", {"name": "weekly", "version": "7"}).status_code == 409
    client.post(f"{page}rename/", {"name": "weekly", "version": "1"})
    preset.refresh_from_db()
    assert (preset.name, preset.version) == ("weekly", 2)
    assert client.get(f"{page}delete/").status_code == 405
    assert client.post(f"{page}delete/")["Location"] == THROUGH
    assert not Preset.objects.filter(pk=preset.pk).exists()


def test_values_that_no_longer_fit_are_named(keep, as_user, deployer, change_dag):
    preset = keep(slug="", version="1", replicas=9, env="staging")
    change_dag(
        replicas={"value": 1, "schema": {"type": "integer", "maximum": 5, "title": "Replicas"}},
        env=None,
        version=TOKEN | {"schema": TOKEN["schema"] | {"title": "Version"}},
    )
    client = as_user(deployer)
    for url in (f"/presets/{preset.pk}/", f"{URL}?preset={preset.pk}"):
        page = text_of(client.get(url))
        assert "“Replicas” does not fit: Enter 5 or less." in page
        assert "“env” is no param of this Dag" in page
        assert "“Version” is a secret: enter it again." in page
    assert "••••••" in text_of(client.get(f"/presets/{preset.pk}/"))


def test_each_change_leaves_a_trace_without_values(keep, deployer):
    preset = keep(version="very-own")
    change_preset(user=deployer, preset=preset, version=1, name="other")
    delete_preset(user=deployer, preset=preset)
    events = AuditEvent.objects.filter(target_kind="preset").order_by("pk")
    assert [event.action for event in events] == [
        "launches.add_preset", "launches.change_preset", "launches.delete_preset",
    ]  # fmt: skip
    assert events[0].detail["params"] == ["version"]
    assert "very-own" not in str([event.detail for event in events])
