"""Passwords and tokens show in no text: not in errors, not in client objects, not in logs."""

from __future__ import annotations

import logging
import traceback

import httpx
import pytest

from panel.airflow import Airflow, AirflowError, BearerToken, MemoryTokens, Password
from tests.fakes.airflow import FakeAirflow

PASSWORD = "pass-word-0123456789"
TOKEN = "header.payload-abcdefgh.signature"


def everything_said(error: BaseException) -> str:
    """The error with its whole chain, as a log would print it, and what it carries."""
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(cause)
    parts = [repr(one) + str(one) + repr(getattr(one, "__dict__", {})) for one in chain]
    return "".join(parts) + "".join(traceback.format_exception(error))


def test_objects_do_not_show_them():
    tokens = MemoryTokens()
    with Airflow("http://airflow", Password("op", PASSWORD), tokens=tokens) as airflow:
        objects = [airflow, airflow._transport, airflow._transport.session, airflow.dags, airflow.runs, tokens]
        assert PASSWORD not in "".join(repr(one) + str(one) for one in objects)
    assert PASSWORD not in repr(Password("op", PASSWORD))
    assert TOKEN not in repr(BearerToken(TOKEN))


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 409, 415, 418, 422, 429, 500, 503])
@pytest.mark.parametrize("shape", ["string", "list", "dict", "error", "text"])
def test_a_login_that_repeats_what_was_sent(status, shape):
    def echo(request):
        said = request.content.decode() + f" input_value={request.content.decode()}"
        if shape == "text":
            return httpx.Response(status, text=said, headers={"Location": f"/x?{said[:20]}"})
        bodies = {
            "string": {"detail": f"1 validation error for LoginBody {said}"},
            "list": {"detail": [{"loc": ["body", said], "msg": said, "input": said}]},
            "dict": {"detail": {"reason": said, "message": said}},
            "error": {"error": said},
        }
        return httpx.Response(status, json=bodies[shape], headers={"Location": "/x"})

    airflow = Airflow("http://airflow.test", Password("op", PASSWORD), transport=httpx.MockTransport(echo))
    with pytest.raises(AirflowError) as caught:
        airflow.dags.list()
    assert PASSWORD not in everything_said(caught.value)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 500])
def test_a_server_that_repeats_the_token(status):
    def echo(request):
        said = request.headers["authorization"]
        return httpx.Response(status, json={"detail": f"Invalid JWT token: {said}"})

    airflow = Airflow("http://airflow.test", BearerToken(TOKEN), transport=httpx.MockTransport(echo))
    with pytest.raises(AirflowError) as caught:
        airflow.dags.details("etl")
    assert TOKEN not in everything_said(caught.value)


@pytest.mark.parametrize("body", [{"access_token": 7, "x": PASSWORD}, {"password": PASSWORD}, [PASSWORD]])
def test_a_login_answer_of_another_shape(body):
    airflow = Airflow(
        "http://airflow.test",
        Password("op", PASSWORD),
        transport=httpx.MockTransport(lambda request: httpx.Response(201, json=body)),
    )
    with pytest.raises(AirflowError) as caught:
        airflow.dags.list()
    assert PASSWORD not in everything_said(caught.value)


@pytest.mark.parametrize(
    "fault", [{"status": 500}, {"html": True}, {"garbage": True}, {"drop": True}, {"hang": 1}, {"status": 422}]
)
def test_faults_after_a_login(fault, caplog):
    caplog.set_level(logging.DEBUG)
    fake = FakeAirflow()
    fake.auth.add_user("mapboard", PASSWORD, "op")
    tokens = MemoryTokens()
    airflow = Airflow(fake.base_url, Password("mapboard", PASSWORD), tokens=tokens, transport=fake.transport())
    airflow.dags.list()
    fake.fail_next(**fault, path="/dags", times=9)
    with pytest.raises(AirflowError) as caught:
        airflow.dags.list()
    said = everything_said(caught.value) + caplog.text
    assert PASSWORD not in said
    assert tokens.get() not in said


def test_what_was_sent_is_not_repeated_in_a_validation_error():
    fake = FakeAirflow()
    fake.fail_next(
        status=422,
        path="dagRuns",
        detail=[{"loc": ["body", "conf"], "msg": "Input should be …", "input": {"key": PASSWORD}}],
    )
    airflow = Airflow(fake.base_url, Password("op", fake.password("op")), transport=fake.transport())
    with pytest.raises(AirflowError) as caught:
        airflow.runs.trigger("etl", run_id="r", conf={"key": PASSWORD})
    said = repr(caught.value) + str(caught.value) + repr(caught.value.__dict__)
    assert PASSWORD not in said
