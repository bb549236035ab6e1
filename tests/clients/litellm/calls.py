"""`litellm` as a package, its calls sent through the gateway."""

from __future__ import annotations

import os
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # its price map is the one it ships: no network

import litellm

from tests.clients.answering import KEY, URL, serve

BASES = {
    "openai": f"{URL}/v1/gateway/oai/v1",
    "anthropic": f"{URL}/v1/gateway/anthropic",
    "gemini": f"{URL}/gemini",
    "cohere_chat": f"{URL}/cohere/v2/chat",
    "mistral": f"{URL}/mistral/v1",
    "groq": f"{URL}/groq/openai/v1",
    "ollama_chat": f"{URL}/ollama",
}


def _options(model: str, text: str, headers: dict[str, str]) -> dict[str, Any]:
    return {
        "model": model,
        "messages": [{"role": "user", "content": text}],
        "api_base": BASES[model.partition("/")[0]],
        "api_key": "sk-of-the-provider",
        "extra_headers": {"Helicone-Auth": f"Bearer {KEY}", **headers},
        "num_retries": 0,
    }


def chat(model: str, text: str, headers: dict[str, str], tool: dict[str, Any] | None = None) -> dict[str, Any]:
    tools = {"tools": [{"type": "function", "function": tool}]} if tool else {}
    reply = litellm.completion(**_options(model, text, headers), **tools)
    message = reply.choices[0].message
    return {
        "text": message.content,
        "tools": [call.function.name for call in message.tool_calls or ()],
        **_counted(reply.usage),
    }


def stream(model: str, text: str, headers: dict[str, str]) -> dict[str, Any]:
    said, usage = "", None
    options = {**_options(model, text, headers), "stream": True, "stream_options": {"include_usage": True}}
    for chunk in litellm.completion(**options):
        said += (chunk.choices[0].delta.content or "") if chunk.choices else ""
        usage = getattr(chunk, "usage", None) or usage
    return {"text": said, **_counted(usage)}


def _counted(usage: Any) -> dict[str, int]:
    return {"input": usage.prompt_tokens, "output": usage.completion_tokens}


if __name__ == "__main__":
    serve(chat, stream)
