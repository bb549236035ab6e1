"""Delete by filter: what goes, what stays, and what the sums say after."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection as django_connection
from django.http import QueryDict
from django.urls import reverse

from accounts_app.models import AuditEntry, Organization
from alerts_app import forget as budgets
from alerts_app.models import Budget, BudgetEvent, BudgetState
from ingest_app import forget, late, otlp, records
from ingest_app.models import SpanWatch, Trace
from ingest_app.posting import Posting
from ingest_app.records import ForgetWhere
from ingest_app.run import Line, Settings
from ingest_app.spool import Reader, Writer
from lib.clock import now
from lib.postgres import conninfo
from llm.pricing import PriceBook
from requests_app import filter_url
from requests_app.filters import leaves
from requests_app.models import LLMRequest, LLMRequestBody, RequestAlias
from sessions_app.models import Session
from tests.factories import browser
from tests.ingest_app.exchanges import NOON, chat
from tests.requests_app.factories import make_request

pytestmark = pytest.mark.django_db(transaction=True)
POSTING = Posting("/v1/traces", {}, b"", 1, 7, NOON)
DAY = (NOON.replace(hour=0, minute=0, second=0, microsecond=0), NOON + timedelta(hours=12))


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    writer = Writer(tmp_path, max_bytes=2**40, min_free_bytes=0)
    yield writer
    writer.close()


def connect() -> Any:
    return psycopg.connect(conninfo(django_connection.settings_dict, application="test"), autocommit=True)


@pytest.fixture
def the_line(tmp_path: Path, writer: Writer, transactional_db: None) -> Iterator[Line]:
    reader = Reader(tmp_path)
    one = Line(reader, connect=connect, load_prices=lambda _: PriceBook(()), settings=Settings(partition_days=7))
    yield one
    one.close()
    reader.close()
    with django_connection.cursor() as cursor:
        cursor.execute(
            "TRUNCATE llm_request, llm_request_body, session, request_alias, pending_amendment, trace, span_watch"
        )


def run_dry(line: Line) -> None:
    while line.step():
        pass


def put(writer: Writer, *exchanges: Any) -> None:
    for one in exchanges:
        writer.put(records.whole(one)).result(5)


def erase(writer: Writer, text: str, *, organization_id: int = 1, since: Any = DAY[0], until: Any = DAY[1]) -> None:
    writer.put(records.forget_where(ForgetWhere(organization_id, text, since, until, now()))).result(5)


def sums(session_id: str) -> tuple[int, int, int]:
    one = Session.objects.get(session_id=session_id)
    return (one.steps, one.input_tokens, one.duration_ms)


def test_what_the_filter_finds_goes_with_bodies_ids_and_sums(writer: Writer, the_line: Line) -> None:
    mine = [chat(n, session_id="s", end_user_id="u", client_request_id=f"c{n}", door="log") for n in range(3)]
    others = [chat(10 + n, session_id="s", end_user_id="v", client_request_id=f"d{n}", door="log") for n in range(2)]
    only = chat(20, session_id="only", end_user_id="u")
    put(writer, *mine, *others, only)
    erase(writer, "user=u")
    run_dry(the_line)
    kept = {one.id for one in others}
    assert set(LLMRequest.objects.values_list("id", flat=True)) == kept
    assert set(LLMRequestBody.objects.values_list("id", flat=True)) == kept
    assert set(RequestAlias.objects.values_list("client_id", flat=True)) == {"d0", "d1"}
    assert sums("s") == (2, 20, 840)
    session = Session.objects.get(session_id="s")
    assert (session.end_users, session.first_at) == (["v"], others[0].requested_at)
    assert not Session.objects.filter(session_id="only").exists()


def step(number: int, trace: str, **said: Any) -> Any:
    return otlp.exchange({
        "v": 1, "trace_id": trace * 32, "span_id": f"{number:016x}", "name": f"step {number}",
        "start_ns": int(NOON.timestamp() + number) * 10**9,
        "attributes": {key.replace("__", "."): value for key, value in said.items()},
    }, POSTING)  # fmt: skip


def traces() -> set[str]:
    return {one.trace_id[0] for one in Trace.objects.all()}


def test_what_is_known_of_a_trace_goes_with_its_last_row(writer: Writer, the_line: Line) -> None:
    agent = {"gen_ai__operation__name": "invoke_agent", "gen_ai__usage__input_tokens": 7, "user__id": "u"}
    put(writer, step(1, "a", **agent), step(2, "b", user__id="u"), step(3, "c", user__id="v"), step(4, "a"))
    run_dry(the_line)
    assert (traces(), SpanWatch.objects.count()) == ({"a", "b", "c"}, 1)
    [first] = LLMRequest.objects.filter(span_id=f"{1:016x}").values_list("id", flat=True)
    writer.put(records.forget(records.Forget(1, (first,), now()))).result(5)
    run_dry(the_line)
    assert (traces(), SpanWatch.objects.count()) == ({"a", "b", "c"}, 0)
    erase(writer, "user=u")
    run_dry(the_line)
    assert traces() == {"c"}
    assert RequestAlias.objects.count() == LLMRequest.objects.count() == 1
    put(writer, step(2, "b", user__id="u"))
    run_dry(the_line)
    assert (traces(), LLMRequest.objects.count()) == ({"b", "c"}, 2)


def counted_by(by: str, values: list[str], organization_id: int = 1, **more: Any) -> Budget:
    """A budget with a warning and a state of each value."""
    row = Budget.objects.create(organization_id=organization_id, name=by, limit_nano_usd=1, by=by, **more)
    said = {"organization_id": organization_id, "since": NOON, "spent_nano_usd": 5}
    for value in values:
        BudgetEvent.objects.create(budget=row, value=value, percent=80, limit_nano_usd=1, at=NOON, **said)
        BudgetState.objects.create(budget=row, value=value, reserved_nano_usd=0, drift_nano_usd=0, **said)
    return row


def told(row: Budget) -> tuple[set[str], set[str]]:
    return set(row.events.values_list("value", flat=True)), set(row.states.values_list("value", flat=True))


def test_what_budgets_have_written_of_somebody_goes_with_their_last_request(writer: Writer, the_line: Line) -> None:
    Organization.objects.bulk_create([Organization(pk=1, name="a"), Organization(pk=2, name="b")])
    users, team = counted_by("user", ["u", "v"]), counted_by("property", ["red", "blue"], property_name="team")
    sessions, everybody = counted_by("session", ["s"]), counted_by("organization", [""])
    theirs = counted_by("user", ["u"], organization_id=2)
    put(
        writer, chat(0, end_user_id="u", session_id="s", properties={"team": "red"}),
        chat(1, end_user_id="u", properties={"team": "blue"}), chat(2, end_user_id="v", properties={"team": "blue"}),
        chat(3, end_user_id="u", organization_id=2),
    )  # fmt: skip
    erase(writer, "user=u&session=s")
    run_dry(the_line)
    assert told(users) == ({"u", "v"}, {"u", "v"})
    assert (told(sessions), told(team)) == ((set(), set()), ({"blue"}, {"blue"}))
    erase(writer, "user=u")
    run_dry(the_line)
    assert told(users) == ({"v"}, {"v"})
    assert (told(team), told(everybody), told(theirs)) == (({"blue"},) * 2, ({""},) * 2, ({"u"},) * 2)
    [last] = LLMRequest.objects.filter(organization_id=1).values_list("id", flat=True)
    writer.put(records.forget(records.Forget(1, (last,), now()))).result(5)
    run_dry(the_line)
    assert (told(users), told(team), told(everybody)) == ((set(), set()), (set(), set()), ({""},) * 2)


def test_a_night_takes_what_is_of_nobody_any_more_and_the_page_names_what_stays(cast: Any, the_line: Line) -> None:
    row = counted_by("user", ["u", "gone"], organization_id=cast.acme.pk)
    named = counted_by("user", [], organization_id=cast.acme.pk, value="u")
    make_request(cast.acme.pk, NOON, end_user_id="u")
    with connect() as db:
        budgets.of_organization(db, cast.acme.pk)
    assert told(row) == ({"u"}, {"u"})
    page = browser(cast.alice).get(reverse("requests-delete"), {"user": "u", "range": "all"}).content.decode()
    assert f"budget “{named.name}”" in page
    assert "Set by name" not in browser(cast.alice).get(reverse("requests-delete"), {"user": "v"}).content.decode()


def test_only_the_time_and_organisation_of_the_order_are_touched(writer: Writer, the_line: Line) -> None:
    inside = chat(0, end_user_id="u")
    before, after = (replace(chat(n, end_user_id="u"), requested_at=at) for n, at in ((1, DAY[0]), (2, DAY[1])))
    before = replace(before, requested_at=DAY[0] - timedelta(microseconds=1))
    theirs = chat(3, end_user_id="u", organization_id=2)
    put(writer, inside, before, after, theirs)
    erase(writer, "user=u")
    run_dry(the_line)
    assert set(LLMRequest.objects.values_list("id", flat=True)) == {before.id, after.id, theirs.id}


def test_an_order_waits_for_what_was_put_before_it_and_holds_up_nothing_behind(
    writer: Writer, the_line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forget, "SLICE", 2)
    put(writer, *[chat(n, end_user_id="u", session_id="s") for n in range(7)])
    erase(writer, "user=u")
    put(writer, chat(50, end_user_id="v", session_id="s"))
    the_line.step()  # one batch, and one slice of the order
    assert LLMRequest.objects.filter(end_user_id="v").exists()
    assert LLMRequest.objects.filter(end_user_id="u").count() == 5
    assert sums("s") == (6, 60, 6 * 420)
    run_dry(the_line)
    assert LLMRequest.objects.count() == 1
    assert sums("s") == (1, 10, 420)
    assert the_line.tally.items["forget"] == 7


def test_an_order_cut_short_is_carried_out_by_the_next_line(
    tmp_path: Path, writer: Writer, the_line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forget, "SLICE", 2)
    put(writer, *[chat(n, end_user_id="u", session_id="s") for n in range(5)])
    erase(writer, "user=u")
    the_line.step()
    the_line.close()
    the_line._place = forget.START
    run_dry(the_line)
    assert not LLMRequest.objects.exists() and not Session.objects.exists()


def test_an_order_nobody_can_read_is_set_apart_and_stops_nothing(writer: Writer, the_line: Line) -> None:
    put(writer, chat(0))
    erase(writer, "no_such_key=1")
    erase(writer, "user=u")
    run_dry(the_line)
    assert the_line.tally.drops["unreadable_record"] == 1
    assert LLMRequest.objects.count() == 1


# --- the page ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Records the page puts."""
    found: list[Any] = []
    monkeypatch.setattr(late, "send", found.append)
    return found


