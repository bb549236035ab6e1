"""Requests and replies as a company's applications send them, for benchmarks.

Twelve applications, each with its own system prompt (0.2 – 2.5 KB), five of them with tool schemas; every call of an
application repeats both. Calls of one session are turns of one conversation: each request repeats all turns before it
and adds one. The rest are single questions, some with a document to work on. Replies are whole API bodies with ids,
usage and the rest. Through the gateway come headers too. On average 3.5 KB of request (half of them under 3.1, a tenth
over 7) and 1.6 KB of reply.

What people and models say is new in every call: a chain of words over the prose of Python's own manual, with every
third word drawn at random. Alone, 1.5 KB of it compress to 0.58 with zstd -3; real replies of that length to 0.51, the
manual itself to 0.47.
A dictionary of other such text brings it to 0.6 of that, as it does the manual (0.66).
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pydoc_data import topics
from typing import Any

import orjson

APPLICATIONS = 12
SURPRISE = 0.35
"""How often the next word is any word."""


class Prose:
    """Text with the words and the habits of one manual, and no sentence of it."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._words = re.sub(r"[^\w\s.,;:()'-]+", " ", " ".join(topics.topics.values())).split()
        self._after: dict[str, list[str]] = {}
        for word, following in zip(self._words, self._words[1:], strict=False):
            self._after.setdefault(word, []).append(following)

    def text(self, length: int) -> str:
        chance, words, after = self._chance.random, self._words, self._after
        word = words[int(chance() * len(words))]
        said, size = [word], len(word)
        while size < length:
            pool = words if chance() < SURPRISE else after.get(word, words)
            word = pool[int(chance() * len(pool))]
            said.append(word)
            size += len(word) + 1
        return " ".join(said)[:length]

    def about(self, median: float, spread: float = 0.7, most: int = 12_000) -> str:
        """Text of a length people's texts have: lognormal."""
        return self.text(min(most, max(12, int(median * self._chance.lognormvariate(0, spread)))))


@dataclass(frozen=True, slots=True)
class Application:
    name: str
    system: str
    settings: Mapping[str, Any]
    tools: Sequence[Mapping[str, Any]]


@dataclass(slots=True)
class Talk:
    """A conversation as far as it has come."""

    application: Application
    user: str
    turns: list[dict[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Said:
    """One call's bodies, and what of them stands in its row."""

    request: bytes
    response: bytes
    question: str
    answer: str
    response_id: str
    usage: Mapping[str, Any]


class Company:
    """Whose applications call."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.prose = Prose(chance)
        self.applications = [self._application(number) for number in range(APPLICATIONS)]

    def _application(self, number: int) -> Application:
        chance, prose = self._chance, self.prose
        settings = {"temperature": chance.choice((0, 0.2, 0.7)), "max_tokens": chance.choice((512, 1024, 4096))}
        tools = [self._tool(f"{number}_{index}") for index in range(3)] if number % 12 in (1, 4, 6, 9, 11) else []
        return Application(f"application-{number}", prose.about(500, 0.6, 2_500), settings, tools)

    def _tool(self, name: str) -> dict[str, Any]:
        arguments = {
            f"argument_{index}": {"type": "string", "description": self.prose.about(40, 0.3)} for index in range(3)
        }
        schema = {"type": "object", "properties": arguments, "required": list(arguments), "additionalProperties": False}
        about = {"name": f"tool_{name}", "description": self.prose.about(80, 0.3), "parameters": schema, "strict": True}
        return {"type": "function", "function": about}

    def talk(self, user: str) -> Talk:
        return Talk(self.applications[int(len(self.applications) * self._chance.random() ** 1.5)], user)

    def call(self, talk: Talk, *, model: str, made_at: int, tokens: tuple[int, int, int], ok: bool = True) -> Said:
        """The next turn. `tokens` are those of the input, of it from the cache, and of the output."""
        question = self.prose.about(900 if not talk.turns and self._chance.random() < 0.25 else 160)
        talk.turns.append({"role": "user", "content": question})
        asked = {"model": model, "messages": [{"role": "system", "content": talk.application.system}, *talk.turns],
                 **talk.application.settings}  # fmt: skip
        if talk.application.tools:
            asked |= {"tools": talk.application.tools, "tool_choice": "auto"}
        request = orjson.dumps(asked | {"user": talk.user})
        if not ok:
            return Said(request, _FAILED, question, "", "", {})
        answer = self.prose.about(800)
        talk.turns.append({"role": "assistant", "content": answer})
        reply = self._reply(model, made_at, tokens, answer)
        return Said(request, orjson.dumps(reply), question, answer, reply["id"], reply["usage"])

    def _reply(self, model: str, made_at: int, tokens: tuple[int, int, int], answer: str) -> dict[str, Any]:
        given, cached, told = tokens
        message: dict[str, Any] = {"role": "assistant", "content": answer, "refusal": None, "annotations": []}
        return {
            "id": f"chatcmpl-{self._token(29)}", "object": "chat.completion", "created": made_at, "model": model,
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
            "usage": {
                "prompt_tokens": given, "completion_tokens": told, "total_tokens": given + told,
                "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0,
                                              "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0},
            },
            "service_tier": "default", "system_fingerprint": f"fp_{made_at // 604_800:010x}",
        }  # fmt: skip

    def headers(self, *, made_at: int, took_ms: int, size: int) -> tuple[dict[str, str], dict[str, str]]:
        """What the gateway keeps of both sides' headers."""
        asked = {
            "accept": "application/json", "content-type": "application/json", "user-agent": "OpenAI/Python 1.99.1",
            "x-stainless-lang": "python", "x-stainless-package-version": "1.99.1", "x-stainless-os": "Linux",
            "x-stainless-arch": "x64", "x-stainless-runtime": "CPython", "x-stainless-runtime-version": "3.12.4",
            "x-stainless-async": "false", "x-stainless-retry-count": "0", "x-stainless-read-timeout": "600",
            "content-length": str(size), "accept-encoding": "gzip, deflate", "connection": "keep-alive",
        }  # fmt: skip
        chance = self._chance
        told = {
            "date": f"day {made_at // 86_400} {made_at % 86_400}", "content-type": "application/json",
            "openai-processing-ms": str(took_ms), "openai-version": "2020-10-01",
            "x-request-id": f"req_{self._token(32)}",
            "x-ratelimit-limit-requests": "10000", "x-ratelimit-limit-tokens": "2000000",
            "x-ratelimit-remaining-requests": str(9_999 - chance.randrange(50)),
            "x-ratelimit-remaining-tokens": str(2_000_000 - chance.randrange(90_000)),
            "x-ratelimit-reset-requests": f"{chance.randrange(99)}ms", "server": "cloudflare",
            "x-ratelimit-reset-tokens": f"{chance.randrange(99)}ms", "cf-cache-status": "DYNAMIC",
            "strict-transport-security": "max-age=31536000; includeSubDomains; preload",
            "x-content-type-options": "nosniff", "cf-ray": f"{chance.getrandbits(64):016x}-FRA",
            "alt-svc": 'h3=":443"; ma=86400',
        }  # fmt: skip
        return asked, told

    def _token(self, length: int) -> str:
        return "".join(self._chance.choices(_LETTERS, k=length))


_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_FAILED = orjson.dumps({"error": {"message": "Rate limit reached. Please try again later.", "type": "requests",
                                  "param": None, "code": "rate_limit_exceeded"}})  # fmt: skip
