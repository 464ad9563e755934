"""REST views name their action a method; what they do not name is denied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rest_framework.exceptions import MethodNotAllowed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from panel.access.actions import Action
from panel.access.authorization import authorize

if TYPE_CHECKING:
    from rest_framework.views import APIView  # DRF's settings import this module while its views are being loaded


class ActionPermission(BasePermission):
    """Looks up ``view.actions[method]`` (``{"GET": Action.VIEW}``) and asks authorize()."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        method = request.method or ""
        if method == "OPTIONS":
            authorize(request.user, Action.VIEW)
            return True
        if method not in view.allowed_methods:
            # To those who may look around it is "no such method", to others still 401 and 403.
            authorize(request.user, Action.VIEW)
            raise MethodNotAllowed(method)
        actions: dict[str, Any] = getattr(view, "actions", {})
        authorize(request.user, actions.get("GET" if method == "HEAD" else method))
        return True
