"""Roll back: from a launch to the values of the last one that went well, to the same place."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from panel.launches.models import Launch
from panel.launches.rollback import rollback_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def past(launched):
    """``past("success", version="1")``: a launch that ended like that; each call is a day later than the one before."""
    days = iter(range(100, 0, -1))

    def make(state, **params):
        launch = launched(**params)
        moment = timezone.now() - timedelta(days=next(days))
        Launch.objects.filter(pk=launch.pk).update(state=state, created_at=moment)
        launch.refresh_from_db()
        return launch

    return make


def text_of(response):
    return " ".join(response.content.decode().split())


def target(launch):
    found = rollback_of(launch)
    return found.to if found else None


def test_it_is_the_last_success_to_the_same_env(past):
    past("success", env="prod", version="1")
    good = past("success", env="prod", version="2")
    past("success", env="staging", version="3")
    past("failed", env="prod", version="4")
    bad = past("failed", env="prod", version="5")
    assert target(bad) == good


def test_an_env_that_was_not_given_is_the_dags_default(past):
    good = past("success", version="1", env="staging")
    past("success", version="2", env="prod")
    assert target(past("failed", version="3")) == good


def test_a_success_with_the_same_values_is_no_way_back(past):
    good = past("success", version="1")
    past("success", version="2")
    past("success", version="2", replicas=2)  # the default
    assert target(past("failed", version="2")) == good


@pytest.mark.parametrize("state", ["failed", "rejected", "expired", "cancelled", "refused", "running", "submitting"])
def test_only_what_went_well_counts(state, past):
    past(state, version="1")
    assert target(past("failed", version="2")) is None


@pytest.mark.parametrize("state", ["awaiting_approval", "submitting", "refused", "cancelled"])
def test_what_never_ran_needs_no_way_back(state, past):
    past("success", version="1")
    assert target(past(state, version="2")) is None


def test_another_dag_or_server_or_a_later_launch_does_not_count(past):
    other = past("success", version="1")
    Launch.objects.filter(pk=other.pk).update(dag_id="other")
    elsewhere = past("success", version="1")
    Launch.objects.filter(pk=elsewhere.pk).update(server_slug="elsewhere")
    bad = past("failed", version="2")
    past("success", version="3")
    assert target(bad) is None


def test_a_dag_without_env_goes_back_to_the_last_success_whatever(server, deployer, fake_airflow, past, launched):
    fake_airflow.world.dags["deploy"].params["environment"] = fake_airflow.world.dags["deploy"].params.pop("env")
    good = past("success", version="1", environment="prod")
    past("success", version="2", environment="staging")
    assert target(past("failed", version="3", environment="prod")) == good
    del fake_airflow.world.dags["deploy"].params["environment"]
    last = past("success", version="4")
    assert target(past("failed", version="5")) == last
    assert rollback_of(past("failed", version="6")).place is None


def test_the_page_names_it_and_leads_to_the_form_with_its_values(past, deployer, viewer, as_user):
    good = past("success", env="prod", version="1.2.2")
    bad = past("failed", env="prod", version="1.2.3")
    client = as_user(deployer)
    page = text_of(client.get(f"/launches/{bad.pk}/"))
    url = f"/servers/prod/dags/deploy/launch/?from={good.pk}&amp;rollback={bad.pk}"
    assert url in page
    assert "It has the same env (&quot;prod&quot;)." in page
    form = text_of(client.get(url.replace("&amp;", "&")))
    assert 'value="1.2.2"' in form
    assert "Rolling back env &quot;prod&quot;" in form
    assert f"/launches/{bad.pk}/" in form
    assert "1.2.3&quot;" in form
    assert "Roll back…" not in text_of(as_user(viewer).get(f"/launches/{bad.pk}/"))


@pytest.mark.parametrize("rollback", ["nonsense", "00000000-0000-0000-0000-000000000000", ""])
def test_a_bent_address_is_an_ordinary_form(rollback, past, deployer, as_user):
    good = past("success", version="1")
    answer = as_user(deployer).get(f"/servers/prod/dags/deploy/launch/?from={good.pk}&rollback={rollback}")
    assert answer.status_code == 200
    assert "Rolling back" not in text_of(answer)


def test_a_secret_is_never_shown_as_a_difference(past, deployer, as_user, fake_airflow):
    schema = {"type": "string", "format": "password"}
    fake_airflow.world.dags["deploy"].params["token"] = {"value": "d", "schema": schema, "description": None}
    past("success", version="1", token="hunter-one")
    bad = past("failed", version="2", token="hunter-two")
    client = as_user(deployer)
    for page in (f"/launches/{bad.pk}/", rollback_of(bad).url):
        assert "hunter" not in client.get(page).content.decode()


def test_rest_names_it(past, viewer, as_user):
    good = past("success", version="1")
    bad = past("failed", version="2")
    client = as_user(viewer)
    assert client.get(f"/api/v1/launches/{bad.pk}/").json()["rollback_to"] == str(good.pk)
    assert client.get(f"/api/v1/launches/{good.pk}/").json()["rollback_to"] is None
