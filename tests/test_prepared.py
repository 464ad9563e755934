"""A query that is written down once gives what Django gives each time."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from panel.access.models import AuditEvent
from panel.prepared import Prepared, columns

pytestmark = pytest.mark.django_db
EVENT = ("at", "user__is_active", "detail", "action")


def prepared() -> Prepared:
    return Prepared(
        lambda: AuditEvent.objects.filter(action="").filter(at__lte=timezone.now()).values_list(*EVENT),
        lambda: [AuditEvent._meta.get_field("action"), AuditEvent._meta.get_field("at")],
    )


@pytest.fixture
def events(viewer) -> None:
    for number, user in enumerate((viewer, None)):
        AuditEvent.objects.create(
            user=user, action="it's 100%", target_kind="x", target_id=str(number), detail={"n": [number, None, "ü"]}
        )


def test_rows_are_as_django_gives_them(events, django_assert_num_queries) -> None:
    query = prepared()
    for action, now in (("it's 100%", timezone.now()), ("another", timezone.now())):
        expected = list(AuditEvent.objects.filter(action=action, at__lte=now).values_list(*EVENT))
        with django_assert_num_queries(1):
            found = query.fetch(action, now)
        assert found == expected
        assert [tuple(map(type, row)) for row in found] == [tuple(map(type, row)) for row in expected]
    assert len(query.fetch("it's 100%", timezone.now())) == 2


def test_it_is_written_down_once(events, monkeypatch) -> None:
    query = prepared()
    assert len(query.fetch("it's 100%", timezone.now())) == 2
    monkeypatch.setattr(query, "_rows", None)  # nobody asks for it again
    assert query.fetch("nothing of the kind", timezone.now()) == []


def test_a_parameter_too_many_or_too_few_is_told_at_once() -> None:
    wrong = Prepared(lambda: User.objects.filter(pk=1, username="vera").values_list("pk"), lambda: [User._meta.pk])
    with pytest.raises(TypeError, match="1 parameters are named, this query has 2"):
        wrong.fetch(1)
    with pytest.raises(ValueError, match="shorter"):
        prepared().fetch("it's 100%")


def test_columns_have_the_order_of_the_model() -> None:
    assert columns(User, "username", "id", "password") == ("id", "password", "username")
    with pytest.raises(TypeError, match="only"):
        columns(User, "id", "no_such_thing")
