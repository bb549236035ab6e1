"""Search in documents: embed the question, find passages, answer from them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date

from helicone_site.demo import cast
from helicone_site.demo.provider.reply import Json
from helicone_site.demo.scene import Said, Scene
from helicone_site.demo.stories.search_lines import QUESTIONS, SYSTEM, UNANSWERED, Question

USUAL_QUESTIONS = 16


def scenes(day: date) -> Iterator[Scene]:
    """A day's questions, a few of them asked one after another."""
    dice = random.Random(f"search:{day}")  # noqa: S311 - nothing here is secret
    for number in range(cast.count(day, USUAL_QUESTIONS, dice)):
        analyst = dice.choice(cast.ANALYSTS)
        scene = Scene(
            key=f"search:{day}:{number}", at=cast.moment(day, dice), user=analyst, name="Document search",
            properties={"App": "rag-search", "Environment": "production", "Index": "documents-v3"},
        )  # fmt: skip
        for turn in range(dice.choice((1, 1, 2))):
            _question(scene, turn, dice)
        yield scene


def _question(scene: Scene, turn: int, dice: random.Random) -> None:
    question = dice.choice(QUESTIONS)
    root = f"/question-{turn + 1}"
    scene.embed(f"{root}/embed", question.asked)
    if _search(scene, f"{root}/search", question, dice):
        _answer(scene, f"{root}/answer", question, dice)
    scene.pause(40)


def _search(scene: Scene, path: str, question: Question, dice: random.Random) -> bool:
    """A vector search; one in sixty times out."""
    asked = {
        "_type": "vector_db", "operation": "search", "text": question.asked, "topK": 5, "databaseName": "pgvector",
        "collection": "documents-v3",
    }  # fmt: skip
    if dice.random() < 1 / 60:
        gone = {"_type": "vector_db", "status": "error", "message": "statement timeout after 5,000 ms"}
        scene.event(path, asked, gone, ms=5000, status=500)
        return False
    matches = [
        {"id": document, "score": round(0.91 - 0.07 * place, 2), "text": passage, "metadata": {"document": document}}
        for place, (document, passage) in enumerate(question.passages)
    ]
    scene.event(path, asked, {"_type": "vector_db", "status": "success", "matches": matches}, ms=38)
    return True


def _answer(scene: Scene, path: str, question: Question, dice: random.Random) -> None:
    passages = "\n\n".join(f"[{document}]\n{passage}" for document, passage in question.passages)
    is_known = dice.random() < 0.9
    text = question.answer if is_known else UNANSWERED.format(document=question.passages[0][0])
    asked = f"{passages}\n\nQuestion: {question.asked}"
    scene.ask(path, _request(asked, dice), Said(text, thinking=_THINKING if dice.random() < 0.5 else ""))


_THINKING = "The first passage answers directly. The second limits it, so both belong in the answer, with their names."


def _request(asked: str, dice: random.Random) -> Json:
    """Half of the traffic has moved to the Responses API; a little runs on Mistral for comparison."""
    if dice.random() < 0.5:
        return {"model": "gpt-5-mini", "instructions": SYSTEM, "input": asked, "reasoning": {"effort": "low"}}
    model = dice.choice(("gpt-4.1", "gpt-4.1", "mistral-small-latest"))
    return {"model": model, "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": asked}]}
