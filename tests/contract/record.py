"""``python -m tests.contract.record BASE_URL USER < password``: records tests/payloads/<version> from a real Airflow.

It needs the Dags of tests/contract/dags. Paths of the machine, host names and process ids are taken out.
"""

from __future__ import annotations

import json
import re
import sys
from types import SimpleNamespace
from typing import Any

from tests.contract.answers import CALLS, PAYLOADS, ask
from tests.contract.site import Site

PATH = re.compile(r"(?<![\w:/])/(?:[\w.@=+:~-]+/)+(?=[\w.@=+:~-])")
PRIVATE = {"hostname": "worker", "unixname": "airflow", "pid": 4242, "file_token": "token"}


def main(base_url: str, user: str, password: str) -> None:
    site = Site.of_server(SimpleNamespace(base_url=base_url, users={user: password}))
    folder = PAYLOADS / site.client(user).version().version
    folder.mkdir(parents=True, exist_ok=True)
    run_id = site.client(user).runs.trigger("contract_mapped", run_id="recorded", conf={"n": 6}).dag_run_id
    site.until(lambda: site.client(user).runs.find("contract_mapped", run_id), lambda run: run.state == "success")
    for name in CALLS:
        try:
            answer = ask(site, name, run_id, user)
        except (AssertionError, ValueError):
            sys.stderr.write(f"{name}: this version does not know the call\n")
            continue
        (folder / f"{name}.json").write_text(json.dumps(_clean(answer), indent=1, ensure_ascii=False) + "\n")


def _clean(answer: Any) -> Any:
    if isinstance(answer, list):
        return [_clean(one) for one in answer]
    if isinstance(answer, dict):
        return {
            name: PRIVATE.get(name) if value is not None and name in PRIVATE else _clean(value)
            for name, value in answer.items()
        }
    return PATH.sub("…/", answer) if isinstance(answer, str) else answer


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.stdin.read().strip())
