"""Results held in object storage: recognised, shown as such, and read when somebody asks."""

from __future__ import annotations

import gzip
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from panel.domain.storages import Storage, storages_from
from panel.mirror import object_storage
from panel.mirror.live_reads import read_result
from panel.mirror.models import Instance, MappedTask
from panel.mirror.object_storage import OpenStorages, Unresolvable
from panel.mirror.read_requests import request_resolution
from panel.mirror.serialized_values import plainly

pytestmark = pytest.mark.django_db

PLACE = "etl/r1/work"


def rows(task: MappedTask) -> list[Instance]:
    return list(Instance.objects.filter(mapped_task=task).order_by("map_index"))


def kept_at(base: Path, value: object, suffix: str = "") -> str:
    """Write a value as XComObjectStorageBackend does; the reference that Airflow then has."""
    file = base / PLACE / f"{uuid.uuid4()}{suffix}"
    file.parent.mkdir(parents=True, exist_ok=True)
    data = json.dumps(value).encode()
    file.write_bytes(gzip.compress(data) if suffix == ".gz" else data)
    return f"file://{file}"


@pytest.fixture
def base(tmp_path, settings) -> Path:
    settings.XCOM_STORAGE = storages_from([{"base": f"file://{tmp_path}/xcoms"}])
    (tmp_path / "xcoms").mkdir()
    return tmp_path / "xcoms"


@pytest.fixture
def resolved(worker):
    def ask(task: MappedTask) -> MappedTask:
        assert request_resolution(mapped_task=task)
        worker.work()
        return MappedTask.objects.get(pk=task.pk)

    return ask


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_a_reference_is_not_taken_for_the_result(etl, mapped, sync, suffix):
    task = mapped(1)
    reference = f"s3://conn@bucket/xcom/etl/r1/work/4383aeab-1111-2222-3333-444455556666{suffix}"
    etl.finish("etl", "r1", "work", 0, result=reference)
    task = sync(task)
    (row,) = rows(task)
    assert (row.outcome, row.result_state, row.result) == ("unknown_result", "external", reference)
    assert (task.external_results, task.unread_results, task.complete) == (1, 0, True)


@pytest.mark.parametrize(
    "value",
    [
        "s3://bucket/output/part-1.parquet",
        "s3://bucket/etl/r1/work/part-1.parquet",
        "s3://bucket/etl/r2/work/4383aeab-1111-2222-3333-444455556666",
        "see s3://bucket/etl/r1/work/4383aeab-1111-2222-3333-444455556666",
    ],
)
def test_an_address_that_a_task_returns_is_its_result(etl, mapped, sync, value):
    task = mapped(1)
    etl.finish("etl", "r1", "work", 0, result=value)
    (row,) = rows(sync(task))
    assert (row.outcome, row.result_state, row.result) == ("success", "read", value)


def test_asked_for_they_are_read_and_judged_like_any_other(etl, mapped, sync, resolved, base):
    task = mapped(4)
    etl.finish("etl", "r1", "work", 0, result=kept_at(base, {"status": "ok", "rows": 5}))
    etl.finish("etl", "r1", "work", 1, result=kept_at(base, {"status": "failed", "error": "too few"}, ".gz"))
    etl.finish("etl", "r1", "work", 2, result=kept_at(base, {"log": "x" * 50_000, "status": "error"}))
    etl.finish("etl", "r1", "work", 3, result={"status": "ok"})
    task = sync(task)
    assert task.counts == {"success": 1, "unknown_result": 3}
    task = resolved(task)
    assert task.counts == {"success": 2, "soft_failure": 2}
    assert (task.external_results, task.resolution_requested_at) == (0, None)
    assert [row.result_state for row in rows(task)] == ["read"] * 4
    assert rows(task)[1].error_message == "too few"
    assert rows(task)[2].result_shortened
    assert sync(task, full=True).counts == {"success": 2, "soft_failure": 2}  # and stay read


def test_of_a_large_one_the_instance_page_shows_the_preview(etl, mapped, sync, resolved, base):
    task = mapped(1)
    etl.finish("etl", "r1", "work", 0, result=kept_at(base, {"log": "x" * 50_000, "rows": 3}))
    resolved(sync(task))
    row = Instance.objects.select_related("mapped_task__run__dag__server").get(mapped_task=task)
    shown = read_result(instance=row)
    assert (shown.state, shown.cut, shown.value["rows"]) == ("read", True, 3)


def test_what_cannot_be_read_says_why_and_may_be_asked_for_again(etl, mapped, sync, resolved, base):
    task = mapped(3)
    gone = kept_at(base, {"status": "ok"})
    data = Path(gone.removeprefix("file://")).read_bytes()
    Path(gone.removeprefix("file://")).unlink()
    broken = kept_at(base, None)
    Path(broken.removeprefix("file://")).write_bytes(b"{nonsense")
    elsewhere = f"s3://other/{PLACE}/{uuid.uuid4()}"
    for index, reference in enumerate([gone, broken, elsewhere]):
        etl.finish("etl", "r1", "work", index, result=reference)
    task = resolved(sync(task))
    reasons = [row.result_reason for row in rows(task)]
    assert "does not have it" in reasons[0]
    assert "no JSON" in reasons[1]
    assert "MAPBOARD_XCOM_STORAGE" in reasons[2]
    assert [row.result for row in rows(task)] == [gone, broken, elsewhere]
    Path(gone.removeprefix("file://")).write_bytes(data)
    assert resolved(task).counts == {"success": 1, "unknown_result": 2}


