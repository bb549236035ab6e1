"""Feedback, scores and properties said afterwards: in Helicone's words, down the line, on whichever id comes first."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import psycopg
import pytest
from django.db import connection as django_connection
from django.http import QueryDict
from django.urls import reverse

from accounts_app.models import Role
from ingest_app import late, records
from ingest_app.records import Amendment, of_step
from ingest_app.run import Line, Settings
from ingest_app.spool import Entry, Reader, SpoolUnavailable, Writer
from lib.clock import now
from lib.postgres import conninfo
from llm.pricing import PriceBook
from requests_app import filter_url, filters
from requests_app.filters import FEEDBACK
from tests import factories
from tests.ingest_app.exchanges import NOON, chat
from tests.ingest_app.test_spans import TRACE, call, empty, exchange, span
from tests.requests_app.factories import make_request

HIS = uuid4()
POSTS = [
    ("post", "/v1/request/{}/feedback", {"rating": True}, 201, {FEEDBACK: 1}, None),
    ("post", "/v1/request/{}/feedback", {"rating": False}, 201, {FEEDBACK: 0}, None),
    ("post", "/v1/request/{}/score", {"scores": {"accuracy": 93, "safe": True, "tone": 0.5, "old": None}}, 201,
     {"accuracy": 93, "safe": 1, "tone": 0.5, "old": None}, None),
    ("post", "/v1/evals/{}", {"name": "accuracy", "score": 93}, 200, {"accuracy": 93}, None),
    ("put", "/v1/request/{}/property", {"key": "Plan", "value": "gold"}, 201, None, {"plan": "gold"}),
    ("put", "/v1/request/{}/property", {"key": "plan", "value": None}, 201, None, {"plan": None}),
]  # fmt: skip
NAMES = ["up", "down", "scores", "evaluation", "property", "property taken away"]


@pytest.fixture
def sent(monkeypatch):
    """What went down the line."""
    kept: list[Amendment] = []

    def send(record):
        kept.append(records.read(Entry(record.kind, (1,), record.facts, b"", b"")))

    monkeypatch.setattr(late, "send", send)
    return kept


@pytest.fixture
def ask(client, cast):
    def by(key, method, path, body):
        headers = {"Authorization": f"Bearer {key}"}
        return getattr(client, method)(path, body, content_type="application/json", headers=headers)

    return by


@pytest.fixture
def key(cast):
    return factories.api_key(cast.acme)


@pytest.mark.parametrize(("method", "path", "body", "status", "scores", "properties"), POSTS, ids=NAMES)
def test_each_is_answered_as_helicone_does_and_sent_down_the_line(
    ask, key, cast, sent, method, path, body, status, scores, properties
):
    answer = ask(key, method, path.format(HIS), body)
    assert (answer.status_code, answer.json()) == (status, {"data": None, "error": None})
    (fact,) = sent
    assert (fact.organization_id, fact.request_id) == (cast.acme.id, HIS)
    assert (fact.scores, fact.properties) == (scores, properties)
    assert now() - fact.at < timedelta(minutes=1)


def test_feedback_without_an_id_in_its_path_is_answered_in_its_own_words(ask, key, sent):
    answer = ask(key, "post", "/v1/feedback", {"helicone-id": str(HIS), "rating": True})
    said = {"message": "Feedback added successfully.", "helicone_id": str(HIS)}
    assert (answer.status_code, answer.json()) == (200, said)
    assert (sent[0].request_id, sent[0].scores) == (HIS, {FEEDBACK: 1})


@pytest.mark.parametrize(("method", "path", "body", "field"), [
    ("post", "/v1/request/{}/feedback", {"rating": "yes"}, "rating"),
    ("post", "/v1/request/{}/feedback", {}, "rating"),
    ("post", "/v1/request/{}/score", {"scores": {"a": "b"}}, "scores"),
    ("post", "/v1/request/{}/score", {"scores": {"a": 1e300}}, "scores"),
    ("post", "/v1/request/{}/score", {"scores": {"": 1}}, "scores"),
    ("post", "/v1/request/{}/score", {"scores": {}}, "scores"),
    ("post", "/v1/request/{}/score", {"scores": [1]}, "scores"),
    ("put", "/v1/request/{}/property", {"key": "", "value": "x"}, "key"),
    ("put", "/v1/request/{}/property", {"key": "Helicone-Session-Id", "value": "x"}, "key"),
    ("put", "/v1/request/{}/property", {"key": "plan", "value": 7}, "value"),
    ("put", "/v1/request/{}/property", {"key": "plan"}, "value"),
])  # fmt: skip
def test_what_does_not_fit_says_where(ask, key, sent, method, path, body, field):
    answer = ask(key, method, path.format(HIS), body)
    assert (answer.status_code, list(answer.json()["details"])) == (422, [f"requestBody.{field}"])
    assert sent == []


def test_an_id_that_is_none_is_refused_in_helicone_s_words(ask, key, sent):
    answer = ask(key, "post", "/v1/request/mine/feedback", {"rating": True})
    assert answer.status_code == 400
    assert answer.json() == {"data": None, "error": "Invalid requestId: must be a valid UUID"}
    assert sent == []


def test_a_key_that_may_only_read_says_nothing(ask, cast, sent):
    reader = factories.api_key(cast.acme, "r")
    assert ask(reader, "post", f"/v1/request/{HIS}/feedback", {"rating": True}).status_code == 401
    assert sent == []


def test_where_nothing_can_be_kept_it_is_said(ask, key, monkeypatch):
    def full(record):
        raise SpoolUnavailable("full")

    monkeypatch.setattr(late, "send", full)
    answer = ask(key, "post", f"/v1/request/{HIS}/feedback", {"rating": True})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


# --- down the line ----------------------------------------------------------------------------------------------------


def connect():
    return psycopg.connect(conninfo(django_connection.settings_dict, application="test"), autocommit=True)


def through(folder, *batches, is_told_twice=False):
    """Down a line, batch by batch. Nothing is dropped but what came before."""
    folder.mkdir()
    writer, reader = Writer(folder, max_bytes=2**40, min_free_bytes=0), Reader(folder)
    line = Line(reader, connect=connect, load_prices=lambda _: PriceBook(()), settings=Settings(partition_days=7))
    for batch in batches:
        for record in batch:
            writer.put(record).result(5)
        while line.step():
            pass
    drops = {reason for reason, count in line.tally.drops.items() if count}
    assert drops <= ({"duplicate"} if is_told_twice else set())
    for part in (line, reader, writer):
        part.close()


@pytest.fixture
def db(transactional_db):
    with connect() as opened:
        yield opened
        empty(opened)


def said(request_id, seconds=0, **facts):
    return records.amendment(Amendment(1, request_id, NOON + timedelta(seconds=seconds), **facts))


def stored(db):
    return db.execute("SELECT scores, properties FROM llm_request ORDER BY requested_at, id").fetchall()


@pytest.mark.parametrize("chosen", [None, str(HIS)], ids=["ours", "the client's"])
@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
def test_late_facts_find_their_request_by_either_id_in_any_order(db, tmp_path, chosen, order):
    one = chat(client_request_id=chosen, properties={"plan": "silver", "env": "test"})
    name = UUID(chosen) if chosen else one.id
    told = [records.whole(one), said(name, 1, scores={"accuracy": 1}, properties={"plan": None}),
            said(name, 2, scores={"accuracy": 2, FEEDBACK: 1})]  # fmt: skip
    through(tmp_path / "spool", *([told[number]] for number in order))
    assert stored(db) == [({"accuracy": 2, FEEDBACK: 1}, {"env": "test"})]
    assert db.execute("SELECT count(*) FROM pending_amendment").fetchone() == (0,)


def test_another_organization_s_request_is_not_touched(db, tmp_path):
    through(tmp_path / "spool", [records.whole(chat(organization_id=2, client_request_id=str(HIS)))],
            [said(HIS, scores={"accuracy": 1})])  # fmt: skip
    assert stored(db) == [(None, {})]


def of(step, seconds=1, **facts):
    return records.amendment(Amendment(1, of_step(step), NOON + timedelta(seconds=seconds), step=step, **facts))


@pytest.mark.parametrize("comes_first", [True, False])
def test_what_is_said_of_a_span_or_a_trace_finds_it(db, tmp_path, comes_first):
    spans = [[records.whole(exchange(call(2, 1)))], [records.whole(exchange(span(1)))]]
    facts = [[of(f"{TRACE}:{2:016x}", scores={"tone": 0.5}), of(f"{TRACE}:", scores={"quality": 0.9})]]
    through(tmp_path / "spool", *(facts + spans if comes_first else spans + facts))
    assert [scores for scores, _ in stored(db)] == [{"quality": 0.9}, {"tone": 0.5}]
    assert db.execute("SELECT count(*) FROM pending_amendment").fetchone() == (0,)


def test_a_trace_whose_root_never_comes_has_its_scores_on_its_first_span(db, tmp_path):
    """Its root was made in another service, which exports elsewhere."""
    early = [of(f"{TRACE}:", seconds=-10**7, scores={"quality": 0.9})]
    through(tmp_path / "spool", early, [records.whole(exchange(call(n, 1))) for n in (3, 2)])
    through(tmp_path / "a moment later", [])
    assert [scores for scores, _ in stored(db)] == [{"quality": 0.9}, None]


# --- shown ------------------------------------------------------------------------------------------------------------


def test_a_member_rates_a_request_and_sees_it_at_once(cast, sent):
    row = make_request(cast.acme.pk, NOON, scores={"accuracy": 0.5})
    bob, url = factories.browser(cast.bob), reverse("request-rating", args=[row.id])
    shown = bob.post(url, {"rating": "down"}, headers={"hx-request": "true"}).content.decode()
    assert "badge error" in shown
    assert "Take it back" in shown
    assert "accuracy" in shown
    assert [(fact.request_id, fact.scores) for fact in sent] == [(row.id, {FEEDBACK: 0})]
    assert bob.post(url, {"rating": "none"}).url == reverse("request", args=[row.id])
    assert sent[1].scores == {FEEDBACK: None}
    assert bob.post(url, {"rating": "maybe"}).status_code == 404
    assert factories.browser(cast.charlie).post(url, {"rating": "up"}).status_code == 404
    assert len(sent) == 2


def test_who_only_looks_does_not_rate(cast, sent):
    viewer = factories.person("v@example.org")
    factories.membership(cast.acme, viewer, Role.VIEWER)
    row = make_request(cast.acme.pk, NOON, scores={FEEDBACK: 1})
    browser = factories.browser(viewer)
    page = browser.get(reverse("request", args=[row.id])).content.decode()
    assert "badge ok" in page
    assert reverse("request-rating", args=[row.id]) not in page
    assert browser.post(reverse("request-rating", args=[row.id]), {"rating": "up"}).status_code == 403
    assert sent == []


def test_requests_are_found_by_their_feedback_and_told_with_it(cast, client):
    good, bad, none = (
        make_request(cast.acme.pk, NOON + timedelta(seconds=n), scores=scores)
        for n, scores in enumerate(({FEEDBACK: 1, "tone": 0.5}, {FEEDBACK: 0}, None))
    )
    key = factories.api_key(cast.acme)

    def found(filter_):
        answer = client.post("/v1/request/query", {"filter": filter_}, content_type="application/json",
                             headers={"Authorization": f"Bearer {key}"}).json()["data"]  # fmt: skip
        return {row["request_id"]: row["scores"] for row in answer}

    assert found({"feedback": {"rating": {"equals": True}}}) == {str(good.id): {FEEDBACK: 1, "tone": 0.5}}
    assert found({"request_response_rmt": {"scores": {"tone": {"gte": 0.4}}}}).keys() == {str(good.id)}
    for text, wanted in (("feedback=true", {good.id}), ("feedback=false", {bad.id})):
        node = filter_url.parse(QueryDict(text))
        clause = filters.compile(node)
        with django_connection.cursor() as cursor:
            cursor.execute(f"SELECT id FROM llm_request r WHERE {clause.sql}", clause.values)
            assert {row[0] for row in cursor.fetchall()} == wanted
    assert none.scores is None
