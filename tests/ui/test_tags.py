from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from django.template import engines
from django.test import RequestFactory
from django.utils import timezone

from panel.domain.outcomes import Outcome
from panel.keyset import Page
from panel.ui.looks import OUTCOMES

MARKUP = "<script>alert(1)</script>"


def render(source, path="/list/", **context):
    return engines["django"].from_string(source).render(context, RequestFactory().get(path))


@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_outcome_has_a_word_a_colour_and_an_icon_that_exists(outcome):
    html = render("{% outcome_badge outcome %}{% include 'components/icons.html' %}", outcome=outcome.value)
    look = OUTCOMES[outcome]
    assert str(look.word) in html
    assert f"tone-{look.tone}" in html
    assert f'id="{look.symbol}"' in html


def test_a_state_we_do_not_know_is_shown_by_airflows_word_and_escaped():
    assert "awaiting input" in render("{% state_badge s %}", s="awaiting_input")
    assert MARKUP not in render("{% state_badge s %}{% outcome_badge s %}", s=MARKUP)


def test_a_missing_state_is_no_status():
    assert "no status" in render("{% state_badge s %}", s=None)


def test_texts_from_outside_are_escaped_wherever_a_tag_prints_them():
    server = SimpleNamespace(healthy=False, name=MARKUP, unreachable_since=timezone.now(), last_error=MARKUP)
    html = render(
        "{% ident text 10 %}{% ident text 100 %}{% freshness now server %}{{ text|middle:30 }}{{ data|pretty_json }}"
        "{{ data|one_line_json }}{% include 'components/crumb.html' with text=text only %}"
        "{% include 'components/copy.html' with text=text only %}",
        text=MARKUP, now=timezone.now(), server=server, data={MARKUP: MARKUP},
    )  # fmt: skip
    assert "<script" not in html
    assert "&lt;script" in html


def test_a_time_tells_both_its_age_and_its_moment():
    html = render("{{ at|ago }}", at=timezone.now() - timedelta(minutes=4))
    assert "4\u00a0m ago" in html
    assert "data-ago" in html
    assert "UTC" in html
    assert render("{{ at|when }}", at=datetime(2026, 11, 22, 2, 14, tzinfo=UTC)).count("2026-11-22") == 2


@pytest.mark.parametrize("name", ["ago", "when", "duration", "grouped", "percent"])
def test_nothing_is_a_dash(name):
    assert render("{{ nothing|" + name + " }}", nothing=None) == "–"


def test_fresh_data_says_its_age_and_that_the_page_is_live():
    html = render("{% freshness at server live=True %}", at=timezone.now(), server=SimpleNamespace(healthy=True))
    assert "synced" in html
    assert "live" in html
    assert 'id="freshness"' in html


def test_a_server_that_is_down_says_since_when_and_that_this_is_the_last_known_data():
    server = SimpleNamespace(healthy=False, name="Production", unreachable_since=timezone.now(), last_error="refused")
    html = render("{% freshness at server live=True %}", at=timezone.now(), server=server)
    assert "unreachable since" in html
    assert "Last known data" in html
    assert "live-dot" not in html


def test_data_that_was_never_read_says_so():
    assert "not read from Airflow yet" in render("{% freshness at %}", at=None)


def test_a_column_sorts_ascending_first_then_descending_and_starts_at_the_first_page():
    source = '{% sort_header "duration" "Duration" ordering "explorer" %}'
    first = render(source, "/list/?outcome=running&cursor=abc", ordering="map_index")
    assert "outcome=running&amp;ordering=duration" in first
    assert "cursor" not in first
    assert 'aria-sort="none"' in first
    assert "ordering=-duration" in render(source, ordering="duration")
    assert 'aria-sort="descending"' in render(source, ordering="-duration")


def test_a_pager_keeps_the_filters_and_has_plain_links():
    page = Page(rows=[], next_cursor="nnn", previous_cursor=None)
    html = render('{% pager page "explorer" %}', "/list/?outcome=running", page=page)
    assert 'href="/list/?outcome=running&amp;cursor=nnn"' in html
    assert 'aria-disabled="true"' in html


def test_a_list_on_one_page_has_no_pager():
    assert render("{% pager page %}", page=Page([], None, None)).strip() == ""


def test_a_tile_links_to_its_count_and_says_when_it_is_chosen():
    html = render('{% outcome_tile "hard_failure" 38 "/x?outcome=hard_failure" selected=True target="explorer" %}')
    assert "38" in html
    assert 'href="/x?outcome=hard_failure"' in html
    assert 'aria-current="true"' in html


def test_bars_and_legends_need_no_inline_style():
    html = render(
        "{% outcome_bar c %}{% state_bar c %}{% outcome_legend c %}{% share_bar 1 2 'running' %}", c={"success": 2}
    )
    assert "style=" not in html


def test_airflows_word_stands_beside_the_outcome_only_where_it_says_more():
    assert "queued" in render('{% instance_state_hint "waiting" "queued" %}')
    assert render('{% instance_state_hint "running" "running" %}') == ""
    assert render('{% instance_state_hint "success" "success" %}') == ""
