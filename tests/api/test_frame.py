"""What every call of the REST API does alike: who may, what is refused, and in which shape."""

from __future__ import annotations

import json
from datetime import timedelta
from uuid import UUID

import pytest
from django.test import Client
from django.urls import path
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy
from rest_framework import exceptions, serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from config.urls import handler500 as server_error
from config.urls import urlpatterns as real_urls
from panel.access.actions import Action
from panel.access.services import create_api_token
from panel.airflow import (
    BadPayload,
    Forbidden,
    Invalid,
    NotFound,
    ServerFault,
    TimedOut,
    Unauthorized,
    Unreachable,
    Unsupported,
)
from panel.api.renderers import JSONRenderer
from panel.problems import Conflicting, TooMany, Unprocessable
from panel.strict import StrictQuery, StrictSerializer

pytestmark = pytest.mark.django_db

RAISED: list[Exception] = []


class PartSerializer(StrictSerializer):
    indices = serializers.CharField()


class BodySerializer(StrictSerializer):
    reason = serializers.CharField(max_length=5)
    selection = PartSerializer(required=False)
    parts = PartSerializer(many=True, required=False)
    made_at = serializers.DateTimeField(read_only=True)


class Sample(StrictQuery, GenericAPIView):
    """A route as rooms write them."""

    actions = {"GET": Action.VIEW, "POST": Action.RETRY}
    filters = frozenset({"outcome"})
    serializer_class = BodySerializer

    def get(self, request: Request, thing: str = "") -> Response:
        if RAISED:
            raise RAISED.pop()
        return Response({"thing": thing})

    def post(self, request: Request, thing: str = "") -> Response:
        body = self.get_serializer(data=request.data)
        body.is_valid(raise_exception=True)
        return Response(body.validated_data, status=201)


handler500 = server_error
urlpatterns = [
    path("api/v1/sample/", Sample.as_view()),
    path("api/v1/things/<str:thing>/", Sample.as_view()),
    *real_urls,
]


@pytest.fixture(autouse=True)
def _with_sample(settings) -> None:
    settings.ROOT_URLCONF = "tests.api.test_frame"
    RAISED.clear()


def error(answer) -> dict:
    body = answer.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message", "fields"}
    return body["error"]


# Who


def test_nobody_gets_401_and_how_to_come_back(db) -> None:
    answer = Client().get("/api/v1/sample/")
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")
    assert error(answer)["code"] == "not_authenticated"


@pytest.mark.parametrize(
    "header", ["Bearer nonsense", "Bearer", "Bearer a b", "Bearer \xff\xfe", "Bearer " + "a" * 5000]
)
def test_a_token_that_does_not_hold_is_401(header) -> None:
    answer = Client().get("/api/v1/sample/", headers={"Authorization": header})
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")
    assert error(answer)["code"] == "authentication_failed"


def test_a_token_works_and_stops_with_its_user(viewer) -> None:
    headers = {"Authorization": f"Bearer {create_api_token(username='vera')}"}
    assert Client().get("/api/v1/sample/", headers=headers).status_code == 200
    viewer.is_active = False
    viewer.save()
    assert Client().get("/api/v1/sample/", headers=headers).status_code == 401


def test_groups_decide_what_a_token_may(viewer, operator) -> None:
    for name, expected in (("vera", 403), ("olga", 201)):
        headers = {"Authorization": f"Bearer {create_api_token(username=name)}"}
        answer = Client().post("/api/v1/sample/", {"reason": "x"}, content_type="application/json", headers=headers)
        assert answer.status_code == expected


def test_a_session_needs_the_csrf_token_for_changes(operator) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(operator)
    answer = browser.post("/api/v1/sample/", {"reason": "x"}, content_type="application/json")
    assert answer.status_code == 403
    assert "CSRF" in error(answer)["message"]


# Addresses and methods


