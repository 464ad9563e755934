"""Pages of launch forms: what people see of them, and how admins make them."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group

from panel.launches.dag_forms import read_form
from panel.launches.guard_rails_changing import set_guard_rails
from panel.launches.launch_forms_changing import FormContent, add_form, change_form, set_only_forms
from panel.launches.models import FormDefinition, Launch
from panel.launches.shapes import shapes_of
from panel.servers.models import Server

pytestmark = pytest.mark.django_db
URL = "/servers/prod/dags/deploy/launch/"
THROUGH = f"{URL}?form=deploy-it"
FORMS = "/servers/prod/dags/deploy/launch-forms/"
EDIT = f"{FORMS}deploy-it/"


def text_of(response):
    return " ".join(response.content.decode().split())


def filled_in(client, **more):
    form = client.get(THROUGH).context["form"]
    return {"launch-form": form.digest, "launch-key": form.key, "p-env": '"prod"', "p-version": "1.2.3"} | more


# ── Launching through one ────────────────────────────────────────────────────────────────────────────────────────
def test_it_shows_what_its_admin_wrote_and_asks_only_for_what_is_shown(make_form, as_user, deployer):
    make_form(text="Ask <b>first</b>.\nThen deploy.")
    page = text_of(as_user(deployer).get(THROUGH))
    assert "<h1>Deploy a release</h1>" in page
    assert "Ask &lt;b&gt;first&lt;/b&gt;. Then deploy." in page
    assert "Release <span" in page
    assert "As in the changelog." in page
    assert "The version to deploy." not in page
    assert page.index('id="p-version"') < page.index('id="p-env"')
    assert "p-replicas" not in page
    assert 'Deploy <span data-shows="p-version">…</span> to <span data-shows="p-env">prod</span>' in page


def test_it_launches_what_it_fixes_whatever_is_posted(form, as_user, deployer):
    client = as_user(deployer)
    answer = client.post(THROUGH, filled_in(client, **{"p-replicas": "9"}))
    launch = Launch.objects.get()
    assert answer["Location"] == f"/launches/{launch.pk}/"
    assert launch.params == {"version": "1.2.3", "env": "prod", "replicas": 3}
    assert "deploy-it" in text_of(client.get(answer["Location"]))


def test_what_is_wrong_is_said_on_the_same_form(form, as_user, deployer):
    client = as_user(deployer)
    answer = client.post(THROUGH, filled_in(client, **{"p-version": ""}))
    assert answer.status_code == 422
    assert "Release: Fill this in." in text_of(answer)
    assert f'action="{THROUGH}"' in text_of(answer)


def test_a_form_that_was_changed_meanwhile_is_looked_through_again(form, as_user, deployer, admin):
    client = as_user(deployer)
    posted = filled_in(client)
    content = FormContent("deploy-it", "Other", shapes=shapes_of(form.shapes))
    change_form(user=admin, form=form, content=content, version=1)
    answer = client.post(THROUGH, posted)
    assert answer.status_code == 422
    assert "This form or its Dag has changed since you opened it." in text_of(answer)
    assert not Launch.objects.exists()
    client.post(THROUGH, posted | {"launch-form": answer.context["form"].digest})
    assert Launch.objects.count() == 1


def test_a_form_that_does_not_fit_its_dag_says_so_before(form, change_dag, as_user, deployer, admin):
    change_dag(replicas=None)
    client = as_user(deployer)
    page = text_of(client.get(THROUGH))
    assert "This launch form cannot be used now" in page
    assert "no param “replicas” any more" in page
    answer = client.post(THROUGH, filled_in(client))
    assert answer.status_code == 409
    assert not Launch.objects.exists()
    assert "no param “replicas” any more" in text_of(as_user(admin).get(FORMS))
    assert "Saving takes them out of the form." in text_of(as_user(admin).get(EDIT))


def test_a_dag_without_params_is_launched_through_its_form_too(server, admin, fake_airflow, as_user, deployer):
    fake_airflow.add_dag("plain", tasks=[])
    read_form(server=server, dag_id="plain")
    add_form(user=admin, server=server, dag_id="plain", content=FormContent("go", "Go", button="Go now"))
    set_only_forms(user=admin, server=server, dag_id="plain", only_forms=True)
    client, url = as_user(deployer), "/servers/prod/dags/plain/launch/?form=go"
    page = client.get(url)
    assert "Go now" in text_of(page)
    form = page.context["form"]
    client.post(url, {"launch-form": form.digest, "launch-key": form.key})
    assert Launch.objects.get().form_slug == "go"


def test_the_confirmation_shows_every_param_and_the_forms_words(form, as_user, deployer, admin, server):
    set_guard_rails(
        user=admin, server=server, dag_id="deploy", protects="values", values=[("env", "prod")], needs_approval=False
    )
    client = as_user(deployer)
    answer = client.post(THROUGH, filled_in(client))
    rows = {row.name: row.value for row in answer.context["comparison"].rows}
    assert rows == {"version": "1.2.3", "env": "prod", "replicas": 3}
    page = text_of(answer)
    assert "Confirm: Deploy a release" in page
    assert 'Deploy <span data-shows="p-version">1.2.3</span>' in page
    client.post(THROUGH, dict(answer.context["form"].carried) | {"launch-confirm": "prod"})
    assert Launch.objects.get().params["replicas"] == 3


def test_a_form_of_others_is_not_there(make_form, as_user, deployer):
    Group.objects.create(name="payments")
    make_form(groups=["payments"])
    client = as_user(deployer)
    answer = client.get(THROUGH)
    assert answer.status_code == 422
    assert "no such launch form, or none that you may use" in text_of(answer)
    assert "Deploy a release" not in text_of(client.get(FORMS)) + text_of(client.get("/launch-forms/"))


def test_only_through_its_forms_leads_to_the_one_there_is(form, make_form, as_user, deployer, admin, server):
    set_only_forms(user=admin, server=server, dag_id="deploy", only_forms=True)
    client = as_user(deployer)
    answer = client.get(f"{URL}?p.version=1")
    assert answer.status_code == 302
    assert answer["Location"] == f"{URL}?p.version=1&form=deploy-it"
    make_form(slug="other", title="Other")
    assert client.get(URL)["Location"] == FORMS
    assert client.post(URL, {"p-version": "1"}).status_code == 422
    assert as_user(admin).get(URL).status_code == 200
    assert not Launch.objects.exists()


# ── Finding them ─────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_home_of_a_product_team_lists_and_finds_their_forms(make_form, as_user, deployer, admin):
    make_form(text="Roll OUT a Größe")
    make_form(slug="off", title="Switched off", is_enabled=False)
    client = as_user(deployer)
    assert [one.slug for one in client.get("/launch-forms/").context["page"].rows] == ["deploy-it"]
    for search, found in (("größe roll", 1), ("DEPLOY", 1), ("payments", 0), ("\x00", 0)):
        assert len(client.get("/launch-forms/", {"q": search}).context["page"].rows) == found
    part = client.get("/launch-forms/", {"q": "zzz"}, headers={"HX-Request": "true", "HX-Target": "form-cards"})
    assert text_of(part).startswith('<div id="form-cards"')
    assert "No launch form matches" in text_of(part)
    Server.objects.create(slug="other", name="Other", base_url="http://other.test")
    assert client.get("/launch-forms/", {"server": "other"}).context["page"].rows == []
    assert client.get("/launch-forms/", {"server": "moon"}).status_code == 404
    assert "Switched off" in text_of(as_user(admin).get("/launch-forms/"))


def test_people_find_them_at_the_dag_and_at_the_bare_form(form, as_user, deployer, viewer, operator):
    client = as_user(deployer)
    assert "Deploy a release" in text_of(client.get(FORMS))
    assert "Make a launch form" not in text_of(client.get(FORMS))
    assert "form=deploy-it" in text_of(client.get(URL))
    for nobody in (viewer, operator):
        assert as_user(nobody).get(FORMS).status_code == 403
    assert client.get("/servers/prod/dags/nope/launch-forms/").status_code == 404


# ── Making them ──────────────────────────────────────────────────────────────────────────────────────────────────
ENTERED = {
    "title": "Deploy", "slug": "deploy-it", "text": "Words", "button": "Go {version}", "is_enabled": "on",
    "groups": ["deployer"], "users": "dora, anna",
    "p-env-way": "own", "p-env": '"prod"', "p-env-order": "2", "p-env-title": "Where",
    "p-version-way": "asked", "p-version-order": "1", "p-version": "", "p-version-help": "Which",
    "p-version-on": "env", "p-version-table": "prod = 1.0, 1.1\nstaging = 2.0",
    "p-replicas-way": "fixed", "p-replicas": "4", "p-replicas-order": "3",
}  # fmt: skip


@pytest.fixture
def editor(as_user, admin, deployer, deploy_dag):
    client = as_user(admin)
    client.get(URL)  # reads the params
    return client


def test_an_admin_makes_one_and_finds_it_as_it_was_entered(editor):
    assert editor.post(f"{FORMS}add/", ENTERED)["Location"] == EDIT
    made = FormDefinition.objects.get()
    assert made.shapes == [
        {
            "name": "version", "mode": "shown", "help": "Which",
            "options": {"on": "env", "table": {"prod": ["1.0", "1.1"], "staging": ["2.0"]}},
        },
        {"name": "env", "mode": "shown", "value": "prod", "title": "Where"},
        {"name": "replicas", "mode": "fixed", "value": 4},
    ]  # fmt: skip
    assert [group.name for group in made.groups.all()] == ["deployer"]
    page = editor.get(EDIT)
    again = {name: value for name, value in ENTERED.items() if name != "groups"}
    again |= {row.field.key + "-order": row.order for row in page.context["editing"].rows}
    assert "prod = 1.0, 1.1 staging = 2.0</textarea>" in text_of(page)
    assert editor.post(EDIT, again | {"groups": ["deployer"], "version": "1"}).status_code == 302
    changed = FormDefinition.objects.get()
    assert (changed.shapes, changed.version) == (made.shapes, 2)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"slug": "No good"}, "Lower-case letters"),
        ({"title": ""}, "This field is required."),
        ({"button": "Go {nope}"}, "no param “nope”"),
        ({"users": "ghost"}, "Not known: ghost."),
        ({"p-env": '"moon"'}, "This is not one of the choices."),
        ({"p-env-way": "often"}, "This is not one of the choices."),
        ({"p-replicas": "99"}, "Enter 10 or less."),
        ({"p-replicas": "many"}, "Enter a whole number, digits only."),
        ({"p-version-way": "hidden", "p-version-on": "", "p-version-table": ""}, "cannot be hidden"),
        ({"p-version-table": "prod 1.0"}, "is not of the form: value = option, option."),
        ({"p-version-table": "prod = 1\nprod = 2"}, "more than once"),
        ({"p-version-table": '{"prod": "x"}'}, "a list of options for each value"),
        ({"p-version-table": ""}, "Give a table of options, or an address."),
        ({"p-version-way": "fixed", "p-version": "1.0"}, "Only a param that is shown has options."),
        ({"p-version-table": "", "p-version-url": "https://evil.test/{env}"}, "LAUNCH_OPTION_HOSTS"),
    ],
)
def test_what_makes_no_sense_is_said_and_what_was_typed_stays(wrong, words, editor):
    answer = editor.post(f"{FORMS}add/", ENTERED | wrong)
    assert answer.status_code == 422
    assert words in text_of(answer)
    assert "Which</textarea>" in text_of(answer)
    assert not FormDefinition.objects.exists()


def test_the_order_is_that_of_the_numbers(editor):
    editor.post(f"{FORMS}add/", ENTERED | {"p-env-order": "0.5", "p-replicas-order": "x", "p-version-order": "nan"})
    assert [shape["name"] for shape in FormDefinition.objects.get().shapes] == ["env", "version", "replicas"]


def test_the_second_of_two_admins_keeps_what_was_typed_and_is_told(editor, form, person, as_user):
    opened = editor.get(EDIT).context["editing"].version
    other = as_user(person("amir", "admin"))
    other.post(EDIT, ENTERED | {"title": "Amir's", "version": str(opened)})
    answer = editor.post(EDIT, ENTERED | {"title": "Anna's", "version": str(opened)})
    assert answer.status_code == 409
    page = text_of(answer)
    assert "Somebody else has changed this form" in page
    assert "Anna&#x27;s" in page
    assert FormDefinition.objects.get().title == "Amir's"
    assert editor.post(EDIT, ENTERED | {"title": "Anna's", "version": str(opened)}).status_code == 409


def test_a_secret_param_offers_no_value(editor, change_dag):
    change_dag(token={"value": None, "schema": {"type": ["string", "null"], "format": "password"}})
    page = text_of(editor.get(f"{FORMS}add/"))
    assert 'name="p-token"' not in page
    assert "A secret: no value of it is kept here." in page
    editor.post(f"{FORMS}add/", ENTERED | {"p-token-way": "fixed", "p-token": "s3cr3t"})
    assert not FormDefinition.objects.exists()


def test_one_is_deleted_after_a_question(editor, form):
    assert "Delete the launch form “Deploy a release”?" in text_of(editor.get(f"{EDIT}delete/"))
    assert FormDefinition.objects.exists()
    assert editor.post(f"{EDIT}delete/")["Location"] == FORMS
    assert not FormDefinition.objects.exists()
    assert editor.get(EDIT).status_code == 404


def test_the_switch_is_set_on_the_page_of_the_forms(editor, form, as_user, deployer):
    page = text_of(editor.post(f"{FORMS}only/", {"only": "1"}, follow=True))
    assert "launched through its launch forms only" in page
    assert "Open the bare form" not in text_of(as_user(deployer).get(FORMS))
    page = text_of(editor.post(f"{FORMS}only/", {"only": "0"}, follow=True))
    assert "Every deployer may also use the bare form" in page


@pytest.mark.parametrize("who", ["viewer", "operator", "deployer"])
def test_nobody_else_makes_them(who, form, request, as_user):
    client = as_user(request.getfixturevalue(who))
    for url in (f"{FORMS}add/", EDIT, f"{EDIT}delete/", f"{FORMS}only/"):
        assert client.get(url).status_code == 403
        assert client.post(url, ENTERED).status_code == 403
    assert FormDefinition.objects.get().version == 1


def test_while_airflow_is_away_a_form_is_made_from_what_was_read(editor, fake_airflow):
    fake_airflow.down = True
    assert editor.post(f"{FORMS}add/", ENTERED)["Location"] == EDIT
