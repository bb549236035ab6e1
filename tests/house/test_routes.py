"""The gateway's table of paths against the URLs Django answers: neither takes what is the other's."""

from __future__ import annotations

import re
from uuid import uuid4

from gateway_app import routes
from gateway_app.routes import Whose
from ingest_app import otlp, uploads
from ingest_app.envelopes import BY_PATH
from llm.providers import all_providers
from tests.house.test_docs import urls

MINE = {"authorization": "Bearer sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ddddddd"}
OTHERS = {
    "authorization": "Bearer sk-provider",
    "anthropic-version": "2023-06-01",
    "helicone-auth": MINE["authorization"],
}


def spelled(route: str) -> str:
    """A path of that route, its parameters filled in."""
    return "/" + re.sub(r"\{\w+\}", str(uuid4()), re.sub(r"\(\?P.*|[\^$]", "", route))


def strayed(paths, *, has_target: bool) -> list[str]:
    """Those of the paths that would leave for a provider, whatever credentials come with them; the list of models is
    decided by those, see below."""
    return [
        path
        for path in paths if path != "/v1/models"
        for headers in ({}, MINE, OTHERS)
        if routes.resolve(path, headers=headers, has_target=has_target).whose is not Whose.WEB
    ]


def test_no_page_and_no_api_path_reaches_a_provider():
    assert strayed(map(spelled, urls()), has_target=False) == []


def test_no_api_path_reaches_a_target_the_client_names():
    """A page's path may be a target's own; no browser names one."""
    assert strayed((spelled(url) for url in urls() if re.match(r"v\d/", url)), has_target=True) == []


def test_every_log_path_has_an_envelope_and_the_other_way_round():
    """A path the table gives to the log doors and no envelope reads would be a 404 in a client's logger."""
    doors = {path for path in routes.LOG_PATHS if path not in BY_PATH and path not in otlp.PATHS}
    assert doors == {uploads.PATH}
    assert [path for path in BY_PATH if routes.resolve(path, headers=MINE).whose is not Whose.LOG] == []


def test_every_provider_is_reached_by_the_long_form_of_its_slugs():
    for provider in all_providers():
        for slug in provider.path_slugs:
            found = routes.resolve(f"/v1/gateway/{slug}/v1/anything", headers=OTHERS)
            assert found.whose is Whose.GATEWAY, slug
            assert found.provider is not None or found.is_client_target, slug


def test_models_are_decided_by_credentials():
    assert routes.resolve("/v1/models", headers=OTHERS).whose is Whose.GATEWAY
    assert routes.resolve("/v1/models", headers=MINE).whose is Whose.WEB
