"""OpenAI moderations: a text with a word of violence in it is flagged."""

from __future__ import annotations

from helicone_site.demo.provider.reply import Json

VIOLENT = ("kill", "hurt", "attack him")


def reply_body(body: Json) -> Json:
    text = str(body.get("input", "")).lower()
    is_violent = any(word in text for word in VIOLENT)
    score = 0.97 if is_violent else 0.001
    return {
        "id": "modr-fake", "model": "omni-moderation-latest",
        "results": [{
            "flagged": is_violent, "categories": {"violence": is_violent, "hate": False},
            "category_scores": {"violence": score, "hate": 0.001},
        }],
    }  # fmt: skip
