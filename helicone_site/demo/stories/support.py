"""The support chat: a customer, an assistant, a look into the order book."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import date
from typing import Any

from helicone_site.demo import cast
from helicone_site.demo.provider.reply import Json, ToolCall
from helicone_site.demo.scene import Said, Scene
from helicone_site.demo.step import Failure
from helicone_site.demo.stories.support_lines import ISSUES, ITEMS, SYSTEM, Issue

USUAL_CHATS = 24
_TOOL_NAMES = sorted({issue.tool for issue in ISSUES if issue.tool})
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": f"Reads the shop's records: {name.replace('_', ' ')}.",
            "parameters": {"type": "object", "properties": {"order_id": {"type": "string"}}},
        },
    }
    for name in _TOOL_NAMES
]


def scenes(day: date) -> Iterator[Scene]:
    """A day's chats."""
    dice = random.Random(f"support:{day}")  # noqa: S311 - nothing here is secret
    for number in range(cast.count(day, USUAL_CHATS, dice)):
        yield _chat(f"support:{day}:{number}", day, dice)


def _chat(key: str, day: date, dice: random.Random) -> Scene:
    person, issue = dice.choice(cast.CUSTOMERS), dice.choice(ISSUES)
    scene = Scene(
        key=key, at=cast.moment(day, dice), user=person.id, name="Support chat",
        properties={
            "App": "support-bot", "Environment": "production", "Plan": person.plan, "Topic": issue.topic,
            "Release": f"2.{day.isocalendar().week % 10}",
        },
    )  # fmt: skip
    _converse(scene, _Filled(issue, person, dice), dice)
    return scene


class _Filled:
    """An issue with its blanks filled in."""

    def __init__(self, issue: Issue, person: cast.Person, dice: random.Random) -> None:
        self.issue = issue
        self.blanks = {
            "name": person.name.split()[0],
            "order": f"FW-{dice.randint(20000, 99999)}",
            "item": dice.choice(ITEMS),
            "amount": f"{dice.randint(19, 149)}.{dice.choice(('00', '50', '90'))}",
        }

    def text(self, template: str) -> str:
        return template.format(**self.blanks)

    def facts(self, template: dict[str, Any]) -> dict[str, Any]:
        return {name: self.text(value) if isinstance(value, str) else value for name, value in template.items()}


def _converse(scene: Scene, filled: _Filled, dice: random.Random) -> None:
    issue = filled.issue
    model = dice.choices(("gpt-4o-mini", "gpt-4.1-mini", "llama-3.3-70b-versatile"), weights=(6, 3, 1))[0]
    talk: list[Json] = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": filled.text(issue.opening)}]
    if cast.is_outage(scene.at) or dice.random() < 0.02:
        _fail(scene, model, talk)
        return
    if issue.tool:
        _look_up(scene, model, talk, filled)
    _say(scene, model, talk, text=filled.text(issue.answer))
    if dice.random() < 0.65:
        scene.pause(50)
        talk.append({"role": "user", "content": filled.text(issue.follow_up)})
        _say(scene, model, talk, text=filled.text(issue.closing))
    if dice.random() < 0.4:
        _rate(scene, issue, dice)


def _request(model: str, talk: list[Json], *, stream: bool = False, tools: bool = False) -> Json:
    request: Json = {"model": model, "messages": list(talk), "temperature": 0.3}
    if tools:
        request["tools"] = TOOLS
    if stream:
        request |= {"stream": True, "stream_options": {"include_usage": True}}
    return request


def _look_up(scene: Scene, model: str, talk: list[Json], filled: _Filled) -> None:
    call = ToolCall(filled.issue.tool, filled.facts(filled.issue.arguments))
    scene.ask("/chat/decide", _request(model, talk, tools=True), Said(calls=(call,)))
    result = filled.facts(filled.issue.result)
    scene.event(
        f"/chat/{call.name}",
        {"_type": "tool", "toolName": call.name, "input": dict(call.arguments)},
        {"_type": "tool", "toolName": call.name, "status": "success", "result": result},
        ms=90,
    )
    identifier = f"call_{scene.steps[-1].id.hex[:12]}"
    function = {"name": call.name, "arguments": call.arguments_json}
    talk.append({"role": "assistant", "content": None, "tool_calls": [
        {"id": identifier, "type": "function", "function": function},
    ]})  # fmt: skip
    talk.append({"role": "tool", "tool_call_id": identifier, "content": json.dumps(result)})


def _say(scene: Scene, model: str, talk: list[Json], *, text: str) -> None:
    scene.ask("/chat/answer", _request(model, talk, stream=True), Said(text))
    talk.append({"role": "assistant", "content": text})


_FAILURES = (
    Failure(500, "The server had an error while processing your request. Sorry about that!"),
    Failure(429, "Rate limit reached for requests per minute. Please try again in 2s."),
    Failure(503, "The engine is currently overloaded, please try again later."),
)


def _fail(scene: Scene, model: str, talk: list[Json]) -> None:
    """The provider is down; the bot tries three times, then hands over to a person."""
    for _ in range(3):
        scene.ask("/chat/answer", _request(model, talk, stream=True), scene.dice.choice(_FAILURES))
        scene.pause(2)
    scene.event(
        "/chat/hand_over",
        {"_type": "tool", "toolName": "hand_over", "input": {"reason": "model unavailable"}},
        {"_type": "tool", "toolName": "hand_over", "status": "success", "result": {"queue": "people"}},
        ms=60,
    )


def _rate(scene: Scene, issue: Issue, dice: random.Random) -> None:
    scene.pause(20)
    stars = dice.choice((2, 4, 4, 5, 5))
    scene.event(
        "/chat/rating",
        {"_type": "data", "name": "customer_rating", "topic": issue.topic},
        {
            "_type": "data",
            "name": "customer_rating",
            "status": "success",
            "data": {"stars": stars},
        },
        ms=12,
    )