def test_without_external_results_there_is_nothing_to_ask_for(mapped):
    assert not request_resolution(mapped_task=mapped(1))


# What a reference may open


def read(base: Path, reference: str, place: str = PLACE) -> object:
    return OpenStorages([Storage(f"file://{base}")]).read(place, reference)


@pytest.mark.parametrize(
    "reference",
    [
        "file://{base}/../secret/etl/r1/work/{id}",
        "file://{base}/etl/r1/work/../work/{id}",
        "file://{base}/etl/r1/work/%2e%2e/{id}",
        "file://{base}/etl/r1/other/{id}",
        "file://{base}/etl/r1/work/passwd",
        "file://{base}-other/etl/r1/work/{id}",
        "file:///etc/etl/r1/work/{id}",
        "http://127.0.0.1/etl/r1/work/{id}",
        "s3://bucket/etl/r1/work/{id}",
    ],
)
def test_nothing_outside_the_base_and_the_tasks_own_place_is_opened(base, reference, monkeypatch):
    monkeypatch.setattr(object_storage, "_fetched", lambda *_arguments: pytest.fail("it was opened"))
    with pytest.raises(Unresolvable):
        read(base, reference.format(base=base, id=uuid.uuid4()))


def test_a_run_id_that_climbs_is_not_followed(base):
    identity = uuid.uuid4()
    with pytest.raises(Unresolvable):
        read(base, f"file://{base}/etl/../work/{identity}", "etl/../work")


def test_a_link_that_leads_out_of_the_base_is_not_followed(base, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text('{"password": "x"}')
    reference = kept_at(base, None)
    file = Path(reference.removeprefix("file://"))
    file.unlink()
    file.symlink_to(secret)
    with pytest.raises(Unresolvable, match="does not let"):
        read(base, reference)
    file.unlink()
    file.parent.rmdir()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / file.name).write_text("1")
    file.parent.symlink_to(outside)
    with pytest.raises(Unresolvable, match="does not let"):
        read(base, reference)


def test_what_is_too_large_is_not_read_packed_or_not(base, monkeypatch):
    monkeypatch.setattr(object_storage, "MOST_BYTES", 1_000)
    for suffix in ("", ".gz"):
        with pytest.raises(Unresolvable, match="larger than"):
            read(base, kept_at(base, "x" * 5_000, suffix))
    assert read(base, kept_at(base, "x" * 900, ".gz")) == "x" * 900


def test_what_no_database_holds_becomes_words(base):
    assert read(base, kept_at(base, {"mean": float("nan"), "most": float("inf")})) == {
        "mean": "NaN",
        "most": "Infinity",
    }


def test_airflows_serialisation_is_shown_plainly():
    moment = {"__classname__": "datetime.datetime", "__version__": 2, "__data__": {"timestamp": 0.0, "tz": None}}
    pair = {"__classname__": "builtins.tuple", "__version__": 1, "__data__": [1, moment]}
    assert plainly({"pair": pair, "rows": [3]}) == {"pair": [1, "1970-01-01T00:00:00+00:00"], "rows": [3]}


def test_keys_of_a_storage_are_not_in_its_description():
    (storage,) = storages_from([{"base": "s3://bucket/x", "key": "AKIA", "secret": "hidden"}])
    assert "hidden" not in repr(storage)
    assert "AKIA" not in str(storage)


# S3


@pytest.fixture
def s3() -> Iterator[str]:
    """The address of moto's S3 API, in a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _turn in range(200):
            try:
                urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{address}/moto-api/", timeout=1)
                break
            except OSError:
                time.sleep(0.1)
        yield address
    finally:
        server.terminate()
        server.wait(10)


@pytest.mark.enable_socket
def test_results_in_s3(etl, mapped, sync, resolved, s3, settings, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    login = {"key": "AKIA", "secret": "hidden", "endpoint_url": s3, "region": "eu-central-1"}
    settings.XCOM_STORAGE = storages_from([{"base": "s3://conn@xcoms/airflow"} | login])
    client = {"endpoint_url": s3, "client_kwargs": {"region_name": "eu-central-1"}}
    bucket = fsspec.filesystem("s3", key="AKIA", secret="hidden", **client)
    bucket.mkdir("xcoms")
    there, gone = uuid.uuid4(), uuid.uuid4()
    bucket.pipe_file(f"xcoms/airflow/{PLACE}/{there}.gz", gzip.compress(b'{"status": "failed", "error": "in S3"}'))
    task = mapped(2)
    etl.finish("etl", "r1", "work", 0, result=f"s3://conn@xcoms/airflow/{PLACE}/{there}.gz")
    etl.finish("etl", "r1", "work", 1, result=f"s3://conn@xcoms/airflow/{PLACE}/{gone}")
    first, second = rows(resolved(sync(task)))
    assert (first.outcome, first.error_message, first.result_state) == ("soft_failure", "in S3", "read")
    assert (second.result_state, second.result_reason) == ("external", "The storage does not have it (any more).")
