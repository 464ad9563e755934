"""Help for whoever is called at night: on a page and in docs/retries.md, in the same words."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings
from django.urls import reverse

from panel.retries import meanings
from panel.retries.states import ItemState, JobState

WORDS = [
    *meanings.PROMISE,
    *meanings.ITEMS.values(),
    *meanings.JOBS.values(),
    *(text for pair in meanings.STANDS_STILL for text in pair),
]


def test_every_state_has_its_meaning() -> None:
    assert set(meanings.ITEMS) == set(ItemState)
    assert set(meanings.JOBS) == set(JobState)


def test_the_docs_hold_the_same_words() -> None:
    page = (Path(settings.BASE_DIR) / "docs" / "retries.md").read_text()
    assert [str(text) for text in WORDS if str(text) not in page] == []
    assert [state for state in [*ItemState.values, *JobState.values] if f"`{state}`" not in page] == []


@pytest.mark.django_db
def test_the_page_is_for_everybody_who_may_look_and_linked_from_each_job(etl, jobs, as_user, viewer, nobody) -> None:
    url = reverse("retries:job_help")
    page = as_user(viewer).get(url)
    assert "Every index of every job gets a final word." in page.content.decode()
    assert as_user(nobody).get(url).status_code == 403
    job = jobs.request(etl.stage(2, failed=[0]))
    assert url in as_user(viewer).get(reverse("retries:job_detail", args=[job.pk])).content.decode()
