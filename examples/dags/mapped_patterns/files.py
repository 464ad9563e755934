"""S3 prefix files: which files are worked on, where each one's output lies, how the whole is judged."""

from collections.abc import Iterable, Sequence
from typing import Any

JSON = dict[str, Any]

AUTOMATIC_TRIES = 4
SUFFIX = ".parquet"
MOST_NAMED = 20


class NoFiles(Exception):
    """Nothing lies under the prefix: whoever asked is mistaken, or the files are not there yet."""


class TooManyFailures(Exception):
    """So many files failed that the output must not be used."""


class FileRefused(Exception):
    """Nothing can be done for this file: another try would find the same. It becomes a soft failure."""


def require_prefixes_apart(source: str, target: str) -> None:
    """Raises ValueError when outputs would lie among the inputs, to be read as such by the next run."""
    if not source or not target:
        raise ValueError("both prefixes are needed: an empty one means the whole bucket")
    if target.startswith(source):
        raise ValueError(f"the output prefix {target!r} lies under the input prefix {source!r}")


def files_to_process(listed: Iterable[JSON], prefix: str) -> list[JSON]:
    """The list that is mapped, ``{"key", "bytes"}`` a file, from an S3 listing (``Key``, ``Size``).

    By key, so that an index means the same file whenever the prefix is listed again. Markers such as ``_SUCCESS`` are
    left out. Raises NoFiles rather than let a run turn green that did nothing.
    """
    found = sorted((entry["Key"], entry["Size"]) for entry in listed if entry["Key"].endswith(SUFFIX))
    if not found:
        raise NoFiles(f"no {SUFFIX} file lies under {prefix}")
    return [{"key": key, "bytes": size} for key, size in found]


def output_key(key: str, prefix: str) -> str:
    """The same for every try of a file, and of no other file: a retry overwrites what an earlier try left."""
    return f"{prefix.rstrip('/')}/{key}"


def processed(file: JSON, target: str, *, rows_processed: int, rows_dropped: int) -> JSON:
    counts = {"rows_processed": rows_processed, "rows_dropped": rows_dropped}
    return {"key": file["key"], "status": "ok", "output_key": target, **counts}


def refused(file: JSON, error: FileRefused) -> JSON:
    return {"key": file["key"], "status": "failed", "error": str(error)}


def summarize_files(files: Sequence[JSON], results: Iterable[JSON]) -> JSON:
    """``{"files", "processed", "failed", "failed_percent", "failed_keys", "rows_processed", "rows_dropped"}``.

    Counts against the list that was mapped: a failed instance leaves no result (Airflow hands over only the XComs that
    exist), so a file without one failed, as did one that was refused. At most MOST_NAMED keys are named.
    """
    expected = {file["key"] for file in files}
    done = {result["key"]: result for result in results if result["key"] in expected and result["status"] == "ok"}
    failed = sorted(expected - done.keys())
    return {
        "files": len(expected),
        "processed": len(done),
        "failed": len(failed),
        "failed_percent": round(100 * len(failed) / len(expected), 2) if expected else 0.0,
        "failed_keys": failed[:MOST_NAMED],
        "rows_processed": sum(result["rows_processed"] for result in done.values()),
        "rows_dropped": sum(result["rows_dropped"] for result in done.values()),
    }


def require_few_failures(summary: JSON, *, most_percent: float) -> None:
    """Raises TooManyFailures above (not at) `most_percent` of failed files."""
    if 100 * summary["failed"] > most_percent * summary["files"]:
        raise TooManyFailures(
            f"{summary['failed']} of {summary['files']} files failed "
            f"({summary['failed_percent']:g}%, {most_percent:g}% are allowed): {', '.join(summary['failed_keys'])}"
        )
