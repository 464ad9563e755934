"""Every way in which Airflow says no becomes one of our errors, with one sentence."""

from __future__ import annotations

import httpx
import pytest

from panel.airflow import (
    BadPayload,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    RateLimited,
    Rejected,
    ServerFault,
    TimedOut,
    Unauthorized,
    Unreachable,
)


def refused(answering, status, **body):
    airflow = answering(lambda request: httpx.Response(status, **body))
    with pytest.raises(Rejected) as caught:
        airflow.dags.details("etl")
    return caught.value


def test_a_string_detail(answering):
    error = refused(answering, 404, json={"detail": "The Dag with ID: `x` was not found"})
    assert type(error) is NotFound
    assert error.status == 404
    assert error.detail == "The Dag with ID: `x` was not found"
    assert str(error) == "Airflow answered 404: The Dag with ID: `x` was not found"


def test_a_validation_list_gives_messages_by_field(answering):
    detail = [
        {"type": "extra_forbidden", "loc": ["body", "zzz"], "msg": "Extra inputs are not permitted", "input": "s3cret"},
        {"type": "string_type", "loc": ["body", "conf", "a", 0], "msg": "Input should be a string", "input": 1},
    ]
    error = refused(answering, 422, json={"detail": detail})
    assert type(error) is Invalid
    assert error.fields == {"zzz": ["Extra inputs are not permitted"], "conf.a.0": ["Input should be a string"]}
    assert "zzz: Extra inputs are not permitted" in error.detail
    assert "s3cret" not in repr(error) + str(error) + repr(error.__dict__)


def test_a_list_of_sentences(answering):
    error = refused(answering, 404, json={"detail": ["The Task Instance was not found"]})
    assert type(error) is NotFound
    assert error.detail == "The Task Instance was not found"


def test_a_database_dict(answering):
    detail = {"reason": "Unique constraint violation", "statement": "hidden", "orig_error": "hidden", "message": "ID x"}
    error = refused(answering, 409, json={"detail": detail})
    assert type(error) is Conflict
    assert error.detail == "Unique constraint violation: ID x"


def test_an_unknown_route(answering):
    error = refused(answering, 404, json={"error": "API route not found"})
    assert type(error) is NotFound
    assert error.detail == "API route not found"


def test_plain_text(answering):
    error = refused(answering, 500, text="Internal Server Error")
    assert type(error) is ServerFault
    assert error.detail == "Internal Server Error"
    assert error.retryable


def test_a_proxys_page_leaves_the_status_only(answering):
    error = refused(answering, 502, html="<html>nginx <script>alert(1)</script></html>")
    assert str(error) == "Airflow answered 502: Bad Gateway"


def test_json_that_is_none(answering):
    error = refused(answering, 503, content=b"{nonsense", headers={"Content-Type": "application/json"})
    assert error.detail == "Service Unavailable"


def test_json_nested_too_deeply(answering):
    error = refused(answering, 400, content=b"[" * 100_000, headers={"Content-Type": "application/json"})
    assert error.detail == "Bad Request"


@pytest.mark.parametrize("detail", [None, 7, [], {}, [7], [{"loc": "body", "msg": None}], {"reason": 7}])
def test_a_detail_of_no_known_shape(answering, detail):
    assert type(refused(answering, 400, json={"detail": detail})) is Invalid


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Invalid),
        (403, Forbidden),
        (404, NotFound),
        (405, Invalid),
        (406, Invalid),
        (409, Conflict),
        (410, Rejected),
        (415, Invalid),
        (422, Invalid),
        (429, RateLimited),
        (500, ServerFault),
        (504, ServerFault),
        (599, ServerFault),
    ],
)
def test_each_status_has_its_error(answering, status, kind):
    error = refused(answering, status, json={"detail": "no"})
    assert type(error) is kind
    assert error.status == status


def test_an_expired_ready_token_is_unauthorized(answering):
    assert type(refused(answering, 401, json={"detail": "Token Expired"})) is Unauthorized
    assert type(refused(answering, 403, json={"detail": "Invalid JWT token"})) is Unauthorized


def test_a_param_that_breaks_its_schema_is_named(answering):
    detail = (
        "Invalid input for param n: 99 is greater than the maximum of 10\n\nFailed validating 'maximum' in schema:\n"
        "    {'type': 'integer'}\n\nOn instance:\n    99"
    )
    error = refused(answering, 400, json={"detail": detail})
    assert error.fields == {"n": ["99 is greater than the maximum of 10"]}
    assert error.detail == "Invalid input for param n: 99 is greater than the maximum of 10"


def test_long_details_are_cut(answering):
    assert len(refused(answering, 400, json={"detail": "x" * 100_000}).detail) == 2_000
    assert len(refused(answering, 500, text="x" * 1_000_000).detail) <= 2_000


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (httpx.ConnectError("refused"), Unreachable),
        (httpx.ReadError("reset"), Unreachable),
        (httpx.RemoteProtocolError("rubbish"), Unreachable),
        (httpx.ProxyError("no"), Unreachable),
        (httpx.ConnectTimeout("slow"), TimedOut),
        (httpx.ReadTimeout("slow"), TimedOut),
        (httpx.PoolTimeout("slow"), TimedOut),
        (httpx.DecodingError("gzip"), BadPayload),
    ],
)
def test_no_httpx_error_leaves_the_room(answering, fault, kind):
    def fail(request):
        raise fault

    with pytest.raises(kind) as caught:
        answering(fail).dags.details("etl")
    assert type(caught.value) is kind
    assert "airflow.test" in str(caught.value)
