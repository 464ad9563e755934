"""A pytest plug-in, loaded before the settings: tests depend on no variable and no file of the machine.

``MAPBOARD_TEST_DATABASE_URL`` and ``MAPBOARD_TEST_REDIS_URL`` (set by .ci/run) run them on PostgreSQL and Redis;
``MAPBOARD_HISTORIES`` says how many random histories are looked for (tests/mirror/test_sync_histories.py and others).
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

_OURS = {"SECRET_KEY", "ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS", "DEBUG", "LOG_LEVEL", "DATABASE_URL", "REDIS_URL"}
_BEGINNINGS = ("MAPBOARD_", "AIRFLOW_", "MIRROR_", "RETRY_", "RETRIES_", "LAUNCH_", "RESULT_")

_KEPT = ("MAPBOARD_TEST_", "MAPBOARD_HISTORIES")

for _name in list(os.environ):
    _plain = _name.removesuffix("_FILE")
    if not _name.startswith(_KEPT) and (_plain in _OURS or _plain.startswith(_BEGINNINGS)):
        del os.environ[_name]

_var = tempfile.mkdtemp(prefix="mapboard-tests-")
atexit.register(shutil.rmtree, _var, ignore_errors=True)
os.environ["MAPBOARD_VAR_DIR"] = _var
os.environ["DATABASE_URL"] = os.environ.get("MAPBOARD_TEST_DATABASE_URL") or f"sqlite:///{_var}/tests.sqlite3"
# Nothing listens on port 1: a fast test that reaches for a broker fails at once instead of finding somebody's.
os.environ["REDIS_URL"] = os.environ.get("MAPBOARD_TEST_REDIS_URL") or "redis://127.0.0.1:1/0"
