"""The soak's Airflow, a process of its own: it counts effects, answers some requests wrongly, and can be told to hold
a clear, so that a kill lands while it is under way.

``python -m tests.soak.airflow --seed 1 --run r1=9000 --run r2=1000``. Prints ``ready http://…`` once it listens.
"""

from __future__ import annotations

import argparse
import random
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from typing import Any

from tests.fakes.airflow import FakeAirflow, Task
from tests.fakes.airflow.__main__ import Quiet, Server
from tests.fakes.airflow.faults import Fault
from tests.fakes.airflow.wire import Answer, Request

UNAVAILABLE = 0.03
ANSWER_LOST = 0.03
SECONDS_A_CLEAR = 0.05
LONGEST_BEFORE, LONGEST_AFTER = 6.0, 60.0
"""Seconds that a clear is held. One that is held longer before it is carried out never is: the panel's settings in the
soak (test_kill_soak.py) trust an Airflow that is not slower than that."""


class SoakAirflow(FakeAirflow):
    """Requests get a 503 with probability UNAVAILABLE; a clear is carried out and its answer lost with ANSWER_LOST."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._moved = threading.Condition()
        self._place, self._let_pass, self._gate = "", 0, 0
        self.held = 0
        self.clears_done = 0
        self.faults: Counter[str] = Counter()
        self._until_lost: list[bool] = []
        self._lost_at = round(1 / ANSWER_LOST) - 1 - self._chance.randrange(10)
        super().__init__()

    def stage(self, runs: dict[str, int]) -> None:
        """The Dag "etl": all indices of its finished runs failed, every tenth hard, the others softly."""
        tasks = [Task("work", is_mapped=True, downstream=["report"]), Task("report", trigger_rule="all_done")]
        self.add_dag("etl", tasks=tasks, work=lambda row: {"id": row.map_index, "status": "ok"})
        for run_id, count in runs.items():
            self.add_run("etl", run_id)
            self.expand("etl", run_id, "work", count)
            for index in range(count):
                error = ("KeyError", f"customer_{index}") if index % 10 == 0 else None
                self.finish("etl", run_id, "work", index, error=error, result={"status": "failed", "error": "bad row"})
            self.finish("etl", run_id, "report", result={"runs": 1})
            self.finish_run("etl", run_id)
        self.effects.all.clear()

    def schedule_for_ever(self) -> None:
        while True:
            time.sleep(0.3)
            with self._working:
                self.run_queued()

    # Faults

    def _next_fault(self, request: Request) -> Fault | None:
        with self._counting:
            drawn = self._chance.random()
        if drawn < UNAVAILABLE:
            self.faults["503"] += 1
            return Fault(status=503, detail="The soak says no")
        return self._lost_answer() if _clears(request) else None

    def _lost_answer(self) -> Fault | None:
        """One in so many clears, at a place that the seed decides: a short soak has its share, too."""
        every = round(1 / ANSWER_LOST)
        with self._counting:
            if not self._until_lost:
                self._until_lost = [place == self._lost_at for place in range(every)]
                self._lost_at = self._chance.randrange(every)
            lost = self._until_lost.pop()
        if not lost:
            return None
        self.faults["answer lost"] += 1
        return Fault(drop=True, after=True)

    # Holding

    def _carried_out(self, request: Request) -> Answer:
        if not _clears(request):
            return super()._carried_out(request)
        time.sleep(SECONDS_A_CLEAR)
        place = self._place_to_wait()
        if place == "before" and not self._waited(LONGEST_BEFORE):
            raise ConnectionResetError  # so late that its sender may rely on it not to arrive
        answer = super()._carried_out(request)
        if place == "after":
            self._waited(LONGEST_AFTER)
        with self._moved:
            self.clears_done += 1
        return answer

    def _place_to_wait(self) -> str:
        with self._moved:
            if self._let_pass > 0:
                self._let_pass -= 1
                return ""
            return self._place

    def _waited(self, seconds: float) -> bool:
        """Until the gate is set anew; False when that took too long."""
        with self._moved:
            gate, self.held = self._gate, self.held + 1
            moved = self._moved.wait_for(lambda: self._gate != gate, timeout=seconds)
            self.held -= 0 if moved else 1
            return moved

    def _staged(self, request: Request) -> Answer:
        verb = request.path.rpartition("/")[2]
        if verb == "gate":
            with self._moved:
                self._place, self._let_pass = request.body["place"], request.body["let"]
                self._gate, self.held = self._gate + 1, 0
                self._moved.notify_all()
        elif verb != "soak":
            return super()._staged(request)
        with self._moved:
            said: dict[str, Any] = {"held": self.held, "clears": self.clears_done, "peak": self.peak_in_flight}
            return Answer(200, said | {"faults": dict(self.faults)})


def _clears(request: Request) -> bool:
    return request.path.endswith("/clearTaskInstances") and not (request.body or {}).get("dry_run", True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.soak.airflow")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--run", action="append", required=True, metavar="ID=COUNT")
    options = parser.parse_args()
    fake = SoakAirflow(options.seed)
    fake.stage({run_id: int(count) for run_id, count in (text.split("=") for text in options.run)})
    with Server(("127.0.0.1", 0), Quiet) as server:
        server.set_app(fake)
        threading.Thread(target=fake.schedule_for_ever, daemon=True).start()
        threading.Thread(target=lambda: (sys.stdin.read(), server.shutdown()), daemon=True).start()
        sys.stdout.write(f"ready http://127.0.0.1:{server.server_port}\n")
        sys.stdout.flush()
        with suppress(KeyboardInterrupt):
            server.serve_forever(poll_interval=0.05)


if __name__ == "__main__":
    main()
