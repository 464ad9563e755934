"""The launch form as people see it."""

from __future__ import annotations

import re

import pytest
from django.utils import timezone

from panel.launches.models import Launch
from panel.servers.models import Server

pytestmark = pytest.mark.django_db

URL = "/servers/prod/dags/deploy/launch/"
MARKUP = '<script>alert("x")</script>'


@pytest.fixture
def client(deployer, as_user, deploy_dag):
    return as_user(deployer)


@pytest.fixture
def filled_in(client):
    """``filled_in(version="1")``: what the browser posts for the form as it stands."""

    def post(htmx=False, **entries):
        form = client.get(URL).context["form"]
        posted = {"launch-form": form.reading.digest, "launch-key": form.key, "p-env": '"staging"', "p-replicas": "2"}
        posted |= {f"p-{name}" if not name.startswith("launch") else name: text for name, text in entries.items()}
        return client.post(URL, posted, headers={"HX-Request": "true"} if htmx else {})

    return post


def text_of(response):
    return " ".join(response.content.decode().split())


def test_it_shows_sections_titles_help_and_what_is_required(client):
    page = text_of(client.get(URL))
    assert re.search(r"<h2[^>]*>What</h2>", page)
    assert "Environment" in page
    assert "The version to deploy." in page
    assert "Production</option>" in page
    version = re.search(r'<input id="p-version"[^>]*>', page)[0]
    assert "required" in version
    assert 'aria-describedby="p-version-help"' in version
    assert "From 1 to 10." in page


def test_a_good_form_launches_and_leads_to_the_launch(filled_in):
    answer = filled_in(version="1.2.3", **{"launch-note": "release"})
    launch = Launch.objects.get()
    assert answer.status_code == 302
    assert answer["Location"] == f"/launches/{launch.pk}/"
    assert launch.params == {"env": "staging", "version": "1.2.3", "replicas": 2}
    assert (launch.note, launch.username) == ("release", "dora")


def test_htmx_moves_the_whole_page(filled_in):
    answer = filled_in(htmx=True, version="1")
    assert answer["HX-Redirect"] == f"/launches/{Launch.objects.get().pk}/"


def test_a_double_click_makes_one_launch(client):
    form = client.get(URL).context["form"]
    posted = {"launch-form": form.reading.digest, "launch-key": form.key, "p-env": '"prod"', "p-replicas": "2"}
    posted["p-version"] = "1"
    answers = [client.post(URL, posted) for _ in range(2)]
    assert answers[0]["Location"] == answers[1]["Location"]
    assert Launch.objects.count() == 1


def test_going_back_and_launching_other_values_asks_once_more(client):
    form = client.get(URL).context["form"]
    posted = {"launch-form": form.reading.digest, "launch-key": form.key, "p-env": '"prod"', "p-replicas": "2"}
    client.post(URL, posted | {"p-version": "1"})
    answer = client.post(URL, posted | {"p-version": "2"})
    assert answer.status_code == 409
    assert Launch.objects.count() == 1
    again = answer.context["form"]
    assert again.key != form.key
    client.post(URL, posted | {"p-version": "2", "launch-key": again.key})
    assert Launch.objects.count() == 2


@pytest.mark.parametrize("htmx", [True, False])
def test_errors_stand_beside_their_fields_all_at_once_and_entries_are_kept(filled_in, htmx):
    answer = filled_in(htmx=htmx, version="", replicas="many", env='"prod"', **{"launch-note": "kept"})
    page = text_of(answer)
    assert answer.status_code == 422
    assert ("<html" in page) is not htmx
    assert page.count('id="launch-form"') == 1
    assert re.search(r'<ul class="errorlist" id="p-version-errors"><li>Fill this in.</li>', page)
    replicas = re.search(r'<input id="p-replicas"[^>]*>', page)[0]
    assert 'value="many"' in replicas
    assert 'aria-invalid="true"' in replicas
    assert "p-replicas-errors" in re.search(r'aria-describedby="([^"]*)"', replicas)[1]
    assert re.search(r'<option value="&quot;prod&quot;" selected>', page)
    assert "kept</textarea>" in page
    assert not Launch.objects.exists()


