"""The real LiteLLM proxy as people run it, its generic callback pointed here: its calls are in the list."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.request
from pathlib import Path

import pytest

from tests.journeys import check
from tests.journeys.stack import free_port, start, until

MODEL = "gpt-4o-mini"
KEY = "sk-of-the-proxy"
TEXT = "Where is order FW-20481? I would like a refund."


@pytest.fixture(scope="module")
def proxy(stack, tmp_path_factory, request):
    """Its URL."""
    folder, port = tmp_path_factory.mktemp("proxy"), free_port()
    homes = Path(request.config.getoption("clients")).absolute()
    parameters = {"model": f"openai/{MODEL}", "api_base": f"{stack.provider.url}/v1", "api_key": "sk-of-the-provider"}
    config = {
        "model_list": [{"model_name": MODEL, "litellm_params": parameters}],
        "litellm_settings": {"callbacks": ["generic_api"]},
        "general_settings": {"master_key": KEY},
    }
    (folder / "config.yaml").write_text(json.dumps(config))  # JSON is YAML
    told = {
        "GENERIC_LOGGER_ENDPOINT": f"{stack.url}/v1/log/litellm",
        "GENERIC_LOGGER_HEADERS": f"Authorization=Bearer {stack.key}",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # its price map is the one it ships: no network
    }
    environment = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "TMPDIR"}} | told
    command = [str(homes / "litellm" / "bin" / "litellm"), "--config", str(folder / "config.yaml"), "--port", str(port)]
    process = start([*command, "--host", "127.0.0.1"], environment, folder / "proxy.log")
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: process.poll() is not None or answers(url), what="the proxy", seconds=180)
        assert process.poll() is None, (folder / "proxy.log").read_text()[-4000:]
        yield url
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def answers(url):
    try:
        with urllib.request.urlopen(f"{url}/health/liveliness", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def ask(url, journey, **more):
    """The proxy's answer, read."""
    said = {"journey": journey, "Helicone-Session-Id": f"session-{journey}"}
    body = {
        "model": MODEL, "messages": [{"role": "user", "content": TEXT}], "user": "ada@example.org", "metadata": said,
        **more,
    }  # fmt: skip
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    sent = urllib.request.Request(f"{url}/v1/chat/completions", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(sent, timeout=60) as answer:
        return answer.read().decode()


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "streamed"])
def test_a_call_of_the_proxy_is_visible_with_its_tokens_cost_and_owner(stack, proxy, journey, is_stream):
    more = {"stream": True, "stream_options": {"include_usage": True}} if is_stream else {}
    answer = ask(proxy, journey, **more)
    lines = [line.removeprefix("data: ") for line in answer.splitlines() if line.startswith("data: {")]
    told = [json.loads(line) for line in lines or [answer]]
    usage = next(one["usage"] for one in reversed(told) if one.get("usage"))
    row = stack.row(journey)
    assert row["provider"] == "OPENAI"
    assert (row["prompt_tokens"], row["completion_tokens"]) == (usage["prompt_tokens"], usage["completion_tokens"])
    counts = {"input_tokens": usage["prompt_tokens"], "output_tokens": usage["completion_tokens"]}
    assert row["cost"] == pytest.approx(float(check.price("openai", MODEL, **counts)), rel=1e-6)
    assert row["request_user_id"] == "ada@example.org"
    assert row["request_properties"]["Helicone-Session-Id"] == f"session-{journey}"
    assert (row["time_to_first_token"] is not None) == is_stream
    assert TEXT in json.dumps(stack.whole(row["request_id"])["request_body"])
