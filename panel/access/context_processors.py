from __future__ import annotations

from django.http import HttpRequest

from panel.access.authorization import allowed_actions


def may(request: HttpRequest) -> dict[str, dict[str, bool]]:
    """``may.retry``, ``may.launch``, … for templates that hide what the user cannot do."""
    user = getattr(request, "user", None)
    return {"may": {action.value: True for action in allowed_actions(user)} if user is not None else {}}