@pytest.mark.parametrize(
    "address", ["/api/v1/nothing/", "/api/v1/sample", "/api/v2/servers/", "/api/", "/api", "/api/v1/"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_an_address_that_is_none_is_404_in_the_same_shape(as_user, viewer, address, method) -> None:
    answer = as_user(viewer).generic(method, address)
    assert answer.status_code == 404
    assert error(answer)["code"] == "not_found"


def test_a_method_that_is_none_is_405(as_user, admin) -> None:
    answer = as_user(admin).delete("/api/v1/sample/")
    assert answer.status_code == 405
    assert error(answer)["code"] == "method_not_allowed"
    assert "GET" in answer["Allow"]


@pytest.mark.parametrize(
    ("quoted", "thing"),
    [
        ("manual__2026-11-22T06%3A46%3A17.345398%2B00%3A00", "manual__2026-11-22T06:46:17.345398+00:00"),
        ("manual__2026-11-22T06:46:17+00:00", "manual__2026-11-22T06:46:17+00:00"),
        ("a~b.c-d", "a~b.c-d"),
        ("dag.json", "dag.json"),
        ("%D0%B4%D0%B0%D0%B3", "даг"),
    ],
)
def test_ids_in_paths_come_through_whole(as_user, viewer, quoted, thing) -> None:
    assert as_user(viewer).get(f"/api/v1/things/{quoted}/").json() == {"thing": thing}


def test_there_are_no_format_suffixes_or_other_formats(as_user, viewer) -> None:
    assert as_user(viewer).get("/api/v1/sample.json").status_code == 404
    assert as_user(viewer).get("/api/v1/sample/?format=json").status_code == 400
    assert as_user(viewer).get("/api/v1/sample/", headers={"Accept": "application/xml"}).status_code == 406


# Queries


def test_an_unknown_filter_is_400_and_named(as_user, viewer) -> None:
    answer = as_user(viewer).get("/api/v1/sample/?outcom=hard_failure&outcome=success")
    assert answer.status_code == 400
    assert list(error(answer)["fields"]) == ["outcom"]
    assert "outcome" in error(answer)["fields"]["outcom"][0]


def test_a_list_takes_what_pages_it_and_nothing_else(as_user, viewer, server) -> None:
    browser = as_user(viewer)
    assert browser.get("/api/v1/servers/?page_size=1&ordering=-slug").status_code == 200
    for query in ("slug=prod", "ordering=secret_encrypted", "page_size=501", "page_size=0", "page_size=x", "cursor=x"):
        answer = browser.get(f"/api/v1/servers/?{query}")
        assert answer.status_code == 400
        assert list(error(answer)["fields"]) == [query.partition("=")[0]]


# Bodies


def post(browser: Client, body: object, content_type: str = "application/json"):
    raw = body if isinstance(body, str | bytes) else json.dumps(body)
    return browser.post("/api/v1/sample/", raw, content_type=content_type)


@pytest.mark.parametrize("body", ["{", "", b"\xff\xfe", '{"a": NaN}', "[" * 100_000, '{"a": ' + "1" * 5000 + "}"])
def test_a_body_that_cannot_be_read_is_400(as_user, operator, body) -> None:
    answer = post(as_user(operator), body)
    assert answer.status_code == (422 if body == "" else 400)  # an empty body reads as an empty object
    assert error(answer)["message"]


def test_a_body_that_is_too_large_is_413(as_user, operator) -> None:
    answer = post(as_user(operator), {"reason": "x" * 2_100_000})
    assert answer.status_code == 413
    assert error(answer)["code"] == "body_too_large"


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
def test_a_body_that_is_no_json_is_415(as_user, operator, content_type) -> None:
    answer = post(as_user(operator), "reason=x", content_type)
    assert answer.status_code == 415
    assert error(answer)["code"] == "unsupported_media_type"


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"reason": "x", "resaon": "y"}, {"resaon"}),
        ({"resaon": "y"}, {"resaon", "reason"}),
        ({"reason": "too long"}, {"reason"}),
        ({"reason": "x", "made_at": "2026-01-01T00:00:00Z"}, {"made_at"}),
        ({"reason": "x", "selection": {"indices": "1", "lable": "a"}}, {"selection.lable"}),
        ({"reason": "x", "parts": [{"indices": "1"}, {"x": 1}]}, {"parts.1.x", "parts.1.indices"}),
        ({"reason": "\x00"}, {"reason"}),
        ([], {"body"}),
        ('"text"', {"body"}),
        ("null", {"body"}),
    ],
)
def test_a_body_that_makes_no_sense_is_422_by_dotted_name(as_user, operator, body, fields) -> None:
    answer = post(as_user(operator), body)
    assert answer.status_code == 422
    assert set(error(answer)["fields"]) == fields


