"""What every process of the panel does once: seen in processes of their own, as it holds for a whole one."""

import subprocess
import sys
from pathlib import Path

import pytest

from config import startup

REPOSITORY = Path(startup.__file__).resolve().parents[1]
WEB = "import config.wsgi"
WORKER = "import config.celery; from celery.signals import worker_process_init; worker_process_init.send(sender=None)"


@pytest.mark.parametrize("process", [WEB, WORKER])
def test_what_was_loaded_stays_and_threads_alternate(process: str) -> None:
    told = "import gc, sys; print(gc.get_freeze_count() > 10_000, gc.get_threshold()[0], sys.getswitchinterval())"
    answer = subprocess.run(
        [sys.executable, "-c", f"{process}; {told}"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert answer.stdout.split() == ["True", str(startup.YOUNG), str(startup.SWITCH_SECONDS)]
