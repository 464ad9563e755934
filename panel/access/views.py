"""Pages: logging in and out, and the audit trail."""

from __future__ import annotations

from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from panel.access import selectors
from panel.access.actions import Action
from panel.access.decorators import public, requires
from panel.access.logins import LoginForm
from panel.keyset import keyset_page
from panel.problems import BadRequest

AUDIT_FILTERS = ("user", "action", "target")


class Login(LoginView):
    """Django's own; a wrong password answers 422, so that htmx and scripts see that it failed."""

    template_name = "access/login.html"
    authentication_form = LoginForm
    redirect_authenticated_user = True

    def form_invalid(self, form: object) -> HttpResponse:
        return self.render_to_response(self.get_context_data(form=form), status=422)


login = public(Login.as_view())
logout = public(LogoutView.as_view())


@requires(Action.SEE_AUDIT)
@require_GET
def audit_list(request: HttpRequest) -> HttpResponse:
    filters = {name: request.GET.get(name, "").strip() for name in AUDIT_FILTERS}
    if any("\x00" in value for value in filters.values()):
        raise BadRequest("A filter holds characters that no text has.")
    events = selectors.audit_events(username=filters["user"], action=filters["action"], target=filters["target"])
    page = keyset_page(events, ordering="-pk", cursor=request.GET.get("cursor") or None, page_size=100)
    context = {
        "page": page,
        "filters": filters,
        "filtered": any(filters.values()),
        "actions": selectors.audit_actions(),
    }
    return render(request, "access/audit_list.html", context)