def test_the_first_wrong_field_takes_the_focus(filled_in):
    page = text_of(filled_in(version="", replicas="many"))
    assert page.count(" autofocus") == 1
    assert "autofocus" in re.search(r'<input id="p-version"[^>]*>', page)[0]


def test_a_note_too_long_is_said_beside_the_note(filled_in):
    answer = filled_in(version="1", **{"launch-note": "x" * 801})
    assert answer.status_code == 422
    assert "At most 800 characters." in re.search(r'id="launch-note-errors">.*?</ul>', text_of(answer))[0]


def test_a_dag_whose_params_changed_meanwhile_is_shown_again(client, deploy_dag):
    form = client.get(URL).context["form"]
    deploy_dag.params["force"] = {"value": True, "schema": {"type": "boolean"}, "description": None, "source": None}
    posted = {"launch-form": form.reading.digest, "launch-key": form.key, "p-env": '"prod"', "p-replicas": "2"}
    answer = client.post(URL, posted | {"p-version": "1"})
    assert answer.status_code == 422
    assert "have changed since" in text_of(answer)
    assert not Launch.objects.exists()


def test_a_paused_dag_is_said_before(client, deploy_dag, filled_in):
    deploy_dag.is_paused = True
    assert "is paused in Airflow" in text_of(client.get(URL))
    assert filled_in(version="1").status_code == 302


@pytest.mark.parametrize(("flag", "words"), [("is_stale", "no longer finds"), ("has_import_errors", "import errors")])
def test_a_dag_that_cannot_run_says_so_in_place_of_the_form(flag, words, client, deploy_dag):
    setattr(deploy_dag, flag, True)
    page = text_of(client.get(URL))
    assert words in page
    assert 'id="launch-form"' not in page


def test_a_dag_without_params_can_be_launched(client, fake_airflow):
    fake_airflow.add_dag("bare")
    form = client.get("/servers/prod/dags/bare/launch/").context["form"]
    posted = {"launch-form": form.reading.digest, "launch-key": form.key}
    assert client.post("/servers/prod/dags/bare/launch/", posted).status_code == 302
    assert Launch.objects.get().params == {}


def test_texts_of_the_dag_are_shown_as_text(client, fake_airflow):
    schema = {"title": MARKUP, "section": MARKUP, "enum": [MARKUP, "b"], "values_display": {MARKUP: MARKUP}}
    fake_airflow.add_dag(
        "odd",
        params={
            MARKUP: {"value": MARKUP, "schema": schema, "description": MARKUP},
            "text": {"value": MARKUP, "schema": {"type": "string", "examples": [MARKUP], "pattern": MARKUP}},
            "lines": {"value": f"</textarea>{MARKUP}", "schema": {"format": "multiline", "type": "string"}},
        },
        description=MARKUP,
    )
    page = client.get("/servers/prod/dags/odd/launch/").content.decode()
    assert "<script>alert" not in page
    assert "</textarea><script" not in page
    assert "&lt;script&gt;alert" in page


def test_entries_with_markup_come_back_as_text(filled_in):
    page = filled_in(version=MARKUP, replicas='"><img src=x>').content.decode()
    assert "<script>alert" not in page
    assert "<img" not in page


def test_date_times_say_their_clock_and_carry_the_moment(client, fake_airflow):
    schema = {"type": "string", "format": "date-time"}
    fake_airflow.add_dag("timed", params={"at": {"value": "2026-01-02T12:00:00+02:00", "schema": schema}})
    page = text_of(client.get("/servers/prod/dags/timed/launch/"))
    assert 'data-instant="2026-01-02T10:00:00Z"' in page
    assert 'value="2026-01-02T10:00:00"' in page
    assert re.search(r"On the clock of <strong data-zone-name>UTC</strong>", page)


