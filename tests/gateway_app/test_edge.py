"""The switch: log doors, `web` behind its socket, health."""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest

from helicone_site import asgi, room
from helicone_site.web import OPTIONS
from lib import heartbeat
from tests.gateway_app.stage import AUTH, KEY, Asked, answering, json_answer, read_request, run, staged

LOG = json.dumps(
    {
        "providerRequest": {
            "url": "https://api.openai.com/v1/chat/completions",
            "json": {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]},
            "meta": {"Helicone-User-Id": "u1"},
        },
        "providerResponse": {"json": {"model": "gpt-4o-mini", "choices": []}, "status": 200, "headers": {}},
        "timing": {
            "startTime": {"seconds": 1763000000, "milliseconds": 1},
            "endTime": {"seconds": 1763000001, "milliseconds": 2},
        },
    }
).encode()
BEARER = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}


@contextlib.asynccontextmanager
async def web(folder, answer: bytes, asked: list[Asked]):
    async def play(reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                asked.append(await read_request(reader))
                writer.write(answer)
        writer.close()

    server = await asyncio.start_unix_server(play, folder / "web.sock")
    try:
        yield
    finally:
        server.close()


def test_everything_else_goes_to_web_as_it_came(tmp_path):
    asked: list[Asked] = []

    async def work():
        answer = json_answer(b"<p>page</p>", more="Set-Cookie: helicone_session=s\r\n")
        async with web(tmp_path, answer, asked), staged(tmp_path, answering()) as stage:
            headers = {"cookie": "helicone_session=s", "x-forwarded-for": "9.9.9.9", "x-forwarded-proto": "gopher"}
            status, came, body = await stage.ask(path="/requests?f=%20a", body=b"x=1", headers=headers)
            await stage.ask(path="/v1/request/query", body=b"{}" * 200_000, headers=BEARER)
        assert (status, body, came["set-cookie"]) == (200, b"<p>page</p>", "helicone_session=s")
        page, api = asked
        assert (page.line, page.body) == ("POST /requests?f=%20a HTTP/1.1", b"x=1")
        assert (page.headers["host"], page.headers["cookie"]) == ("gateway.test", "helicone_session=s")
        assert page.headers["x-forwarded-for"] == "9.9.9.9, 127.0.0.1"
        assert page.headers["x-forwarded-proto"] == "http"
        assert api.headers["authorization"] == f"Bearer {KEY}"
        assert api.body == b"{}" * 200_000

    run(work())


def test_web_hears_from_a_client_nothing_it_believes_of_edge(tmp_path):
    """gunicorn takes SCRIPT_NAME for the place the product lives under: every link of a mail would begin with it."""
    asked: list[Asked] = []

    async def work():
        names = ("script_name", "path_info", "x_forwarded_for", "x-forwarded-host", "x-forwarded-ssl", "forwarded")
        async with web(tmp_path, json_answer(), asked), staged(tmp_path, answering()) as stage:
            await stage.ask(path="/password/forgot", headers=dict.fromkeys(names, "on"))
        assert not asked[0].headers.keys() & set(names)
        assert OPTIONS["forwarder_headers"] == ""

    run(work())


def test_while_web_is_away_a_page_says_so(tmp_path):
    async def work():
        async with staged(tmp_path, answering()) as stage:
            status, headers, body = await stage.ask(path="/requests")
        assert (status, headers["retry-after"]) == (502, "2")
        assert b"not ready" in body

    run(work())


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/oai/v1/log", BEARER),
        ("/v1/gateway/oai/v1/log", BEARER),
        (f"/{KEY}/oai/v1/log", {}),
        ("/oai/v1/lo%67/", BEARER),
    ],
)
def test_a_log_door_keeps_what_it_is_told(tmp_path, path, headers):
    async def work():
        async with staged(tmp_path, answering()) as stage:
            status, came, body = await stage.ask(path=path, body=LOG, headers=headers)
            (exchange,) = await stage.exchanges()
        assert (status, body) == (200, b"ok")
        assert came["helicone-id"] == str(exchange.id)
        assert (exchange.door, exchange.attribution.end_user_id) == ("log", "u1")

    run(work())


def test_a_log_that_is_too_long_is_refused_however_its_length_is_told(tmp_path):
    kept = {**BEARER, "connection": "keep-alive"}

    async def work():
        async with staged(tmp_path, answering()) as stage:
            for framing in ({"content-length": str(2**21)}, {"transfer-encoding": "chunked"}):
                reader, writer = await stage.connect(path="/oai/v1/log", body=None, headers={**kept, **framing})
                for _ in range(20):
                    writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
                    await writer.drain()
                assert b" 413 " in await reader.readline()
                writer.close()

    run(work())


