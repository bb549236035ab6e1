"""How long pages and API calls take on the server as the ground grows: the real views on a real embedded Postgres.

    python -m bench.query [--rows 1000000 5000000] [--full] [--repeat 15] [--only WORD] [--keep FOLDER] [--loaders 2]

Rows of thirty days go in through the real store, counts and sessions (bodies on a tenth), then every question is asked
of the real URL through Django's own handler, so what is timed is queries, merging and templates, without the network.
`--full` adds ten million rows. `--keep` leaves the cluster in FOLDER, or uses what is there.

For each size: p50 and p95 in milliseconds beside the target, the CPU time of one answer (this process and its server
process of Postgres: what p50 would be on a machine that does nothing else), and how that grew from the size before.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SIZES, FULL_SIZE = (1_000_000, 5_000_000), 10_000_000
PAGE_MS, TABLE_MS, DASHBOARD_MS = 300, 100, 300
CHARTS = ("requests", "cost", "duration", "duration-by", "ttft", "tokens")
SORTS = ("cost", "duration", "requests", "errors")


@dataclass(frozen=True, slots=True)
class Question:
    name: str
    path: str
    target_ms: int = PAGE_MS
    body: dict[str, Any] | None = None
    """Posted as JSON with the API key; None: a page, asked with GET by a member."""


def everything(start: str, end: str) -> list[Question]:
    """The URLs people wait for. `start` and `end` span the thirty days, ISO."""
    when = {"timeFilter": {"start": start, "end": end}, "filter": "all"}
    span = {"start": start, "end": end}
    sessions = {
        "search": "",
        "timezoneDifference": 0,
        "filter": "all",
        "timeFilter": {"startTimeUnixMs": _ms(start), "endTimeUnixMs": _ms(end)},
    }
    over_time = {"timeFilter": span, "userFilter": "all", "dbIncrement": "day", "timeZoneDifference": 0}
    return [
        Question("requests, newest", "/requests?range=30d", TABLE_MS),
        Question("requests, one model", "/requests?range=30d&model=gpt-5.1", TABLE_MS),
        Question("requests, one user", "/requests?range=30d&user=user-77", TABLE_MS),
        Question("requests, common property", "/requests?range=30d&property.environment=environment-0", TABLE_MS),
        Question("requests, rare property", "/requests?range=30d&property.customer=customer-4990", TABLE_MS),
        Question("requests, absent property value", "/requests?range=30d&property.customer=nobody", TABLE_MS),
        Question("requests, failed", "/requests?range=30d&status=>=400", TABLE_MS),
        Question("sessions, newest", "/sessions?range=30d", TABLE_MS),
        *(Question(f"sessions by {sort}", f"/sessions?range=30d&sort={sort}", TABLE_MS) for sort in SORTS),
        Question("requests, list alone", "/requests/rows?range=30d", TABLE_MS),
        Question("requests, sums of the list", "/requests/summary?range=30d"),
        Question("one session", "/sessions/session-40", PAGE_MS),
        Question("dashboard", "/dashboard?range=30d", DASHBOARD_MS),
        Question("dashboard's figures", "/dashboard/figures?range=30d", DASHBOARD_MS),
        *(Question(f"dashboard, {key}", f"/dashboard/chart/{key}?range=30d", DASHBOARD_MS) for key in CHARTS),
        Question("users", "/users?range=30d"),
        Question("one user", "/users/user-77?range=30d"),
        Question("properties", "/properties?range=30d"),
        Question("one property", "/properties/feature?range=30d"),
        Question("models", "/models?range=30d"),
        Question("providers", "/providers?range=30d"),
        Question("API request/query", "/v1/request/query-clickhouse", TABLE_MS, {"filter": "all", "limit": 100}),
        Question("API request/count", "/v1/request/count/query", PAGE_MS, {"filter": "all"}),
        Question("API session/query", "/v1/session/query", PAGE_MS, {**sessions, "limit": 50}),
        Question("API session/count", "/v1/session/count", PAGE_MS, sessions),
        Question("API session/name/query", "/v1/session/name/query", PAGE_MS, {
            "nameContains": "", "timezoneDifference": 0, "timeFilter": sessions["timeFilter"],
        }),
        Question("API session/metrics/query", "/v1/session/metrics/query", PAGE_MS, {
            "nameContains": "flow 7", "timezoneDifference": 0, "timeFilter": sessions["timeFilter"],
        }),
        Question("API metrics/totalCost", "/v1/metrics/totalCost", PAGE_MS, when),
        Question("API metrics/costOverTime", "/v1/metrics/costOverTime", PAGE_MS,
                 {**when, "dbIncrement": "hour", "timeZoneDifference": 0}),
        Question("API metrics/quantiles", "/v1/metrics/quantiles", PAGE_MS,
                 {**when, "dbIncrement": "hour", "timeZoneDifference": 0, "metric": "latency"}),
        Question("API metrics/models", "/v1/metrics/models", PAGE_MS, {**when, "offset": 0, "limit": 100}),
        Question("API property top costs", "/v1/property/feature/top-costs/query", PAGE_MS, {"timeFilter": span}),
        Question("API property over time", "/v1/property/properties/over-time", PAGE_MS,
                 {**over_time, "propertyKey": "feature"}),
        Question("API metrics/usersOverTime", "/v1/metrics/usersOverTime", PAGE_MS,
                 {**when, "dbIncrement": "day", "timeZoneDifference": 0}),
        Question("API dashboard/scores", "/v1/dashboard/scores/query", PAGE_MS, over_time),
        Question("API user/metrics-overview", "/v1/user/metrics-overview/query", PAGE_MS,
                 {"filter": "all", "pSize": "p95", "useInterquartile": False}),
        Question("API user/metrics", "/v1/user/metrics/query", PAGE_MS, {"filter": "all", "offset": 0, "limit": 100}),
    ]  # fmt: skip


def _ms(moment: str) -> int:
    return int(datetime.fromisoformat(moment).timestamp() * 1000)


# --- the cluster ----------------------------------------------------------------------------------------------------


@contextmanager
def cluster(folder: Path) -> Iterator[None]:
    """An embedded Postgres and Valkey in `folder`, ready and migrated; Django set up on it."""
    os.environ.update(DATA_DIR=str(folder), DJANGO_SETTINGS_MODULE="helicone_site.settings")
    os.environ.pop("DATABASE_URL", None)
    os.environ.pop("REDIS_URL", None)
    sys.path.insert(0, str(ROOT))
    import signal

    from helicone_site import embedded, places
    from lib.processes import end, spawn

    servers = (
        (embedded.valkey(places.VALKEY_SOCKET), signal.SIGTERM),
        (embedded.postgres(folder / "postgres", places.POSTGRES_SOCKETS), signal.SIGINT),
    )
    log = os.open(folder / "services.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    running = []
    try:
        for server, stop in servers:
            server.prepare()
            pid = spawn(server.program(), output=log)
            running.append((pid, stop))
            while not server.is_ready(pid):
                time.sleep(0.05)
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        yield
    finally:
        for pid, stop in reversed(running):
            end(pid, stop)
            os.waitpid(pid, 0)


def conninfo() -> str:
    from django.conf import settings

    from lib.postgres import conninfo as described

    return described(settings.DATABASES["default"], application="bench")


# --- loading --------------------------------------------------------------------------------------------------------


def grow(to: int, *, organization_id: int, until: datetime, loaders: int = 2) -> None:
    """Brings the ground to `to` rows, by so many processes at once."""
    import psycopg

    from bench import ground

    target = conninfo()
    with psycopg.connect(target, autocommit=True) as connection:
        row = connection.execute("SELECT coalesce(sum(requests), 0) FROM usage_day").fetchone()
        there = int(row[0]) if row else 0
    if there >= to:
        return
    started = time.monotonic()
    share = (to - there) // loaders
    processes = [
        multiprocessing.get_context("fork").Process(
            target=ground.load, args=(target, share),
            kwargs={"organization_id": organization_id, "seed": there + number, "until": until},
        )
        for number in range(loaders)
    ]  # fmt: skip
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        if process.exitcode:
            sys.exit("a loader failed")
    ground.fold_all(target, organization_id)
    with psycopg.connect(target, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
    seconds = time.monotonic() - started
    print(f"{to - there:,} rows in {seconds:.0f} s ({(to - there) / seconds:,.0f} a second)\n", flush=True)


# --- asking ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Asker:
    """A member at the browser and an API key, of one organisation."""

    browser: Any
    key: str

    def ask(self, question: Question) -> int:
        """The status. Bodies that stream are read to their end."""
        if question.body is None:
            answer = self.browser.get(question.path)
        else:
            answer = self.browser.post(
                question.path, json.dumps(question.body), content_type="application/json",
                headers={"Authorization": f"Bearer {self.key}"},
            )  # fmt: skip
        if answer.streaming:
            for _ in answer:
                pass
        return int(answer.status_code)


def somebody() -> tuple[Asker, int]:
    from django.test import Client

    from accounts_app import keys
    from accounts_app.models import ApiKey, Membership, Organization, Role, User

    organization = Organization.objects.first() or Organization.objects.create(name="Bench")
    user = User.objects.first() or User.objects.create_user("bench@localhost", "a-long-password")
    Membership.objects.get_or_create(organization=organization, user=user, defaults={"role": Role.OWNER})
    key = keys.mint()
    ApiKey.objects.create(organization=organization, name="bench", key_hash=keys.hash_key(key), hint=key[-4:])
    browser = Client()
    browser.force_login(user)
    return Asker(browser, key), organization.pk


@dataclass(frozen=True, slots=True)
class Measured:
    """In ms."""

    p50: float
    p95: float
    cpu: float


def measure(asker: Asker, question: Question, repeat: int) -> Measured | int:
    """After one to warm up; or the status where it is not a success."""
    status = asker.ask(question)
    if not 200 <= status < 300:
        return status
    times = []
    cpu = _cpu_ms()
    for _ in range(repeat):
        started = time.perf_counter()
        asker.ask(question)
        times.append((time.perf_counter() - started) * 1000)
    p95 = sorted(times)[max(0, round(repeat * 0.95) - 1)]
    return Measured(statistics.median(times), p95, (_cpu_ms() - cpu) / repeat)


def _cpu_ms() -> float:
    """Of this process, of the server process it talks to, and of those that helped it and have ended."""
    from django.db import connection

    connection.ensure_connection()
    server = connection.connection.info.backend_pid
    fields = Path(f"/proc/{server}/stat").read_text().rpartition(")")[2].split()
    helpers = Path(f"/proc/{fields[1]}/stat").read_text().rpartition(")")[2].split()
    ticks = sum(map(int, (*fields[11:13], *helpers[13:15])))
    return time.process_time() * 1000 + ticks * 1000 / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--repeat", type=int, default=15)
    parser.add_argument("--only", default="")
    parser.add_argument("--loaders", type=int, default=2)
    parser.add_argument("--keep", type=Path)
    given = parser.parse_args()
    sizes = [*given.rows, FULL_SIZE] if given.full else given.rows
    until = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    with tempfile.TemporaryDirectory(prefix="helicone-bench-") as name, cluster(given.keep or Path(name)):
        asker, organization_id = somebody()
        before: dict[str, float] = {}
        for size in sizes:
            grow(size, organization_id=organization_id, until=until, loaders=given.loaders)
            before = report(asker, size, before, repeat=given.repeat, only=given.only, until=until)


def report(
    asker: Asker, size: int, before: dict[str, float], *, repeat: int, only: str, until: datetime
) -> dict[str, float]:
    from datetime import timedelta

    from bench.ground import DAYS

    print(f"{size:>12,} rows                    p50 ms   p95 ms   target   CPU ms   grew", flush=True)
    found: dict[str, float] = {}
    for question in everything((until - timedelta(days=DAYS)).isoformat(), until.isoformat()):
        if only not in question.name:
            continue
        got = measure(asker, question, repeat)
        if isinstance(got, int):
            print(f"  {question.name:34} answered {got}", flush=True)
            continue
        found[question.name] = got.cpu
        grew = f"{got.cpu / before[question.name]:5.1f}x" if question.name in before else ""
        mark = "" if got.p95 <= question.target_ms else "  over"
        times = f"{got.p50:8.1f} {got.p95:8.1f} {question.target_ms:8} {got.cpu:8.1f}"
        print(f"  {question.name:34} {times} {grew:>6}{mark}", flush=True)
    print()
    return found


if __name__ == "__main__":
    main()
