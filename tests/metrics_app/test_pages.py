"""The pages that count: who may look, what they say, and that nothing a client names is run."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts_app.models import Role
from lib import clock
from metrics_app import queries
from metrics_app.charts import CHARTS
from metrics_app.pages import lengths
from metrics_app.pages.tops import TOPS
from tests import factories as people
from tests.metrics_app import counted
from tests.requests_app.factories import make_row

pytestmark = pytest.mark.django_db
EVIL = "<img src=x onerror=alert(1)>\"'</script><!--"
FORMULA = '=HYPERLINK("http://evil","x")'
PAGES = ["/dashboard", "/users", "/users/mara", "/properties", "/properties/env", "/cache", "/models"]
PARTS = ["/dashboard/figures", "/dashboard/figures?of=cache", "/cache/repeated",
         *(f"/dashboard/chart/{key}" for key in (*CHARTS, *TOPS) if not key.endswith("-values")),
         "/dashboard/chart/top-values?by=property.env", "/dashboard/chart/cached-values?by=property.env"]  # fmt: skip


@pytest.fixture
def counted_rows(cast):
    """Ten calls of Acme and one of Umbrella, all within two hours, counted as the line does."""
    now = clock.now()
    rows = [
        make_row(
            cast.acme.pk, now - timedelta(minutes=10 * n), model=("gpt-4o", EVIL)[n % 2],
            end_user_id=("mara", EVIL)[n % 2],
            properties={"env": ("prod", EVIL)[n % 2]}, status=500 if n == 3 else 200, time_to_first_token_ms=300,
            cost_nano_usd=None if n == 3 else 10**9,
        )
        for n in range(10)
    ]  # fmt: skip
    counted.count([*rows, make_row(cast.umbrella.pk, now, model="secret-model", end_user_id="secret-user")])
    counted.fold_all(cast.acme.pk)
    return rows


@pytest.mark.parametrize("path", [*PAGES, *PARTS])
def test_a_viewer_sees_every_page_and_part(cast, counted_rows, path):
    viewer = people.person("vera@example.org")
    people.membership(cast.acme, viewer, Role.VIEWER)
    answer = people.browser(viewer).get(path)
    assert answer.status_code == 200
    assert "secret-" not in answer.content.decode()


@pytest.mark.parametrize("path", [*PAGES, *PARTS])
def test_who_is_not_logged_in_is_sent_to_log_in(cast, path):
    answer = people.browser().get(path)
    assert (answer.status_code, answer.url.split("?")[0]) == (302, "/login")


def test_members_hide_a_property_from_lists_and_suggestions_and_restore_it(cast, counted_rows):
    alice = people.browser(cast.alice)
    assert "by=property.env" in alice.get("/dashboard").content.decode()
    shown, offered = 'aria-label="Hide env"', 'value="env"'
    assert shown in alice.get("/properties").content.decode()
    assert offered in alice.get("/requests/values?add_key=property").content.decode()
    answer = alice.post("/hidden-properties", {"key": "Env", "next": "/properties?range=24h"})
    assert (answer.status_code, answer["Location"]) == (302, "/properties?range=24h")
    page = alice.get("/properties").content.decode()
    assert shown not in page
    assert "Hidden (1)" in page
    assert offered not in alice.get("/requests/values?add_key=property").content.decode()
    assert "by=property.env" not in alice.get("/dashboard").content.decode()
    assert alice.get("/properties/env").status_code == 200
    people.browser(cast.charlie).post("/hidden-properties", {"key": "env", "restore": "1"})
    assert "Hidden (1)" in alice.get("/properties").content.decode()
    away = alice.post("/hidden-properties", {"key": "env", "restore": "1", "next": "https://evil.example"})
    assert away["Location"] == "/properties"
    assert shown in alice.get("/properties").content.decode()


def test_who_may_only_look_hides_nothing(cast, counted_rows):
    viewer = people.person("vera@example.org")
    people.membership(cast.acme, viewer, Role.VIEWER)
    assert people.browser(viewer).post("/hidden-properties", {"key": "env"}).status_code == 403
    assert people.browser(cast.alice).post("/hidden-properties", {}).status_code == 400
    text = people.browser(viewer).get("/properties").content.decode()
    assert "/properties/env" in text
    assert "Hide env" not in text


def test_an_organisation_is_shown_its_own_numbers_only(cast, counted_rows):
    text = people.browser(cast.charlie).get("/dashboard/chart/top-models").content.decode()
    assert "secret-model" in text
    assert "gpt-4o" not in text


@pytest.mark.parametrize("path", [*PAGES, *PARTS])
def test_nothing_a_client_names_becomes_markup(cast, counted_rows, path):
    text = people.browser(cast.alice).get(path).content.decode()
    assert "<img src=x" not in text
    assert "<!--" not in text.split("<body", 1)[-1]


def test_what_a_list_leaves_over_is_all_others_and_leads_nowhere(cast):
    statuses = [400, 401, 403, 404, 409, 422, 429, 500, 502, 503]
    at = clock.now() - timedelta(minutes=5)
    names = [f"model-{number}" for number in range(len(statuses))]
    counted.count([make_row(cast.acme.pk, at, model=name, request_model=name, response_model=name, status=status)
                   for name, status in zip(names, statuses, strict=True)])  # fmt: skip
    counted.fold_all(cast.acme.pk)
    for key in ("errors", "top-models", "requests-by", "requests-by?by=status"):
        text = people.browser(cast.alice).get(f"/dashboard/chart/{key}").content.decode()
        assert re.search(r"<span[^>]*>all others</span>", text), key
        assert "Rest." not in text
        assert not re.search(r"<a [^>]*>(<span[^>]*></span><span[^>]*>)?all others", text), key


def test_data_of_a_chart_reads_back_as_what_was_named(cast, counted_rows):
    text = people.browser(cast.alice).get("/dashboard/chart/cost?by=model&range=24h").content.decode()
    block = re.search(r'<script[^>]*type="application/json">(.*?)</script>', text, re.DOTALL)
    data = json.loads(block.group(1))
    assert {one["name"]: sum(one["y"]) for one in data["series"]} == {"gpt-4o": 5.0, EVIL: 4.0}
    assert len(data["times"]) == len(data["series"][0]["y"]) + 1


def test_the_strip_says_the_sums_and_what_they_lack(cast, counted_rows):
    text = people.browser(cast.alice).get("/dashboard/figures?range=24h").content.decode()
    assert "$9.00" in text
    assert "9 of 10 calls have one" in text
    assert "10 %" in text


def test_the_steps_of_a_chart_add_up_to_the_requests_behind_it(cast, counted_rows):
    rows = csv_of(cast, "/dashboard/chart/requests.csv?range=24h")
    assert rows[0] == ["time", "ok (count)", "errors (count)"]
    assert (sum(int(row[1]) for row in rows[1:]), sum(int(row[2]) for row in rows[1:])) == (9, 1)


def csv_of(cast, path):
    return list(csv.reader(io.StringIO(people.browser(cast.alice).get(path).content.decode())))


@pytest.mark.parametrize(
    "path",
    ["/users?format=csv", "/models?format=csv", "/dashboard/chart/top-users.csv", "/properties/env?format=csv"],
)
def test_no_cell_of_a_file_begins_a_formula(cast, path):
    row = make_row(cast.acme.pk, model=FORMULA, end_user_id=FORMULA, properties={"env": FORMULA})
    counted.count([row])
    assert [line[0] for line in csv_of(cast, path)[1:]] == [f"'{FORMULA}"]


VERSIONS = [("gpt-4o", 429), ("gpt-4o-2024-08-06", 200), ("gpt-4o-2024-11-20", 200), ("gpt-4o-mini-2024-07-18", 200),
            ("claude-haiku-4-5@20251001", 200), ("claude-haiku-4-5-20251001", 200), ("mistral-2411-latest", 200),
            ("room-2024-99-99", 200)]  # fmt: skip


def test_a_model_is_one_row_whatever_its_date_and_each_version_one_where_asked(cast):
    counted.count([make_row(cast.acme.pk, model=model, status=status) for model, status in VERSIONS])
    together = {line[0]: line[2:4] for line in csv_of(cast, "/models?format=csv")[1:]}
    assert together == {
        "gpt-4o": ["3", "1"], "gpt-4o-mini": ["1", "0"], "claude-haiku-4-5": ["2", "0"],
        "mistral-2411-latest": ["1", "0"], "room-2024-99-99": ["1", "0"],
    }  # fmt: skip
    assert {line[0] for line in csv_of(cast, "/models?format=csv&by=model")[1:]} == {model for model, _ in VERSIONS}
    page = people.browser(cast.alice).get("/models").content.decode()
    assert 'name="undated_model" value="gpt-4o"' in page and "undated_model=gpt-4o&amp;" in page
    apart = people.browser(cast.alice).get("/models?by=model").content.decode()
    assert 'name="model" value="gpt-4o"' in apart and "its errors are that model's too" in apart


def test_the_head_of_a_split_chart_begins_no_formula_either(cast):
    counted.count([make_row(cast.acme.pk, model=FORMULA)])
    assert csv_of(cast, "/dashboard/chart/cost.csv")[0][1].startswith("'=")


def test_a_table_sorts_by_any_of_its_columns(cast, counted_rows):
    for key in ("errors", "cost", "per_call", "input", "output", "average", "last"):
        lines = csv_of(cast, f"/users?format=csv&sort={key}")
        assert {line[0] for line in lines[1:]} == {"mara", EVIL}
    assert [line[0] for line in csv_of(cast, "/users?format=csv&sort=errors")][1:] == [EVIL, "mara"]
    assert [line[0] for line in csv_of(cast, "/users?format=csv&sort=errors&dir=asc")][1:] == ["mara", EVIL]


def test_every_filter_of_the_requests_page_narrows_these_pages_too(cast, counted_rows):
    text = people.browser(cast.alice).get("/dashboard/figures?range=24h&model=gpt-4o").content.decode()
    assert "$5.00" in text
    assert people.browser(cast.alice).get("/users?range=24h&model=gpt-4o&format=csv").content.count(b"\n") == 2


def test_the_filter_form_answers_with_the_address_it_means(cast):
    answer = people.browser(cast.alice).get("/models?range=7d&add_key=model&add_operator==&add_value=gpt-4o")
    assert (answer.status_code, answer.url) == (302, "/models?range=7d&model=gpt-4o")


def test_what_cannot_be_asked_is_told_and_never_an_error_of_ours(cast, counted_rows):
    alice = people.browser(cast.alice)
    assert "There is no filter" in alice.get("/dashboard?nonsense=1").content.decode()
    for path in ("/dashboard/chart/none", "/dashboard/chart/cost?by=nonsense", "/users/a%00b", "/properties/a%00b",
                 "/dashboard/figures?range=never"):  # fmt: skip
        assert alice.get(path).status_code == 404, path
    for path in ("/dashboard?values=a%0Ab", "/dashboard?values=%00", "/users?sort=none&rows=-1", "/users/a%20/../b"):
        assert alice.get(path).status_code == 200, path


def test_a_name_no_address_can_hold_is_listed_without_a_page(cast):
    counted.count([make_row(cast.acme.pk, end_user_id="two\nlines")])
    assert people.browser(cast.alice).get("/dashboard/chart/top-users").status_code == 200
    assert people.browser(cast.alice).get("/users").status_code == 200


def test_an_unused_organisation_is_told_what_fills_the_page(cast):
    for path in ("/dashboard", "/users", "/properties", "/models"):
        assert "No requests yet" in people.browser(cast.alice).get(path).content.decode()


def test_while_nothing_is_cached_the_cache_chart_says_so(cast, counted_rows):
    text = people.browser(cast.alice).get("/dashboard/chart/cache-savings").content.decode()
    assert "No answer from the cache in this range" in text
    assert "data-chart" not in text


def test_steps_begin_at_the_readers_own_midnight(cast, counted_rows):
    alice = people.browser(cast.alice)
    alice.cookies["zone"] = "Pacific%2FAuckland"
    text = alice.get("/dashboard/chart/requests.csv?range=30d").content.decode()
    times = [line.split(",")[0] for line in text.splitlines()[2:]]
    assert all(re.search(r"T00:00:00\+1[23]:00$", moment) for moment in times)


def rows_of(client, path: str) -> list[str]:
    return [line.value for line in client.get(path).context["table"].lines]


@pytest.mark.parametrize(
    "key", ["requests", "errors", "cost", "per_call", "input", "output", "average", "days", "first", "last"]
)
def test_users_are_sorted_by_any_column_both_ways(cast, counted_rows, key):
    client = people.browser(cast.alice)
    table = client.get(f"/users?sort={key}").context["table"]
    [head] = [one for one in table.heads if one.column.key == key]
    assert head.state == "descending"
    assert client.get(head.url).context["table"].heads[table.heads.index(head)].state == "ascending"


def test_users_are_sorted_by_name_from_a_first(cast, counted_rows):
    client = people.browser(cast.alice)
    assert rows_of(client, "/users?sort=name") == sorted(["mara", EVIL])
    turned = client.get("/users?sort=name").context["table"].name.url
    assert rows_of(client, turned) == sorted(["mara", EVIL], reverse=True)


def test_users_are_found_by_a_part_of_their_id(cast, counted_rows):
    client = people.browser(cast.alice)
    assert rows_of(client, "/users?find=AR") == ["mara"]
    assert rows_of(client, "/users?find=%25") == []
    [line] = client.get("/users?find=mara").context["table"].lines
    assert "find" not in line.link and "find" not in line.page
    assert [row[0] for row in csv.reader(io.StringIO(client.get("/users?find=mara&format=csv").content.decode()))] == [
        "user", "mara"
    ]  # fmt: skip


# --- the p95 duration of a property's values ----------------------------------------------------------------------


def of_apps(cast, *, count=20):
    now = clock.now()
    rows = [
        make_row(cast.acme.pk, now - timedelta(minutes=n), properties={"app": app}, duration_ms=duration)
        for n in range(count) for app, duration in (("chat", 1000 if n == 0 else 100), ("search", 5000), ("mute", None))
    ]  # fmt: skip
    counted.count(rows)
    counted.fold_all(cast.acme.pk)


def columns_of(lines, *names):
    places = [lines[0].index(name) for name in names]
    return [tuple(line[place] for place in places) for line in lines[1:]]


def test_a_property_has_the_p95_duration_of_each_value_and_nothing_where_none_was_measured(cast):
    of_apps(cast)
    page = people.browser(cast.alice).get("/properties/app?range=30d").content.decode()
    assert "p95 duration" in page
    assert "5.0" in page
    assert "Show p95 duration" not in page
    told = dict(columns_of(csv_of(cast, "/properties/app?range=30d&format=csv"), "app", "duration_p95_ms"))
    assert float(told["chat"]) == pytest.approx(100, rel=0.01)  # the 19th of 20
    assert float(told["search"]) == pytest.approx(5000, rel=0.01)
    assert told["mute"] == ""


def test_values_are_sorted_by_their_p95_with_the_unknown_at_the_end(cast):
    of_apps(cast)
    falling = csv_of(cast, "/properties/app?range=30d&format=csv&sort=p95")
    rising = csv_of(cast, "/properties/app?range=30d&format=csv&sort=p95&dir=asc")
    assert [line[0] for line in falling[1:]] == ["search", "chat", "mute"]
    assert [line[0] for line in rising[1:]] == ["chat", "search", "mute"]


def test_of_many_requests_the_p95_is_read_only_where_it_is_asked_for(cast, monkeypatch):
    of_apps(cast)
    monkeypatch.setattr(lengths, "FEW", 5)
    monkeypatch.setattr(queries, "MOST_EDGE_ROWS_OF_LONG", 5)
    alice = people.browser(cast.alice)
    with CaptureQueriesContext(connection) as asked:
        page = alice.get("/properties/app?range=30d").content.decode()
    assert "Show p95 duration" in page
    assert not [one for one in asked if "v_duration_hist" in one["sql"]]
    link = html.unescape(re.search(r'href="([^"]*p95=1[^"]*)"', page)[1])
    assert "sort=p95" in alice.get(link).content.decode()
    assert "sort=p95" in alice.get("/properties/app?range=30d&sort=p95").content.decode()


def test_a_p95_of_the_newest_requests_only_is_called_so_and_is_in_no_file(cast):
    of_apps(cast)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO counting_state (organization_id, ground_from) VALUES (%s, %s) ON CONFLICT (organization_id) "
            "DO UPDATE SET ground_from = excluded.ground_from",
            [cast.acme.pk, clock.now() - timedelta(days=3)],
        )
    page = people.browser(cast.alice).get("/properties/app?range=30d").content.decode()
    assert "p95 of newest" in page
    assert "removed by retention" in page
    told = columns_of(csv_of(cast, "/properties/app?range=30d&format=csv"), "app", "duration_p95_ms")
    assert {value for _, value in told} == {""}
    assert {value for _, value in columns_of(csv_of(cast, "/properties/app?range=24h&format=csv"), "app",
                                             "duration_p95_ms")} > {""}  # fmt: skip


def test_a_period_before_without_anything_measured_has_no_length(cast, counted_rows):
    """A median of nothing is unknown, not 0."""
    now = clock.now()
    counted.count([make_row(cast.acme.pk, now - timedelta(hours=30), time_to_first_token_ms=None)])
    seen = people.browser(cast.alice).get("/dashboard/chart/ttft?range=24h&compare=1").content.decode()
    legend = seen.partition("<ul")[2].partition("</ul>")[0]
    assert "period before" in legend and "0 ms" not in legend


def test_of_requests_that_retention_has_removed_hours_are_drawn_and_no_change_is_told(cast):
    now = clock.now()
    counted.count([make_row(cast.acme.pk, now - timedelta(days=n, minutes=m)) for n in (3, 7) for m in (20, 30, 40)])
    counted.fold_all(cast.acme.pk)
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO counting_state VALUES (%s, %s)", [cast.acme.pk, now - timedelta(days=5)])
        cursor.execute("DELETE FROM llm_request WHERE requested_at < %s", [now - timedelta(days=5)])
    alice = people.browser(cast.alice)
    since, until = (f"{now - timedelta(days=7, hours=hours):%Y-%m-%dT%H:%MZ}" for hours in (2, -1))
    told = alice.get(f"/dashboard/chart/requests.csv?from={since}&to={until}").content.decode()
    assert sum(int(line.split(",")[1]) for line in told.splitlines()[1:]) == 3
    span = f"from={now - timedelta(days=4):%Y-%m-%dT%H:%MZ}&to={now - timedelta(days=1):%Y-%m-%dT%H:%MZ}"
    assert "against the period before" not in alice.get(f"/dashboard/figures?{span}&duration=>0").content.decode()
    seen = alice.get(f"/dashboard/chart/requests?{span}&duration=>0&compare=1").content.decode()
    assert "period before (part)" in seen


def test_the_period_before_has_the_steps_of_the_chart_it_is_laid_over(cast):
    """Split by model beside a filter by user only single requests answer, in hours; the sum alone is counted by day."""
    now = clock.now()
    counted.count([make_row(cast.acme.pk, now - timedelta(hours=8 * n), end_user_id="mara") for n in range(60)])
    counted.fold_all(cast.acme.pk)
    for by in ("", "&by=model"):
        path = f"/dashboard/chart/cost.csv?range=7d&user=mara&compare=1{by}"
        rows = list(csv.reader(io.StringIO(people.browser(cast.alice).get(path).content.decode())))
        before = [row[-1] for row in rows[1:]]
        assert rows[0][-1].startswith("period before")
        assert sum(value == "" for value in before) <= 1, by
        assert sum(float(value) > 0 for value in before[len(before) // 2:]) >= 3
