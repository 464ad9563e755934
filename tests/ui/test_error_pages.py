import pytest
from django.template.loader import render_to_string
from django.test import Client


def test_an_unknown_address_is_a_page_that_says_so(as_user, viewer):
    response = as_user(viewer).get("/no/such/page/")
    assert response.status_code == 404
    assert "Not found" in response.content.decode()


def test_an_unknown_address_tells_strangers_no_more(db):
    response = Client().get("/no/such/page/")
    assert response.status_code == 404
    assert "Servers" not in response.content.decode()


def test_somebody_in_no_group_is_told_whom_to_ask(as_user, nobody):
    response = as_user(nobody).get("/")
    assert response.status_code == 403
    assert "Ask an administrator" in response.content.decode()


def test_a_form_without_its_token_says_that_nothing_was_done(viewer):
    client = Client(enforce_csrf_checks=True)
    client.force_login(viewer)
    response = client.post("/logout/")
    assert response.status_code == 403
    assert "Nothing was done" in response.content.decode()


@pytest.mark.parametrize("template", ["400.html", "500.html"])
def test_the_last_resort_pages_need_no_request_and_no_database(template):
    html = render_to_string(template)
    assert "<h1>" in html
    assert 'href="/"' in html


@pytest.mark.parametrize("path", ["/", "/login/", "/no/such/page/"])
def test_pages_hold_no_inline_script_and_no_inline_style(path, as_user, viewer):
    html = as_user(viewer).get(path).content.decode()
    assert "style=" not in html
    assert "<style" not in html
    assert "onclick" not in html
    assert html.count("<script") == html.count("<script src=")


def test_the_navigation_offers_what_one_may_do(as_user, viewer, admin):
    assert "Audit" not in as_user(viewer).get("/").content.decode()
    assert "Audit" in as_user(admin).get("/").content.decode()
