"""S3 prefix files: which files are worked on, where their output lies, when too many failed."""

from typing import Any

import pytest

from examples.dags.mapped_patterns.files import (
    FileRefused,
    NoFiles,
    TooManyFailures,
    files_to_process,
    output_key,
    processed,
    refused,
    require_few_failures,
    require_prefixes_apart,
    summarize_files,
)


def listing(*keys: str) -> list[dict[str, Any]]:
    return [{"Key": key, "Size": len(key), "ETag": '"x"'} for key in keys]


def files(count: int) -> list[dict[str, Any]]:
    return files_to_process(listing(*(f"in/part-{number:04d}.parquet" for number in range(count))), "in/")


def result(file: dict[str, Any]) -> dict[str, Any]:
    return processed(file, output_key(file["key"], "out"), rows_processed=90, rows_dropped=10)


def test_files_are_sorted_by_key_whatever_the_order_of_the_listing() -> None:
    listed = listing("in/b.parquet", "in/a.parquet", "in/a/z.parquet")
    assert [file["key"] for file in files_to_process(listed, "in/")] == [
        "in/a.parquet",
        "in/a/z.parquet",
        "in/b.parquet",
    ]


def test_markers_and_other_files_are_left_out() -> None:
    listed = listing("in/_SUCCESS", "in/", "in/a.parquet", "in/a.parquet.crc")
    assert files_to_process(listed, "in/") == [{"key": "in/a.parquet", "bytes": 12}]


@pytest.mark.parametrize("listed", [[], listing("in/_SUCCESS")])
def test_a_prefix_without_files_is_an_error_that_names_it(listed: list[dict[str, Any]]) -> None:
    with pytest.raises(NoFiles, match="under in/"):
        files_to_process(listed, "in/")


def test_a_files_output_key_is_the_same_on_every_try_and_no_other_files() -> None:
    assert output_key("in/1/a.parquet", "out/") == output_key("in/1/a.parquet", "out") == "out/in/1/a.parquet"
    assert output_key("in/1/a.parquet", "out/") != output_key("in/2/a.parquet", "out/")


@pytest.mark.parametrize(("source", "target"), [("in/", "in/"), ("in/", "in/out/")])
def test_outputs_among_the_inputs_are_refused(source: str, target: str) -> None:
    with pytest.raises(ValueError, match="lies under"):
        require_prefixes_apart(source, target)


@pytest.mark.parametrize(("source", "target"), [("", "out/"), ("in/", "")])
def test_a_whole_bucket_is_refused(source: str, target: str) -> None:
    with pytest.raises(ValueError, match="whole bucket"):
        require_prefixes_apart(source, target)


def test_prefixes_beside_each_other_are_fine() -> None:
    require_prefixes_apart("in/", "in-usable/")


def test_the_summary_adds_up_rows_and_counts_absent_and_refused_files_as_failed() -> None:
    mapped = files(10)
    results = [result(file) for file in mapped[:8]] + [refused(mapped[8], FileRefused("no column"))]
    assert summarize_files(mapped, results) == {
        "files": 10,
        "processed": 8,
        "failed": 2,
        "failed_percent": 20.0,
        "failed_keys": ["in/part-0008.parquet", "in/part-0009.parquet"],
        "rows_processed": 720,
        "rows_dropped": 80,
    }


def test_results_of_files_that_are_no_longer_mapped_do_not_count() -> None:
    mapped = files(2)
    results = [result(file) for file in files(5)]
    assert summarize_files(mapped, results)["rows_processed"] == 180


def test_the_summary_of_a_thousand_failures_stays_small() -> None:
    summary = summarize_files(files(1000), [])
    assert (summary["failed"], len(summary["failed_keys"])) == (1000, 20)


@pytest.mark.parametrize(("failed", "red"), [(0, False), (10, False), (11, True), (100, True)])
def test_ten_percent_are_allowed_and_more_are_not(failed: int, red: bool) -> None:
    mapped = files(100)
    summary = summarize_files(mapped, [result(file) for file in mapped[failed:]])
    if red:
        with pytest.raises(TooManyFailures, match=f"{failed} of 100 files failed"):
            require_few_failures(summary, most_percent=10)
    else:
        require_few_failures(summary, most_percent=10)


def test_the_limit_is_not_rounded_open() -> None:
    mapped = files(100_000)
    summary = summarize_files(mapped, [result(file) for file in mapped[10_001:]])
    with pytest.raises(TooManyFailures):
        require_few_failures(summary, most_percent=10)
