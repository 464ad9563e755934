import pytest
from django.http import HttpResponse, HttpResponseRedirect
from django.test import RequestFactory

from panel.keyset import BadCursor
from panel.problems import Conflicting, Unprocessable
from panel.ui.middleware import HtmxResponseMiddleware, ProblemMiddleware, SecurityHeadersMiddleware

HTMX = {"HX-Request": "true"}


def answer(middleware, response, path="/", **headers):
    return middleware(lambda request: response)(RequestFactory().get(path, headers=headers))


def directives(response):
    return dict(part.split(" ", 1) for part in response["Content-Security-Policy"].split("; "))


def test_only_our_own_files_may_run_and_nothing_inline():
    policy = directives(answer(SecurityHeadersMiddleware, HttpResponse()))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["form-action"] == "'self'"
    assert "unsafe" not in str(policy)


def test_only_the_api_docs_page_is_relaxed():
    assert (
        "'unsafe-inline'"
        in directives(answer(SecurityHeadersMiddleware, HttpResponse(), "/api/v1/docs/"))["script-src"]
    )
    for path in ("/api/v1/docs/x", "/api/v1/schema/", "/x/api/v1/docs/"):
        assert "unsafe" not in str(directives(answer(SecurityHeadersMiddleware, HttpResponse(), path)))


def test_sensors_are_off_and_types_are_not_guessed():
    response = answer(SecurityHeadersMiddleware, HttpResponse())
    assert "camera=()" in response["Permissions-Policy"]
    assert response["X-Content-Type-Options"] == "nosniff"


def test_caches_tell_pages_and_partials_apart():
    response = answer(HtmxResponseMiddleware, HttpResponse("<p>"))
    assert {"HX-Request", "HX-Target"} <= {name.strip() for name in response["Vary"].split(",")}
    assert "private" in response["Cache-Control"]


def test_answers_that_are_no_pages_are_left_alone():
    response = answer(HtmxResponseMiddleware, HttpResponse("{}", content_type="application/json"))
    assert not response.has_header("Vary")


def test_a_redirect_that_answers_htmx_moves_the_whole_page_and_keeps_its_cookies():
    redirect = HttpResponseRedirect("/retry-jobs/1/")
    redirect.set_cookie("messages", "kept")
    response = answer(HtmxResponseMiddleware, redirect, **HTMX)
    assert response.status_code == 204
    assert response["HX-Redirect"] == "/retry-jobs/1/"
    assert response.cookies["messages"].value == "kept"


def test_a_redirect_without_htmx_stays_one():
    assert answer(HtmxResponseMiddleware, HttpResponseRedirect("/x/")).status_code == 302


def _problem(error, rf, viewer, **headers):
    request = rf.get("/", headers=headers)
    request.user = viewer
    return ProblemMiddleware(lambda request: HttpResponse()).process_exception(request, error)


def test_what_a_service_refuses_becomes_a_page_with_its_words(rf, viewer):
    response = _problem(Unprocessable("Choose at least one <b>index</b>.", {"indices": ["None match."]}), rf, viewer)
    assert response.status_code == 422
    html = response.content.decode()
    assert "Choose at least one &lt;b&gt;index" in html
    assert "None match." in html
    assert "<!doctype html>" in html


def test_htmx_gets_the_words_as_a_fragment(rf, viewer):
    response = _problem(Conflicting("The set has changed."), rf, viewer, **HTMX)
    assert response.status_code == 409
    assert "The set has changed." in response.content.decode()
    assert "<html" not in response.content.decode()


def test_a_damaged_cursor_is_a_bad_request(rf, viewer):
    assert _problem(BadCursor(), rf, viewer).status_code == 400


def test_mistakes_of_ours_are_not_dressed_up(rf, viewer):
    assert _problem(ZeroDivisionError(), rf, viewer) is None


@pytest.mark.django_db
def test_every_page_carries_the_policy(client):
    assert "script-src 'self'" in client.get("/login/")["Content-Security-Policy"]
