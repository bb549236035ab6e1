"""Posting is patient: what is asked to wait waits, and nothing is given up or sent twice for good."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice

import orjson
import pytest

from helicone_site.demo import send, stories
from helicone_site.demo.door import Stopped


class Product(ThreadingHTTPServer):
    """A log door that first says 503, then takes what comes."""

    daemon_threads = True

    def __init__(self, *, status: int = 200, refusals: int = 0) -> None:
        super().__init__(("127.0.0.1", 0), Door)
        self.status = status
        self.refusals = refusals
        self.taken: Counter[str] = Counter()
        self.lock = threading.Lock()


class Door(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Product

    def do_POST(self) -> None:
        body = orjson.loads(self.rfile.read(int(self.headers["content-length"])))
        with self.server.lock:
            refused = self.server.refusals > 0
            self.server.refusals -= refused
            if not refused and self.server.status == 200:
                self.server.taken[body["providerRequest"]["meta"]["Helicone-Request-Id"]] += 1
        self.send_response(503 if refused else self.server.status)
        self.send_header("Retry-After", "0")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


@pytest.fixture
def product():
    made = Product()
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def url(product):
    return f"http://127.0.0.1:{product.server_port}"


@pytest.fixture(scope="module")
def steps():
    return list(islice(stories.days(datetime(2026, 9, 18, tzinfo=UTC), 1), 60))


def test_every_step_arrives_once_though_the_door_is_shut_for_a_while(product, url, steps):
    product.refusals = 12
    answered = send.send(steps, url, "k", stop=threading.Event(), at_once=8)
    assert answered == Counter({200: 60})
    assert product.taken == Counter({str(step.id): 1 for step in steps})


def test_a_refused_key_ends_it_with_a_reason(product, url, steps):
    product.status = 401
    with pytest.raises(send.KeyRefused):
        send.send(steps, url, "k", stop=threading.Event(), at_once=4)


def test_it_ends_when_asked_to_though_the_door_stays_shut(product, url, steps):
    product.refusals = 10**9
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    with pytest.raises(Stopped):
        send.send(steps, url, "k", stop=stop, at_once=4)
    assert not product.taken
