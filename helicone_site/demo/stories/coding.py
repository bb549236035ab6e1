"""The code agent: plan, read, edit, test, until the tests pass. One day a month it does not notice that it loops."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from typing import Any

from helicone_site.demo import cast
from helicone_site.demo.provider.reply import Json, ToolCall
from helicone_site.demo.scene import Said, Scene
from helicone_site.demo.step import Failure
from helicone_site.demo.stories.coding_lines import LOOP, SYSTEM, TASKS, Task

USUAL_RUNS = 5
LOOPS = 64
LOOP_FIRST_TOKENS = 58_000
LOOP_TOKENS_A_TURN = 2_000
"""With Opus at 5 USD a million, sixty-four turns of that cost about forty dollars."""

_ARGUMENTS = {
    "read_file": ("path",),
    "edit_file": ("path", "old", "new"),
    "run_tests": ("selection",),
    "search": ("pattern",),
}
TOOLS: list[Json] = [
    {
        "name": name,
        "description": f"{name.replace('_', ' ').capitalize()} in the repository's working copy.",
        "input_schema": {
            "type": "object",
            "properties": {argument: {"type": "string"} for argument in arguments},
            "required": list(arguments),
        },
    }
    for name, arguments in _ARGUMENTS.items()
]
TOOLS[-1] = {**TOOLS[-1], "cache_control": {"type": "ephemeral"}}


def scenes(day: date) -> Iterator[Scene]:
    """A day's runs, and on its day the one that loops."""
    dice = random.Random(f"coding:{day}")  # noqa: S311 - nothing here is secret
    for number in range(cast.count(day, USUAL_RUNS, dice)):
        yield _run(f"coding:{day}:{number}", cast.moment(day, dice), dice)
    if cast.has_runaway(day):
        yield _runaway(day)


def _scene(key: str, at: datetime, developer: str, task: Task) -> Scene:
    properties = {"App": "code-agent", "Environment": "development", "Repository": "shop", "Branch": task.branch}
    return Scene(key=key, at=at, user=developer, name=task.title, properties=properties)


class _Talk:
    """The agent's conversation: what it has said and seen so far."""

    def __init__(self, scene: Scene, model: str, task: Task) -> None:
        self.scene = scene
        self.model = model
        self.messages: list[Json] = [{"role": "user", "content": f"Task: {task.title}\nBranch: {task.branch}"}]
        self.context = scene.dice.randint(9_000, 26_000)
        """Tokens of the files in the conversation; what is kept of them here is much shorter."""

    def request(self, **options: Any) -> Json:
        system = [{"type": "text", "text": SYSTEM, "cache_control": {"type": "ephemeral"}}]
        return {
            "model": self.model, "max_tokens": 8000, "system": system, "tools": TOOLS,
            "messages": list(self.messages), **options,
        }  # fmt: skip

    def say(self, path: str, text: str, **counts: Any) -> None:
        self.scene.ask(path, self.request(stream=True), Said(text, **(counts or self._counts())))
        self.messages.append({"role": "assistant", "content": text})

    def _counts(self) -> dict[str, int]:
        """A growing conversation, most of it read from the prompt cache."""
        known, self.context = self.context, self.context + self.scene.dice.randint(900, 4200)
        return {"input_tokens": self.context, "cache_read_tokens": known if len(self.messages) > 1 else 0}

    def use(self, path: str, tool: str, arguments: Json, result: str, *, ms: int, **counts: Any) -> None:
        """The model asks for a tool, the tool runs, its result joins the conversation."""
        call = ToolCall(tool, arguments)
        self.scene.ask(path, self.request(stream=True), Said(calls=(call,), **(counts or self._counts())))
        identifier = f"toolu_{self.scene.steps[-1].id.hex[:16]}"
        self.scene.event(
            f"{path}/{tool}",
            {"_type": "tool", "toolName": tool, "input": arguments},
            {"_type": "tool", "toolName": tool, "status": "success", "result": {"output": result}},
            ms=ms,
        )
        used = {"type": "tool_use", "id": identifier, "name": tool, "input": arguments}
        told = {"type": "tool_result", "tool_use_id": identifier, "content": result}
        self.messages += [{"role": "assistant", "content": [used]}, {"role": "user", "content": [told]}]


def _run(key: str, at: datetime, dice: random.Random) -> Scene:
    task = dice.choice(TASKS)
    scene = _scene(key, at, dice.choice(cast.DEVELOPERS), task)
    talk = _Talk(scene, dice.choices(("claude-sonnet-4-5", "claude-haiku-4-5"), weights=(3, 1))[0], task)
    _plan(scene, task, dice)
    talk.use("/explore", "search", {"pattern": task.file}, f"{task.file}:1: {task.before.splitlines()[0]}", ms=140)
    talk.use("/explore", "read_file", {"path": task.file}, task.before, ms=20)
    if dice.random() < 0.12:
        scene.ask("/implement/1", talk.request(), Failure(529, "Overloaded"))
        scene.pause(8)
    for attempt in range(1, dice.choice((2, 2, 3)) + 1):
        _attempt(talk, task, attempt, dice)
    talk.use("/verify", "run_tests", {"selection": "all"}, task.passing, ms=5200)
    talk.say("/summary", task.summary)
    return scene


def _plan(scene: Scene, task: Task, dice: random.Random) -> None:
    """A plan by a reasoning model, before any code is read."""
    plan = f"1. Reproduce: a failing test for '{task.title}'.\n2. Change {task.file} only.\n3. Run everything once."
    thinking = "The title names a symptom. The cause is likely a comparison or a missing join; a test will show which."
    request = {"model": "gpt-5.1", "input": f"Plan this task in three steps: {task.title}", "instructions": SYSTEM}
    if dice.random() < 0.7:
        scene.ask("/plan", request, Said(plan, thinking=thinking))


def _attempt(talk: _Talk, task: Task, attempt: int, dice: random.Random) -> None:
    root = f"/implement/{attempt}"
    edit = {"path": task.file, "old": task.before, "new": task.after}
    talk.use(root, "edit_file", edit, "1 replacement", ms=15)
    talk.use(root, "run_tests", {"selection": "failing"}, task.failing, ms=dice.randint(900, 4000))


def _runaway(day: date) -> Scene:
    """The agent waits longer, tests, waits longer, tests, with an ever longer conversation and no cache."""
    scene = _scene(f"coding:{day}:runaway", datetime.combine(day, time(18, 42, 10), UTC), "oskar", LOOP)
    talk = _Talk(scene, "claude-opus-4-8", LOOP)
    for turn in range(LOOPS):
        length = LOOP_FIRST_TOKENS + turn * LOOP_TOKENS_A_TURN
        edit = {"path": LOOP.file, "new": LOOP.after.format(timeout=2.0 + turn / 2)}
        counts = {"input_tokens": length, "cache_read_tokens": 0}
        if turn % 2:
            talk.use(
                f"/fix/{turn:02}", "run_tests", {"selection": "tests/test_sync.py"}, LOOP.failing, ms=62_000, **counts
            )
        else:
            talk.use(f"/fix/{turn:02}", "edit_file", edit, "1 replacement", ms=15, **counts)
    scene.ask("/fix/end", talk.request(), Failure(400, "Your credit balance is too low to access the API."))
    return scene
