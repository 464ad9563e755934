"""A launch form that protects whatever is launched through it."""

from __future__ import annotations

import pytest

from panel.launches.approvals import approve_launch
from panel.launches.guard_rails_changing import set_guard_rails
from panel.launches.launch_forms_changing import FormContent, change_form
from panel.launches.models import Launch
from panel.launches.services import request_launch
from panel.launches.shapes import shapes_of
from panel.problems import Unprocessable

pytestmark = pytest.mark.django_db
API = "/api/v1/servers/prod/dags/deploy/launches/"
PAGE = "/servers/prod/dags/deploy/launch/?form=deploy-it"


@pytest.fixture
def protected(make_form):
    return make_form(is_protected=True)


@pytest.fixture
def through(server, deployer):
    def launch(**more) -> Launch:
        given = {"params": {"version": "1.2.3"}, "form": "deploy-it"} | more
        return request_launch(user=deployer, server=server, dag_id="deploy", **given).launch

    return launch


def test_it_waits_for_somebody_else(protected, through, person, submitted, fake_airflow):
    launch = through()
    assert (launch.state, launch.protected) == ("awaiting_approval", True)
    approve_launch(user=person("dirk", "deployer"), launch=launch)
    assert submitted(Launch.objects.get()).state == "queued"
    assert len(fake_airflow.world.runs) == 1


def test_the_bare_form_is_as_the_dag_has_it(protected, through):
    assert through(form="").state == "submitting"


def test_where_nobody_has_to_approve_it_is_confirmed_by_typing(protected, through, server, admin):
    set_guard_rails(user=admin, server=server, dag_id="deploy", protects="nothing", needs_approval=False)
    with pytest.raises(Unprocessable, match=r"through the form “Deploy a release” is protected\. Type deploy"):
        through()
    assert through(confirm="deploy").state == "submitting"


def test_the_page_asks_for_the_word_beside_the_values(protected, as_user, deployer):
    client = as_user(deployer)
    form = client.get(PAGE).context["form"]
    posted = {"launch-form": form.digest, "launch-key": form.key, "p-version": "1.2.3", "p-env": '"prod"'}
    page = client.post(PAGE, posted).content.decode()
    assert "Type <strong>deploy</strong> to confirm" in page
    assert client.post(PAGE, posted | {"launch-confirm": "deploy"}).status_code == 302
    assert Launch.objects.get().state == "awaiting_approval"


def test_a_form_that_is_protected_meanwhile_stops_what_was_not_sent(make_form, through, admin, submitted, fake_airflow):
    form = make_form()
    launch = through()
    content = FormContent(slug=form.slug, title=form.title, shapes=shapes_of(form.shapes), is_protected=True)
    change_form(user=admin, form=form, content=content, version=form.version)
    assert submitted(launch).state == "refused"
    assert "guard rails were set that it did not pass" in launch.message
    assert fake_airflow.world.runs == {}


def test_rest_tells_and_sets_it(make_form, as_user, admin):
    form, client = make_form(), as_user(admin)
    url = "/api/v1/servers/prod/dags/deploy/launch-forms/deploy-it/"
    told = client.get(url).json()
    assert told["is_protected"] is False
    kept = {name: told[name] for name in ("slug", "title", "text", "button", "groups", "users", "params", "version")}
    answer = client.put(url, kept | {"is_protected": True}, content_type="application/json")
    assert (answer.status_code, answer.json()["is_protected"]) == (200, True)
    form.refresh_from_db()
    assert form.is_protected
