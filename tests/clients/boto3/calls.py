"""The `boto3` package: Bedrock's converse and invoke, its credentials sent beside the call for us to sign with."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from tests.clients.answering import KEY, URL, serve

ACCESS, SECRET, REGION = "AKIAFAKEFAKEFAKEFAKE", "secret-of-the-provider", "eu-west-1"
TOKEN = "token-of-a-session"
client = boto3.client(
    "bedrock-runtime",
    endpoint_url=f"{URL}/bedrock",
    region_name=REGION,
    aws_access_key_id=ACCESS,
    aws_secret_access_key=SECRET,
    config=Config(retries={"max_attempts": 0}, ignore_configured_endpoint_urls=True),
)
said_with_every_call: dict[str, str] = {}
last_sent: dict[str, Any] = {}


def _send_headers(request: Any, **_: Any) -> None:
    keys = {"aws-access-key": ACCESS, "aws-secret-key": SECRET, "aws-session-token": TOKEN, "aws-region": REGION}
    for name, value in {"Helicone-Auth": f"Bearer {KEY}", **keys, **said_with_every_call}.items():
        request.headers[name] = value
    last_sent.update(url=request.url, body=request.body)


client.meta.events.register("before-send.bedrock-runtime", _send_headers)


def _say(headers: dict[str, str]) -> None:
    said_with_every_call.clear()
    said_with_every_call.update(headers)


def chat(model: str, text: str, headers: dict[str, str], tool: dict[str, Any] | None = None) -> dict[str, Any]:
    _say(headers)
    described = tool and {"name": tool["name"], "inputSchema": {"json": tool["parameters"]}}
    tools = {"toolConfig": {"tools": [{"toolSpec": described}]}} if tool else {}
    reply = client.converse(modelId=model, messages=[{"role": "user", "content": [{"text": text}]}], **tools)
    content = reply["output"]["message"]["content"]
    return {
        "text": "".join(block.get("text", "") for block in content),
        "tools": [block["toolUse"]["name"] for block in content if "toolUse" in block],
        **_counted(reply["usage"]),
    }


def stream(model: str, text: str, headers: dict[str, str]) -> dict[str, Any]:
    _say(headers)
    said, usage = "", {}
    reply = client.converse_stream(modelId=model, messages=[{"role": "user", "content": [{"text": text}]}])
    for event in reply["stream"]:
        said += event.get("contentBlockDelta", {}).get("delta", {}).get("text", "")
        usage = event.get("metadata", {}).get("usage", usage)
    return {"text": said, **_counted(usage)}


def _counted(usage: dict[str, int]) -> dict[str, int]:
    return {"input": usage["inputTokens"], "output": usage["outputTokens"]}


def _claude(text: str) -> str:
    message = {"role": "user", "content": text}
    return json.dumps({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 500, "messages": [message]})


def invoke(model: str, text: str, headers: dict[str, str]) -> dict[str, Any]:
    _say(headers)
    reply = json.loads(client.invoke_model(modelId=model, body=_claude(text))["body"].read())
    usage = reply["usage"]
    return {"text": reply["content"][0]["text"], "input": usage["input_tokens"], "output": usage["output_tokens"]}


def invoke_streamed(model: str, text: str, headers: dict[str, str]) -> dict[str, Any]:
    _say(headers)
    said, metrics = "", {}
    for event in client.invoke_model_with_response_stream(modelId=model, body=_claude(text))["body"]:
        inner = json.loads(event["chunk"]["bytes"])
        said += inner.get("delta", {}).get("text", "")
        metrics = inner.get("amazon-bedrock-invocationMetrics", metrics)
    return {"text": said, "input": metrics["inputTokenCount"], "output": metrics["outputTokenCount"]}


def signature(headers: dict[str, str]) -> str:
    """What botocore itself signs the last request with, for the host and the time of these headers."""
    named = headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    path = urlsplit(last_sent["url"]).path.removeprefix("/bedrock")
    kept = {name: headers[name] for name in named}
    request = AWSRequest("POST", f"http://{headers['host']}{path}", kept, last_sent["body"])
    request.context["timestamp"] = headers["x-amz-date"]
    signer = SigV4Auth(Credentials(ACCESS, SECRET), "bedrock", REGION)
    text = signer.string_to_sign(request, signer.canonical_request(request))
    return str(signer.signature(text, request))


if __name__ == "__main__":
    serve(chat, stream, invoke, invoke_streamed, signature)