def test_a_good_body_passes(as_user, operator) -> None:
    body = {"reason": "x", "selection": {"indices": "1"}, "parts": [{"indices": "2"}]}
    answer = post(as_user(operator), body)
    assert (answer.status_code, answer.json()) == (201, body)


# Errors


@pytest.mark.parametrize(
    ("raised", "http_status", "code"),
    [
        (Unreachable("gone"), 503, "airflow_unreachable"),
        (TimedOut("slow"), 504, "airflow_timed_out"),
        (BadPayload("html"), 502, "airflow_bad_payload"),
        (Unsupported("old"), 502, "airflow_unsupported"),
        (Unauthorized(401, "no"), 502, "airflow_refused"),
        (Forbidden(403, "no"), 502, "airflow_refused"),
        (ServerFault(500, "boom"), 502, "airflow_refused"),
        (NotFound(404, "no such run"), 404, "airflow_refused"),
        (Invalid(400, "bad", {"n": ["too big"]}), 502, "airflow_refused"),
        (Unprocessable("no", {"indices": ["bad"]}), 422, "invalid"),
        (Conflicting("changed", code="plan_changed"), 409, "plan_changed"),
        (TooMany("later"), 429, "too_many"),
    ],
)
def test_what_goes_wrong_below_has_one_shape(as_user, viewer, raised, http_status, code) -> None:
    RAISED.append(raised)
    answer = as_user(viewer).get("/api/v1/sample/")
    assert answer.status_code == http_status
    assert error(answer)["code"] == code
    assert error(answer)["fields"] == getattr(raised, "fields", {})


def test_a_defect_of_ours_is_500_in_the_same_shape_and_tells_nothing(as_user, viewer) -> None:
    RAISED.append(ZeroDivisionError("s3cret detail"))
    browser = as_user(viewer)
    browser.raise_request_exception = False
    answer = browser.get("/api/v1/sample/")
    assert answer.status_code == 500
    assert error(answer)["code"] == "server_error"
    assert "s3cret" not in answer.content.decode()


def test_one_caller_cannot_ask_for_ever(as_user, viewer, operator, monkeypatch) -> None:
    from rest_framework.throttling import UserRateThrottle

    monkeypatch.setattr(UserRateThrottle, "THROTTLE_RATES", {"user": "3/min"})
    browser = as_user(viewer)
    assert [browser.get("/api/v1/sample/").status_code for _ in range(4)] == [200, 200, 200, 429]
    answer = browser.get("/api/v1/sample/")
    assert 0 < int(answer["Retry-After"]) <= 60
    assert error(answer)["code"] == "throttled"
    assert as_user(operator).get("/api/v1/sample/").status_code == 200


def test_servers_are_listed_without_secrets(as_user, viewer, server) -> None:
    body = as_user(viewer).get("/api/v1/servers/").json()
    assert {key: body[key] for key in ("count", "next", "previous")} == {"count": 1, "next": None, "previous": None}
    row = body["results"][0]
    assert {"slug", "name", "base_url", "version", "healthy", "last_error"} <= set(row)
    assert (row["slug"], row["healthy"]) == ("prod", None)
    assert "op-password" not in str(row)
    assert not [key for key in row if "secret" in key or "token" in key or key == "username"]


# What comes back


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (gettext_lazy("Log in to go on."), '"Log in to go on."'),
        (SafeString("<b>"), '"<b>"'),
        (exceptions.ErrorDetail("No.", code="no"), '"No."'),
        (2**70, str(2**70)),
        (float("nan"), "null"),
        (float("-inf"), "null"),
        ("</script> ü \u2028", '"</script> ü \u2028"'),
        (UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (timedelta(seconds=90), '"PT90S"'),
        ({1: [True, None]}, '{"1":[true,null]}'),
    ],
)
def test_any_value_is_json(value, expected) -> None:
    assert JSONRenderer().render(value).decode() == expected


def test_nothing_is_an_empty_body() -> None:
    assert JSONRenderer().render(None) == b""