def test_health_is_well_when_every_process_is(tmp_path, monkeypatch):
    monkeypatch.setattr(asgi, "HEALTH_DIR", tmp_path / "health")

    async def work():
        async with staged(tmp_path, answering()) as stage:
            before, _, _ = await stage.ask("GET", "/healthz", b"", headers={})
            for name in ("edge", "web", "line", "worker"):
                heartbeat.write(tmp_path / "health", name, is_ready=True, detail={"more": name})
            after, _, body = await stage.ask("GET", "/healthz", b"", headers={})
            heartbeat.write(tmp_path / "health", "line", is_ready=False)
            later, _, _ = await stage.ask("GET", "/healthz", b"", headers={})
            legacy = await stage.ask("GET", "/healthcheck", b"", headers={})
            langfuse = await stage.ask("GET", "/api/public/health", b"", headers={})
        lines = [json.loads(line) for line in body.splitlines()]
        assert (before, after, later) == (503, 200, 503)
        assert [line["process"] for line in lines] == ["edge", "line", "web", "worker"]
        assert legacy[2] == b'{"status":"healthy :)"}'
        assert (langfuse[0], json.loads(langfuse[2])["status"]) == (200, "OK")

    run(work())


def test_edge_runs_without_django():
    import subprocess
    import sys

    code = "import sys, helicone_site.asgi; print([m for m in sys.modules if m.split('.')[0] in ('django', 'celery')])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_whoever_asks_with_auth_gets_an_id_on_every_answer(tmp_path):
    async def work():
        async with staged(tmp_path, answering(json_answer())) as stage:
            for path in ("/v1/chat/completions", "/v1/gateway/nobody/x", "/v1/gateway/custom/x"):
                _, headers, _ = await stage.ask(path=path, headers=AUTH)
                assert len(headers["helicone-id"]) == 36
                assert headers["helicone-status"] in ("success", "failed")

    run(work())


PAGE = {"origin": "https://app.example.com"}


def test_a_browser_may_call_with_a_key_it_holds(tmp_path):
    theirs = "Access-Control-Allow-Origin: https://other\r\nAccess-Control-Allow-Credentials: true\r\n"

    async def work():
        async with staged(tmp_path, answering(json_answer(more=theirs))) as stage:
            wish = {**PAGE, "access-control-request-method": "POST", "access-control-request-headers": "helicone-auth"}
            status, headers, body = await stage.ask("OPTIONS", body=b"", headers=wish)
            assert (status, body, headers["access-control-allow-headers"]) == (204, b"", "helicone-auth")
            for given, expected in (({**AUTH, **PAGE}, 200), (PAGE, 401)):
                status, headers, _ = await stage.ask(headers=given)
                assert (status, headers["access-control-allow-origin"]) == (expected, "*")
                assert "access-control-allow-credentials" not in headers
            assert "access-control-expose-headers" not in (await stage.ask())[1]
            assert len(await stage.exchanges(2)) == 2

    run(work())


def test_where_no_key_is_required_no_page_is_let_in(tmp_path):
    async def work():
        async with staged(tmp_path, answering(json_answer()), requires_key=False) as stage:
            assert "access-control-allow-origin" not in (await stage.ask(headers=PAGE))[1]

    run(work())


@pytest.mark.parametrize(("headers", "status"), [
    ({"authorization": "Bearer sk-helicone-zzzzzzz-bbbbbbb-ccccccc-ddddddd"}, 401), ({}, 401),
    ({**BEARER, "content-type": "application/x-protobuf"}, 0),
])  # fmt: skip
@pytest.mark.parametrize("path", ["/v1/traces", "/custom/v1/log"])
def test_the_body_of_who_may_not_log_is_not_waited_for(tmp_path, headers, status, path):
    async def work():
        async with staged(tmp_path, answering()) as stage:
            reader, writer = await stage.connect(path=path, body=None, headers={**headers, "content-length": "100000"})
            try:
                raw = await asyncio.wait_for(reader.read(12), 20 if status else 0.2)
            except TimeoutError:
                raw = b"HTTP/1.1 000"
            writer.close()
        assert raw == b"HTTP/1.1 %03d" % status

    run(work())


def test_bodies_beyond_what_is_held_at_once_are_to_come_again(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "MOST_HELD", len(LOG) * 3 // 2)

    async def work():
        async with staged(tmp_path, answering()) as stage:
            length = {"content-length": str(len(LOG))}
            reader, writer = await stage.connect(path="/custom/v1/log", body=None, headers={**BEARER, **length})
            writer.write(LOG[:-1])
            status = 200
            while status == 200:
                status, came, _ = await stage.ask(path="/custom/v1/log", body=LOG, headers=BEARER)
            assert (status, came["retry-after"]) == (503, "5")
            writer.write(LOG[-1:])
            assert (await asyncio.wait_for(reader.read(), 20)).startswith(b"HTTP/1.1 200")
            writer.close()
            assert (await stage.ask(path="/custom/v1/log", body=LOG, headers=BEARER))[0] == 200

    run(work())
