"""Writing a session: its steps in order, each with a time, a length, and a reply in its provider's counting."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import ModuleType
from typing import NamedTuple
from uuid import UUID, uuid5

from helicone_site.demo import cast
from helicone_site.demo.provider import anthropic_messages, imagine, openai_chat, openai_embeddings, openai_responses
from helicone_site.demo.provider.reply import Json, Reply, ToolCall, tokens
from helicone_site.demo.step import Failure, Step

_IDS = UUID("6f1c7f0e-52d4-5d0a-9c1e-0d6a8c1b7e11")

PATHS: dict[ModuleType, str] = {
    openai_chat: "/v1/chat/completions",
    openai_responses: "/v1/responses",
    openai_embeddings: "/v1/embeddings",
    anthropic_messages: "/v1/messages",
}


@dataclass(frozen=True, slots=True)
class Said:
    """What a model answers. Token counts only where the text alone would not tell them."""

    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    thinking: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None


@dataclass(slots=True)
class Scene:
    """One session being written; `at` moves on with every step."""

    key: str
    """Names the session for good; ids and dice come from it."""
    at: datetime
    user: str
    name: str = ""
    """Of the session; a scene without one belongs to none."""
    properties: Mapping[str, str] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)

    @property
    def dice(self) -> random.Random:
        """Dice that fall the same for the same step."""
        return random.Random(f"{self.key}/{len(self.steps)}")  # noqa: S311 - nothing here is secret

    def pause(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds * self.dice.uniform(0.6, 1.6))

    def ask(self, path: str, request: Json, said: Said | Failure) -> None:
        """A model call; `request` is its body, in the dialect of its model's provider."""
        model = cast.MODELS[request["model"]]
        dialect = _dialect(model, request)
        failure = said if isinstance(said, Failure) else None
        reply = _reply(dialect, request, said, self) if isinstance(said, Said) else None
        wait = round(model.first_token_ms * self.dice.lognormvariate(0, 0.35))
        thought = reply.reasoning_tokens if reply else 0
        pace = model.tokens_per_second * self.dice.uniform(0.8, 1.2)
        spoken = reply.output_tokens / pace * 1000 if reply else -wait * 0.7
        is_stream = bool(request.get("stream")) and reply is not None
        self._add(path, wait + round(spoken), Step(
            id=self._id(), at=self.at, duration_ms=wait + round(spoken), provider=model.provider,
            path=PATHS[dialect], request=request, reply=reply, failure=failure,
            time_to_first_token_ms=wait + round(thought / pace * 1000) if is_stream else None,
            meta=self._meta(path),
        ))  # fmt: skip

    def embed(self, path: str, text: str) -> None:
        """An embedding of one text."""
        request = {"model": "text-embedding-3-small", "input": text, "dimensions": 64}
        self.ask(path, request, Said(input_tokens=tokens(text), output_tokens=0))

    def event(self, path: str, request: Json, response: Json, *, ms: int, status: int = 200) -> None:
        """A tool call, a vector search or other data: both sides carry their `_type`."""
        ms = max(1, round(ms * self.dice.lognormvariate(0, 0.4)))
        failure = None if status == 200 else Failure(status, str(response.get("message", "")))
        self._add(path, ms, Step(
            id=self._id(), at=self.at, duration_ms=ms, provider="custom", path="", request=request,
            event=response, failure=failure, meta=self._meta(path),
        ))  # fmt: skip

    def _add(self, path: str, ms: int, step: Step) -> None:
        self.steps.append(step)
        self.at += timedelta(milliseconds=ms + 15)

    def _id(self) -> UUID:
        return uuid5(_IDS, f"{self.key}/{len(self.steps)}")

    def _meta(self, path: str) -> dict[str, str]:
        meta = {"Helicone-User-Id": self.user}
        meta |= {f"Helicone-Property-{name}": value for name, value in self.properties.items()}
        if self.name:
            meta["Helicone-Session-Id"] = str(uuid5(_IDS, self.key))
            meta |= {"Helicone-Session-Name": self.name, "Helicone-Session-Path": path}
        return meta


def _dialect(model: cast.Model, request: Json) -> ModuleType:
    if model.provider == "anthropic":
        return anthropic_messages
    if "embedding" in model.name:
        return openai_embeddings
    return openai_chat if "messages" in request else openai_responses


def _reply(dialect: ModuleType, request: Json, said: Said, scene: Scene) -> Reply:
    model: str = request["model"]
    thought = tokens(said.thinking) * 3 if said.thinking else 0
    counts = _input_counts(dialect, request, said)
    return Reply(
        seed=hashlib.sha256(f"{scene.key}/{len(scene.steps)}".encode()).hexdigest()[:32],
        model=imagine.SNAPSHOTS.get(model) or model,
        texts=(said.text,),
        created=int(scene.at.timestamp()),
        thinking=said.thinking,
        tool_calls=said.calls,
        stop="tools" if said.calls else "end",
        output_tokens=_output_tokens(said, thought),
        reasoning_tokens=thought,
        input_tokens=counts.total,
        cache_read_tokens=counts.read,
        cache_write_tokens=counts.written,
    )


def _output_tokens(said: Said, thought: int) -> int:
    if said.output_tokens is not None:
        return said.output_tokens
    called = sum(tokens(call.name) + tokens(call.arguments_json) + 8 for call in said.calls)
    return max(1, tokens(said.text) + called + thought)


class _InputCounts(NamedTuple):
    total: int
    read: int = 0
    written: int = 0


def _input_counts(dialect: ModuleType, request: Json, said: Said) -> _InputCounts:
    if dialect is openai_embeddings:
        return _InputCounts(said.input_tokens or 0)
    asked = dialect.question(request)
    total = asked.input_tokens if said.input_tokens is None else said.input_tokens
    read = asked.cache_read_tokens if said.cache_read_tokens is None else said.cache_read_tokens
    return _InputCounts(total, read, min(asked.cache_write_tokens, total - read))
