"""The `google-genai` package."""

from __future__ import annotations

from typing import Any

from google import genai
from google.genai import types

from tests.clients.answering import KEY, URL, serve

client = genai.Client(
    api_key="key-of-the-provider",
    http_options=types.HttpOptions(base_url=f"{URL}/gemini", headers={"Helicone-Auth": f"Bearer {KEY}"}),
)


def _config(headers: dict[str, str], **more: Any) -> types.GenerateContentConfig:
    return types.GenerateContentConfig(http_options=types.HttpOptions(headers=headers), **more)


def chat(model: str, text: str, headers: dict[str, str], tool: dict[str, Any] | None = None) -> dict[str, Any]:
    more: dict[str, Any] = {}
    if tool:
        declared = types.FunctionDeclaration(name=tool["name"], parameters_json_schema=tool["parameters"])
        more = {"tools": [types.Tool(function_declarations=[declared])]}
    reply = client.models.generate_content(model=model, contents=text, config=_config(headers, **more))
    called = [call.name for call in reply.function_calls or ()]
    return {"text": None if called else reply.text, "tools": called, **_counted(reply.usage_metadata)}


def stream(model: str, text: str, headers: dict[str, str]) -> dict[str, Any]:
    said, usage = "", None
    for piece in client.models.generate_content_stream(model=model, contents=text, config=_config(headers)):
        said += piece.text or ""
        usage = piece.usage_metadata
    return {"text": said, **_counted(usage)}


def _counted(usage: Any) -> dict[str, int]:
    thoughts = usage.thoughts_token_count or 0
    return {
        "input": usage.prompt_token_count,
        "output": usage.candidates_token_count + thoughts,
        "reasoning": thoughts,
    }


if __name__ == "__main__":
    serve(chat, stream)
