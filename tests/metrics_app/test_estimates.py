"""An estimate is in no sum: whoever counts, exports or asks sees the same numbers with it and without."""

from __future__ import annotations

import csv
import io
import json
import random
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection

from lib import clock
from metrics_app import rollup
from requests_app import exports, queries_sums
from requests_app.queries import Question
from requests_app.rows import Change
from sessions_app import rollup as sessions
from tests.metrics_app import counted
from tests.requests_app import factories

pytestmark = pytest.mark.django_db
ACME, GLOBEX = 1, 2
GUESS = {"estimated_input_tokens": 900, "estimated_output_tokens": 70, "estimated_cost_nano_usd": 5_000_000,
         "estimate_method": "characters by script"}  # fmt: skip


def rows_of(organization_id, **guess):
    rng, at = random.Random(4), clock.now()
    rows = [counted.random_row(organization_id, at - timedelta(minutes=n), rng) for n in range(60)]
    return [replace(row, **guess) for row in rows]


def keep(rows) -> None:
    counted.count(rows)
    sessions.apply(counted.raw(), [Change(None, row) for row in rows])


def sums(organization_id):
    question = Question(organization_id)
    with connection.cursor() as cursor:
        cursor.execute("SELECT session_id, requests, priced, cost_nano_usd, input_tokens, output_tokens FROM session "
                       "WHERE organization_id = %s ORDER BY 1", [organization_id])  # fmt: skip
        return cursor.fetchall(), replace(queries_sums.summary(question), buckets=())


def test_dashboards_sessions_and_the_list_sum_the_same_with_estimates_and_without():
    plain, guessed = rows_of(ACME), rows_of(GLOBEX, **GUESS)
    keep(plain)
    keep(guessed)
    assert sums(GLOBEX) == sums(ACME)
    totals = [list(rollup.aggregate((1, row) for row in rows).usage.values()) for rows in (plain, guessed)]
    assert [list(usage.measures) for usage in totals[0]] == [list(usage.measures) for usage in totals[1]]


SILENT = {"input_tokens": None, "output_tokens": None, "cost_nano_usd": None, "cost_reason": "no_usage"}


def test_exports_keep_the_counts_empty_and_the_estimate_beside_them():
    factories.make_request(ACME, **SILENT, **GUESS)
    (line,) = csv.DictReader(io.StringIO("".join(exports.as_csv(Question(ACME)))))
    assert (line["input_tokens"], line["output_tokens"], line["cost_usd"]) == ("", "", "")
    assert (line["estimated_input_tokens"], line["estimated_cost_usd"]) == ("900", "0.005")
    told = json.loads(b"".join(exports.as_jsonl(Question(ACME), has_bodies=False)))
    assert (told["input_tokens"], told["cost_usd"]) == (None, None)
    assert (told["estimated_output_tokens"], told["estimated_cost_usd"]) == (70, 0.005)