def test_every_control_has_a_label_or_a_legend(client, fake_airflow):
    from tests.launches.test_fields import test_the_kind_follows_schema_and_value as kinds

    cases = kinds.pytestmark[0].args[1]
    params = {f"p{n}": {"value": value, "schema": schema} for n, (value, schema, _kind) in enumerate(cases)}
    fake_airflow.add_dag("all", params=params)
    page = text_of(client.get("/servers/prod/dags/all/launch/"))
    controls = re.findall(r'<(?:input|textarea|select|output) id="(p-[^"]+)"', page)
    assert len(controls) >= len(cases) - 2  # the multi-selects are groups
    for key in controls:
        assert f'<label for="{key}"' in page
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_the_form_can_begin_with_the_values_and_refusals_of_an_earlier_launch(client, launched):
    launch = launched(env="prod", replicas=7)
    Launch.objects.filter(pk=launch.pk).update(state="refused", fields={"replicas": ["5 at most."]})
    page = text_of(client.get(f"{URL}?from={launch.pk}"))
    assert 'value="1.2.3"' in page
    assert 'value="7"' in page
    assert "5 at most." in page
    assert "why</textarea>" in page


@pytest.mark.parametrize("ref", ["nonsense", "00000000-0000-0000-0000-000000000000"])
def test_an_unknown_earlier_launch_is_left_out(ref, client):
    assert client.get(f"{URL}?from={ref}").status_code == 200


def test_an_earlier_launch_of_another_dag_is_left_out(client, launched, fake_airflow):
    fake_airflow.add_dag("other", params={"version": "default"})
    page = text_of(client.get(f"/servers/prod/dags/other/launch/?from={launched().pk}"))
    assert "1.2.3" not in page


@pytest.mark.parametrize(
    ("fault", "status"),
    [({"status": 503}, 502), ({"html": True}, 502), ({"garbage": True}, 502), ({"hang": 60}, 504)],
)
def test_airflow_in_trouble_is_a_clear_page(fault, status, client, fake_airflow):
    fake_airflow.fail_next(path="/details", times=9, **fault)
    answer = client.get(URL)
    assert answer.status_code == status
    assert "does not give the form" in text_of(answer)


def test_airflow_down_shows_the_last_known_form_and_keeps_the_launch(client, filled_in, fake_airflow):
    client.get(URL)
    fake_airflow.down = True
    assert "last known one" in text_of(client.get(URL))
    assert filled_in(version="1").status_code == 302
    assert Launch.objects.get().state == "submitting"


def test_a_server_known_to_be_away_is_not_waited_for(client, server, fake_airflow):
    client.get(URL)
    Server.objects.update(unreachable_since=timezone.now(), last_error="airflow.test did not answer within 30 s.")
    fake_airflow.forget_requests()
    page = text_of(client.get(URL))
    assert "did not answer within 30 s" in page
    assert fake_airflow.requests == []


def test_airflow_down_and_no_form_known_is_a_clear_page(client, fake_airflow):
    fake_airflow.down = True
    assert client.get(URL).status_code == 503


@pytest.mark.parametrize("url", ["/servers/prod/dags/nope/launch/", "/servers/nowhere/dags/deploy/launch/"])
def test_what_does_not_exist_is_not_found(url, client):
    assert client.get(url).status_code == 404
    assert client.post(url).status_code == 404


@pytest.mark.parametrize("cast", ["viewer", "operator", "nobody"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_others_may_not_launch(cast, method, as_user, request, deploy_dag):
    answer = getattr(as_user(request.getfixturevalue(cast)), method)(URL)
    assert answer.status_code == 403
    assert not Launch.objects.exists()


def test_who_is_not_logged_in_logs_in_first(client, db):
    from django.test import Client

    answer = Client().get(URL)
    assert answer.status_code == 302
    assert "/login/" in answer["Location"]


def test_a_key_that_was_tampered_with_is_replaced(client):
    form = client.get(URL).context["form"]
    posted = {"launch-form": form.reading.digest, "p-env": '"prod"', "p-replicas": "2", "p-version": "1"}
    answer = client.post(URL, posted | {"launch-key": "x" * 500})
    assert answer.status_code == 422
    assert client.post(URL, posted | {"launch-key": answer.context["form"].key}).status_code == 302
