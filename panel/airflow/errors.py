"""What can go wrong between Mapboard and an Airflow server: one small tree.

    AirflowError
    ├── Unreachable            no answer: refused, name not found, TLS, connection lost
    │   └── TimedOut           no answer in time
    │       └── NotSent        it waited too long for its turn and never left: Airflow certainly did nothing
    ├── Rejected               Airflow answered, and said no (.status, .detail, .fields)
    │   ├── Unauthorized       401, or 403 "Invalid JWT token", also after a new login
    │   ├── Forbidden          403
    │   ├── NotFound           404
    │   ├── Conflict           409
    │   ├── Invalid            400, 405, 406, 415, 422
    │   ├── RateLimited        429
    │   └── ServerFault        5xx
    ├── NotFinished            the run is still going on; what was asked for exists once it has finished
    ├── BadPayload             an answer that is not what the API promises: HTML, garbage, too large
    └── Unsupported            this server's version cannot do that (Airflow 2, or too old for the call)

No httpx type leaves the room. ``.retryable`` says whether the same call may succeed later by itself.
"""

from __future__ import annotations

from typing import ClassVar


class AirflowError(Exception):
    """The root. ``str()`` is one sentence fit for a page: plain text, bounded, without secrets."""

    retryable: ClassVar[bool] = False
    code: ClassVar[str] = "airflow_error"


class Unreachable(AirflowError):
    retryable = True
    code = "airflow_unreachable"


class TimedOut(Unreachable):
    code = "airflow_timed_out"


class NotSent(TimedOut):
    """Says nothing about whether Airflow can be reached."""

    code = "airflow_busy"


class Rejected(AirflowError):
    """Airflow answered with an error status.

    ``detail`` is Airflow's own sentence, untrusted and cut to 2,000 characters; ``fields`` are messages by the dotted
    path of the body field (422 lists) or by the param's name (400 "Invalid input for param …").
    """

    code = "airflow_refused"

    def __init__(self, status: int, detail: str, fields: dict[str, list[str]] | None = None) -> None:
        super().__init__(f"Airflow answered {status}: {detail}" if detail else f"Airflow answered {status}.")
        self.status = status
        self.detail = detail
        self.fields = fields or {}


class Unauthorized(Rejected):
    pass


class Forbidden(Rejected):
    pass


class NotFound(Rejected):
    pass


class Conflict(Rejected):
    pass


class Invalid(Rejected):
    pass


class RateLimited(Rejected):
    retryable = True


class ServerFault(Rejected):
    retryable = True


class NotFinished(AirflowError):
    retryable = True
    code = "airflow_not_finished"


class BadPayload(AirflowError):
    code = "airflow_bad_payload"


class Unsupported(AirflowError):
    code = "airflow_unsupported"
