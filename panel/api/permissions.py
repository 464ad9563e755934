"""REST views name their action a method; what they do not name is denied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from panel.access.authorization import authorize

if TYPE_CHECKING:
    from rest_framework.views import APIView  # DRF's settings import this module while its views are being loaded


class ActionPermission(BasePermission):
    """Looks up ``view.actions[method]`` (``{"GET": Action.VIEW}``) and asks authorize()."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        method = "GET" if request.method in {"HEAD", "OPTIONS"} else request.method
        actions: dict[str, Any] = getattr(view, "actions", {})
        authorize(request.user, actions.get(method or ""))
        return True