@pytest.fixture
def ground(transactional_db: None) -> Iterator[None]:
    yield
    with django_connection.cursor() as cursor:
        cursor.execute("TRUNCATE llm_request, llm_request_body, request_alias")


def orders(sent: list[Any]) -> list[ForgetWhere]:
    return [records.read_order(record) for record in sent]


def test_the_exact_number_must_be_typed_and_each_day_is_one_order(sent, ground, cast) -> None:
    moments = [now() - timedelta(days=days) for days in (1, 1, 3)]
    for at in moments:
        make_request(cast.acme.pk, at, end_user_id="u 1")
    make_request(cast.acme.pk, moments[0], end_user_id="v")
    make_request(cast.umbrella.pk, moments[0], end_user_id="u 1")
    alice = browser(cast.alice)
    shown = alice.get(reverse("requests-delete") + "?user=u%201&range=7d")
    assert shown.context["erasure"].rows == 3
    make_request(cast.acme.pk, now(), end_user_id="u 1")  # after the count: not part of it
    refused = alice.post(reverse("requests-delete"), {"asked": shown.context["asked"], "confirm": "4"})
    assert b"Nothing was deleted" in refused.content and sent == []
    done = alice.post(reverse("requests-delete"), {"asked": refused.context["asked"], "confirm": "3"})
    assert done.status_code == 302
    found = orders(sent)
    assert len(found) == len({at.date() for at in moments}) and {one.organization_id for one in found} == {cast.acme.pk}
    tree = filter_url.parse(QueryDict(found[0].filter))
    assert [leaf.value for leaf in leaves(tree) if leaf.key == "user"] == ["u 1"]
    assert all(one.until - one.since <= timedelta(days=1) for one in found)
    [entry] = AuditEntry.objects.filter(action="requests deleted")
    assert entry.detail["rows"] == 3 and "u 1" in entry.detail["filter"]


def test_only_admins_delete(sent, ground, cast) -> None:
    make_request(cast.acme.pk, now())
    for method in ("get", "post"):
        assert getattr(browser(cast.bob), method)(reverse("requests-delete")).status_code == 403
    charlie = browser(cast.charlie).get(reverse("requests-delete") + "?range=all")
    assert charlie.context["erasure"].rows == 0
    assert sent == []


def test_what_changes_while_rows_go_cannot_be_asked_by(sent, ground, cast) -> None:
    make_request(cast.acme.pk, now(), session_id="s")
    shown = browser(cast.alice).get(reverse("requests-delete") + "?session_cost=>1")
    assert "cannot be deleted by session_cost" in shown.content.decode()
