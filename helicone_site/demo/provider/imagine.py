"""Inventing a reply to a question: the same question, the same reply."""

from __future__ import annotations

import hashlib
import json
import random
import time
from dataclasses import dataclass

from helicone_site.demo.provider import prose, samples
from helicone_site.demo.provider.reply import Question, Reply, ToolCall, tokens

SNAPSHOTS = {
    "gpt-4o-mini": "gpt-4o-mini-2024-07-18",
    "gpt-4o": "gpt-4o-2024-08-06",
    "gpt-4.1": "gpt-4.1-2025-04-14",
    "gpt-4.1-mini": "gpt-4.1-mini-2025-04-14",
    "gpt-5": "gpt-5-2025-08-07",
    "gpt-5-mini": "gpt-5-mini-2025-08-07",
    "o3-mini": "o3-mini-2025-01-31",
    "o4-mini": "o4-mini-2025-04-16",
    "claude-haiku-4-5": "claude-haiku-4-5-20251001",
    "claude-sonnet-4-5": "claude-sonnet-4-5-20250929",
    "claude-opus-4-5": "claude-opus-4-5-20251101",
}
"""What a provider calls the model in its reply where it was asked for by its short name."""


def reply(question: Question, body: bytes) -> Reply:
    """An answer to the question, decided by the request's bytes alone (but for its time)."""
    seed = hashlib.sha256(body).hexdigest()[:32]
    dice = random.Random(seed)  # noqa: S311 - nothing here is secret
    spoken = _spoken(question, dice)
    thinking = prose.thoughts(dice) if question.thinks else ""
    reasoning = max(16, tokens(thinking)) if question.thinks else 0
    said = [_cut(text, question.max_tokens, reasoning) for text in spoken.texts]
    is_cut = said != list(spoken.texts)
    return Reply(
        seed=seed,
        model=SNAPSHOTS.get(question.model, question.model),
        texts=tuple(said),
        input_tokens=question.input_tokens,
        output_tokens=_output_tokens(said, spoken.calls, reasoning),
        created=int(time.time()),
        thinking=thinking,
        tool_calls=spoken.calls,
        stop="tools" if spoken.calls else "length" if is_cut else "end",
        reasoning_tokens=reasoning,
        cache_read_tokens=question.cache_read_tokens,
        cache_write_tokens=question.cache_write_tokens,
        cache_write_1h_tokens=question.cache_write_1h_tokens,
    )


@dataclass(frozen=True, slots=True)
class _Spoken:
    texts: tuple[str, ...]
    calls: tuple[ToolCall, ...] = ()


def _spoken(question: Question, dice: random.Random) -> _Spoken:
    if question.tools and (question.forced_tool or not question.answers_tool):
        return _Spoken(("",) * question.choices, _calls(question, dice))
    if question.json_schema is not None:
        return _Spoken(
            tuple(
                json.dumps(samples.sample(question.json_schema, dice), ensure_ascii=False)
                for _ in range(question.choices)
            )
        )
    return _Spoken(tuple(prose.answer(question.text, dice) for _ in range(question.choices)))


def _calls(question: Question, dice: random.Random) -> tuple[ToolCall, ...]:
    """The tool asked for by name, else one or, where allowed, sometimes two of those on offer."""
    named = [tool for tool in question.tools if tool.name == question.forced_tool]
    wanted = 2 if question.may_call_many and len(question.tools) > 1 and dice.random() < 0.25 else 1
    chosen = named[:1] or dice.sample(question.tools, k=wanted)
    return tuple(ToolCall(tool.name, samples.sample(tool.schema, dice)) for tool in chosen)


def _cut(text: str, max_tokens: int | None, reasoning: int) -> str:
    return text if max_tokens is None else text[: max(0, max_tokens - reasoning) * 4]


def _output_tokens(texts: list[str], calls: tuple[ToolCall, ...], reasoning: int) -> int:
    called = sum(tokens(call.name) + tokens(call.arguments_json) + 8 for call in calls)
    return max(1, sum(map(tokens, texts)) + called + reasoning)
