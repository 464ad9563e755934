"""Who asks is told by one query, and by nothing that Django's own sessions would not accept."""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module

import pytest
from django.apps import apps
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.backends import BaseBackend
from django.contrib.auth.models import AnonymousUser, Group, User
from django.contrib.sessions.models import Session as DjangosSession
from django.test import Client, RequestFactory
from django.utils import timezone

from panel.access.actions import Action
from panel.access.authorization import allowed_actions
from panel.access.models import Session
from panel.access.sessions import SessionStore, user_of
from panel.access.tasks import clear_sessions

pytestmark = pytest.mark.django_db
PAGE = "/servers/"


class KnowsNobody(BaseBackend):
    """As one of a directory where the user is no more."""


@pytest.fixture
def asks(rf: RequestFactory):
    """``asks(browser)``: who the next request of this browser is from."""

    def found(browser: Client) -> User | AnonymousUser:
        request = rf.get(PAGE)
        request.session = SessionStore(browser.cookies["mapboard_session"].value)
        return user_of(request)

    return found


def test_one_query_tells_who_asks_and_what_they_may_do(asks, as_user, operator, django_assert_num_queries) -> None:
    operator.groups.add(Group.objects.create(name="night shift"))
    browser = as_user(operator)
    with django_assert_num_queries(1):
        user = asks(browser)
        assert (user.pk, user.get_username(), user.is_authenticated) == (operator.pk, "olga", True)
        assert {Action.VIEW, Action.RETRY} <= allowed_actions(user)
        assert Action.SET_GUARD_RAILS not in allowed_actions(user)


def test_nobody_has_a_session_without_a_query_too_many(asks, django_assert_num_queries) -> None:
    browser = Client()
    browser.cookies["mapboard_session"] = "x" * 32
    with django_assert_num_queries(1):
        assert not asks(browser).is_authenticated


def test_a_group_counts_from_the_next_request_on_and_until_the_last(as_user, viewer) -> None:
    browser = as_user(viewer)
    assert browser.get(PAGE).status_code == 200
    viewer.groups.clear()
    assert browser.get(PAGE).status_code == 403
    viewer.groups.add(Group.objects.get(name="viewer"))
    assert browser.get(PAGE).status_code == 200


def test_somebody_in_no_group_may_nothing(asks, as_user, nobody) -> None:
    user = asks(as_user(nobody))
    assert user == nobody
    assert allowed_actions(user) == frozenset()


@pytest.mark.parametrize("change", [{"is_active": False}, {"password": "!"}])
def test_who_is_shut_out_or_has_another_password_is_nobody(asks, as_user, viewer, change) -> None:
    browser = as_user(viewer)
    User.objects.filter(pk=viewer.pk).update(**change)
    assert not asks(browser).is_authenticated


def test_a_session_ends_with_its_time(asks, as_user, viewer) -> None:
    browser = as_user(viewer)
    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))
    assert not asks(browser).is_authenticated


def test_a_session_ends_with_its_user(asks, as_user, viewer) -> None:
    browser = as_user(viewer)
    assert Session.objects.get().user == viewer
    viewer.delete()
    assert not Session.objects.exists()
    assert not asks(browser).is_authenticated


def test_who_logs_out_is_nobody_with_the_old_cookie(asks, as_user, viewer) -> None:
    browser = as_user(viewer)
    key = browser.cookies["mapboard_session"].value
    browser.post("/logout/")
    browser.cookies["mapboard_session"] = key
    assert not Session.objects.filter(session_key=key).exists()
    assert not asks(browser).is_authenticated


def test_a_backend_that_is_no_longer_used_lets_nobody_in(asks, as_user, viewer, settings) -> None:
    browser = as_user(viewer)
    settings.AUTHENTICATION_BACKENDS = ["panel.nowhere.Backend"]
    assert not asks(browser).is_authenticated


def test_a_backend_with_users_of_its_own_decides_itself(asks, as_user, viewer, settings) -> None:
    browser = as_user(viewer)
    settings.AUTHENTICATION_BACKENDS = [*settings.AUTHENTICATION_BACKENDS, f"{__name__}.KnowsNobody"]
    store = SessionStore(browser.cookies["mapboard_session"].value)
    store[BACKEND_SESSION_KEY] = f"{__name__}.KnowsNobody"
    store.save()
    assert not asks(browser).is_authenticated


def test_a_session_outlives_a_rotated_key(asks, as_user, viewer, settings) -> None:
    """Django's own way, which gives the session its new hash."""
    browser = as_user(viewer)
    old = settings.SECRET_KEY
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new" * 20, [old]
    assert asks(browser) == viewer


@pytest.mark.parametrize("lost", [SESSION_KEY, BACKEND_SESSION_KEY, HASH_SESSION_KEY])
def test_the_signed_words_of_the_session_decide_not_the_column(asks, as_user, viewer, admin, lost) -> None:
    browser = as_user(viewer)
    Session.objects.update(user=admin)
    assert asks(browser) == viewer
    store = SessionStore(browser.cookies["mapboard_session"].value)
    del store[lost]
    store.save()
    Session.objects.update(user=viewer)
    assert not asks(browser).is_authenticated


def test_a_session_before_the_login_is_nobodys(asks, viewer) -> None:
    store = SessionStore()
    store["seen"] = "a page"
    store.save()
    assert Session.objects.get().user is None
    browser = Client()
    browser.cookies["mapboard_session"] = store.session_key
    assert not asks(browser).is_authenticated
    assert SessionStore(store.session_key)["seen"] == "a page"


def test_who_was_signed_in_before_the_upgrade_stays_so(asks, as_user, viewer) -> None:
    browser = as_user(viewer)
    (row,) = Session.objects.values("session_key", "session_data", "expire_date")
    Session.objects.all().delete()
    past = row | {"session_key": "past", "expire_date": timezone.now() - timedelta(days=1)}
    DjangosSession.objects.bulk_create([DjangosSession(**row), DjangosSession(**past)])
    import_module("panel.access.migrations.0003_session").keep_sessions(apps, None)
    assert asks(browser) == viewer
    assert (Session.objects.count(), DjangosSession.objects.count()) == (1, 2), "the old ones serve the old version"


def test_sessions_that_are_over_are_cleared(as_user, viewer, operator) -> None:
    as_user(viewer)
    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))
    as_user(operator)
    clear_sessions()
    assert [session.user for session in Session.objects.all()] == [operator]
