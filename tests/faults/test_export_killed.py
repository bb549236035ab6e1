"""kill -9 of `edge` in the middle of exports: the client sends again as SDKs do, and every span is a row, once."""

from __future__ import annotations

import http.client
import itertools
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.alone import edge, free_port
from tests.gateway_app.stage import KEY
from tests.ingest_app.test_logs_become_rows import House
from tests.ingest_app.test_otlp import GOOD, HOSTILE, as_protobuf, export_of, span
from tests.ingest_app.test_otlp_door import house

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
assert house  # a fixture
SPANS, KILLS, CLIENTS = 40, 3, 4


def export(numbers: Iterator[int]) -> tuple[set[str], bytes]:
    """The ids of an export's spans, and the export."""
    spans = []
    for number in itertools.islice(numbers, SPANS):
        one = span(f"step {number}")
        one.span_id = number.to_bytes(8, "big")
        one.start_time_unix_nano = one.end_time_unix_nano = time.time_ns()
        spans.append(one)
    return {one.span_id.hex() for one in spans}, as_protobuf(*spans).SerializeToString()


def deliver(port: int, body: bytes) -> int:
    """As OpenTelemetry's exporters do: again after whatever is no answer, and after 503. Answers how often it took."""
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/x-protobuf"}
    for attempt in itertools.count(1):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request("POST", "/v1/traces", body, headers)
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException):
            status = 0
        finally:
            connection.close()
        if status == 200:
            return attempt
        assert status in (0, 503), status
        time.sleep(0.05)
    raise AssertionError


def test_an_export_cut_by_a_killed_edge_is_sent_again_and_kept_once(house: House, tmp_path: Path) -> None:
    port, numbers, lock = free_port(), itertools.count(1), threading.Lock()
    told: set[str] = set()
    attempts: list[int] = []
    is_over = threading.Event()

    def client() -> None:
        while not is_over.is_set():
            with lock:
                ids, body = export(numbers)
            attempts.append(deliver(port, body))
            with lock:
                told.update(ids)

    clients = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for one in clients:
        one.start()
    for turn in range(KILLS + 1):
        with edge(tmp_path, port, 1) as process:
            answered = len(attempts)
            while len(attempts) < answered + 3 * CLIENTS:
                time.sleep(0.01)
            if turn == KILLS:
                is_over.set()
                for one in clients:
                    one.join(60)
            process.send_signal(signal.SIGKILL)
    assert max(attempts) > 1
    rows = [row[0] for row in House(tmp_path / "spool", house.keys).rows("span_id")]
    assert len(rows) == len(set(rows))
    assert set(rows) == told


def memory(pid: int, what: str) -> int:
    """Bytes: `VmHWM` the most it ever had, `VmRSS` what it has."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(what))


def test_no_hostile_export_takes_an_edge_down_or_much_memory(tmp_path: Path) -> None:
    port = free_port()
    with edge(tmp_path, port, 1) as process:
        deliver(port, export_of(GOOD))
        before = memory(process.pid, "VmRSS")
        for evil in (*HOSTILE.values(), GOOD + b"\x5a\x00" * 5_000_000):
            assert deliver(port, export_of(GOOD, evil, GOOD)) == 1
        assert process.poll() is None
        assert memory(process.pid, "VmHWM") - before < 200 * 2**20
