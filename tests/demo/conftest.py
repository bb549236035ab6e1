"""The fake provider as a process of its own, once for all tests of this folder."""

from __future__ import annotations

import subprocess
import sys

import anthropic
import openai
import pytest


@pytest.fixture(scope="session")
def provider_url():
    command = [sys.executable, "-m", "helicone_site.demo.provider", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()


@pytest.fixture
def openai_client(provider_url):
    with openai.OpenAI(base_url=f"{provider_url}/v1", api_key="sk-test", max_retries=0) as client:
        yield client


@pytest.fixture
def anthropic_client(provider_url):
    with anthropic.Anthropic(base_url=provider_url, api_key="sk-ant-test", max_retries=0) as client:
        yield client
