"""Options of a param that depend on another one: shown, and checked again by the server."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.utils import timezone

from panel.domain.option_hosts import option_hosts_from
from panel.launches.models import KnownOptions, Launch
from panel.launches.services import request_launch
from panel.problems import Conflicting, Unprocessable
from tests.fakes.option_source import OptionSource

pytestmark = pytest.mark.django_db
URL = "/servers/prod/dags/deploy/launch/?form=deploy-it"
OPTIONS = "/servers/prod/dags/deploy/launch/options/"
TABLE = {"staging": ["eu-1"], "prod": ["eu-1", "us-1"]}
REGION = {"value": "eu-1", "schema": {"type": "string", "title": "Region"}}
ZONES = {"value": [], "schema": {"type": "array", "items": {"type": "string"}, "title": "Zones"}}


@pytest.fixture
def source(settings):
    running = OptionSource()
    settings.LAUNCH_OPTION_HOSTS = option_hosts_from(f"127.0.0.1:{running.port} private")
    running.answers = {"/regions?env=prod": ["eu-1", "us-1"], "/regions?env=staging": ["eu-1"]}
    yield running
    running.close()


@pytest.fixture
def by_table(make_form, change_dag):
    change_dag(region=REGION, zones=ZONES)
    return make_form(
        [
            {"name": "region", "mode": "shown", "options": {"on": "env", "table": TABLE}},
            {"name": "zones", "mode": "shown", "options": {"on": "env", "table": {"prod": ["a", "b"]}}},
        ]
    )


@pytest.fixture
def by_url(make_form, change_dag, source):
    change_dag(region=REGION)
    return make_form(
        [{"name": "region", "mode": "shown", "options": {"on": "env", "url": source.url("/regions?env={env}")}}]
    )


@pytest.fixture
def launch(server, deployer):
    def request(**params):
        given = {"version": "1"} | params
        return request_launch(user=deployer, server=server, dag_id="deploy", params=given, form="deploy-it").launch

    return request


def refusal(launch, **params):
    with pytest.raises(Unprocessable) as refused:
        launch(**params)
    assert not Launch.objects.exists()
    return refused.value.fields


def text_of(response):
    return " ".join(response.content.decode().split())


# ── By a table ───────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_server_takes_what_the_table_has_for_the_value(by_table, launch):
    assert launch(env="prod", region="us-1", zones=["b"]).params["region"] == "us-1"


def test_the_server_refuses_what_the_table_has_for_another_value(by_table, launch):
    assert refusal(launch, env="staging", region="us-1") == {"region": ["us-1 is not one of the options."]}
    assert refusal(launch, region="us-1") == {"region": ["us-1 is not one of the options."]}  # env: the Dag's default
    assert refusal(launch, env="prod", zones=["a", "c"]) == {"zones": ["c is not one of the options."]}


def test_a_value_for_which_the_table_has_nothing_has_no_options(by_table, launch):
    assert refusal(launch, env="staging", zones=["a"]) == {"zones": ["There are no options for Environment = staging."]}


def test_what_is_not_given_is_not_judged(by_table, launch):
    assert launch(env="prod").params == {"env": "prod", "version": "1"}


def test_the_form_offers_them_as_choices(by_table, as_user, deployer):
    form = as_user(deployer).get(URL + "&p.env=prod").context["form"]
    choices = {one.name: [choice.value for choice in one.choices] for one in form.fields}
    assert (choices["region"], choices["zones"]) == (["eu-1", "us-1"], ["a", "b"])
    assert [one.kind for one in form.fields if one.name in ("region", "zones")] == ["enum", "multi_select"]


def test_htmx_reads_one_field_anew_when_the_other_changes(by_table, as_user, deployer):
    client = as_user(deployer)
    page = text_of(client.get(URL))
    assert 'hx-trigger="change from:#p-env-field"' in page
    answer = client.get(OPTIONS, {"form": "deploy-it", "param": "region", "p-env": '"prod"', "p-region": '"us-1"'})
    part = text_of(answer)
    assert part.startswith('<div class="field" id="p-region-field"')
    assert '<option value="&quot;us-1&quot;" selected>us-1</option>' in part
    answer = client.get(OPTIONS, {"form": "deploy-it", "param": "region", "p-env": '"staging"', "p-region": '"us-1"'})
    assert "us-1" not in text_of(answer)
    assert "Choose…" in text_of(answer)
    assert "errorlist" not in text_of(answer)


def test_without_javascript_a_button_does_the_same(by_table, as_user, deployer):
    client = as_user(deployer)
    page = client.get(URL)
    assert "data-without-script" in text_of(page)
    posted = {"launch-form": page.context["form"].digest, "p-env": '"prod"', "p-version": "9", "p-replicas": "2"}
    answer = client.post(URL, posted | {"launch-options": "p-region"})
    assert answer.status_code == 200
    assert [choice.value for choice in answer.context["form"].fields[0].choices] == ["eu-1", "us-1"]
    assert 'value="9"' in text_of(answer)
    assert not Launch.objects.exists()


def test_a_page_that_shows_old_options_is_checked_by_those_of_now(by_table, as_user, deployer):
    client = as_user(deployer)
    form = client.get(URL).context["form"]
    posted = {"launch-form": form.digest, "launch-key": form.key, "p-env": '"staging"', "p-region": '"us-1"'}
    answer = client.post(URL, posted | {"p-version": "9", "p-replicas": "2"})
    assert answer.status_code == 422
    assert answer.context["form"].errors["region"] == ["This is not one of the choices."]
    assert not Launch.objects.exists()


@pytest.mark.parametrize("query", [{"param": "version"}, {"param": "nope"}, {}, {"param": "region", "form": "nope"}])
def test_only_fields_with_options_are_read_by_themselves(query, by_table, as_user, deployer):
    answer = as_user(deployer).get(OPTIONS, {"form": "deploy-it"} | query)
    assert answer.status_code in {404, 422}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"on": "env", "table": {}}, "The table is empty"),
        ({"on": "", "table": TABLE}, "Say which param"),
        ({"on": "region", "table": TABLE}, "no other param"),
        ({"on": "nope", "table": TABLE}, "no other param"),
        ({"on": "zones", "table": TABLE}, "not one word"),
        ({"on": "env", "table": {"prod": [3]}}, "3: This must be text"),
        ({"on": "env", "url": "https://evil.test/?e={env}"}, "LAUNCH_OPTION_HOSTS"),
        ({"on": "env", "url": "https://evil.test/"}, "does not use {env}"),
        ({"on": "env", "url": "https://evil.test/{version}{env}"}, "for no other"),
        ({"on": "env", "url": "https://{env}.evil.test/"}, "cannot depend on a value"),
    ],
)
def test_options_that_make_no_sense_are_refused_when_the_form_is_made(options, words, make_form, change_dag):
    change_dag(region=REGION, zones=ZONES)
    with pytest.raises(Unprocessable) as refused:
        make_form([{"name": "region", "mode": "shown", "options": options}])
    assert words in " ".join(refused.value.fields["params.region"])


def test_options_of_options_are_refused(make_form, change_dag):
    change_dag(region=REGION, rack={"value": "a", "schema": {"type": "string"}})
    with pytest.raises(Unprocessable) as refused:
        make_form(
            [
                {"name": "region", "mode": "shown", "options": {"on": "env", "table": TABLE}},
                {"name": "rack", "mode": "shown", "options": {"on": "region", "table": {"eu-1": ["a"]}}},
            ]
        )
    assert "one step is all there is" in refused.value.fields["params.rack"][0]


# ── From a source ────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_server_asks_the_source_once_a_minute(by_url, launch, source):
    assert launch(env="prod", region="us-1").params["region"] == "us-1"
    launch(env="prod", region="eu-1")
    assert source.asked == ["/regions?env=prod"]
    KnownOptions.objects.update(read_at=timezone.now() - timedelta(seconds=61))
    source.answers["/regions?env=prod"] = ["eu-1"]
    with pytest.raises(Unprocessable):
        launch(env="prod", region="us-1")
    assert len(source.asked) == 2


def test_while_it_fails_the_last_known_options_hold_and_their_age_is_said(by_url, launch, source, as_user, deployer):
    launch(env="prod", region="us-1")
    KnownOptions.objects.update(read_at=timezone.now() - timedelta(hours=2))
    source.status = 500
    page = text_of(as_user(deployer).get(URL + "&p.env=prod"))
    assert "It answered with status 500. These are the last known ones." in page
    assert "2 h ago" in page
    assert "us-1</option>" in page
    launch(env="prod", region="us-1")
    assert len(source.asked) == 2  # a source that failed is left alone for a while
    cache.clear()
    source.status = 200
    assert "last known" not in text_of(as_user(deployer).get(URL + "&p.env=prod"))


def test_without_any_known_options_nothing_is_launched_on_trust(by_url, launch, source, as_user, deployer):
    source.status = 503
    fields = refusal(launch, env="prod", region="us-1")
    assert "The options cannot be read: It answered with status 503." in fields["region"][0]
    page = text_of(as_user(deployer).get(URL + "&p.env=prod"))
    assert "The options cannot be read" in page


def test_a_host_that_is_away_is_waited_for_once(by_url, launch, source, monkeypatch):
    tried = []

    def refuse(address, **more):
        tried.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr("socket.create_connection", refuse)
    for env in ("prod", "staging", "prod"):
        assert "It cannot be reached." in refusal(launch, env=env, region="eu-1")["region"][0]
    assert len(tried) == 1


def test_options_that_the_dag_would_not_take_are_left_out_and_counted(make_form, change_dag, source, as_user, deployer):
    change_dag(region={"value": "eu-1", "schema": {"type": "string", "maxLength": 4}})
    make_form([{"name": "region", "mode": "shown", "options": {"on": "", "url": source.url("/all")}}])
    source.answers["/all"] = ["eu-1", "us-1", "moon-base-1", 5]
    answer = as_user(deployer).get(URL)
    region = next(one for one in answer.context["form"].fields if one.name == "region")
    assert [choice.value for choice in region.choices] == ["eu-1", "us-1"]
    assert "2 options do not fit what the Dag asks for." in text_of(answer)


def test_what_a_source_says_is_escaped(by_url, source, as_user, deployer):
    source.answers["/regions?env=prod"] = [{"value": "eu-1", "label": "<script>alert(1)</script>"}]
    page = text_of(as_user(deployer).get(URL + "&p.env=prod"))
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_old_answers_of_sources_are_forgotten(by_url, launch, source):
    KnownOptions.objects.create(url_hash="x", read_at=timezone.now() - timedelta(days=31))
    launch(env="prod", region="us-1")
    assert not KnownOptions.objects.filter(url_hash="x").exists()


def test_the_dag_no_longer_has_what_the_options_depend_on(by_table, change_dag, launch):
    change_dag(env=None)
    with pytest.raises(Conflicting, match="depend on “env”"):
        launch(region="eu-1")
