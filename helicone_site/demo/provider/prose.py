"""Words for invented replies: a few sentences on what people ask machines about."""

from __future__ import annotations

import random

TOPICS: dict[str, tuple[str, ...]] = {
    "refund return order parcel delivery shipped": (
        "I found the order and can see it left the warehouse two days ago.",
        "A refund goes back to the card it was paid with and usually shows within five working days.",
        "You do not need the original box; any sturdy one will do.",
        "If the parcel has not moved by Thursday, write to me here and I will send a replacement.",
        "I have added a note to the order so that nobody asks you for the photos again.",
    ),
    "password login account email sign": (
        "The reset link works once and for thirty minutes, so please use the newest mail.",
        "Nothing else on the account changes when you set a new password.",
        "For safety I cannot see or read out the old one.",
        "If the mail does not arrive, it is most often the spam folder or a typing slip in the address.",
    ),
    "function code bug test exception refactor file python": (
        "The loop reads one element past the end when the list is empty.",
        "I would split the parser from the writer first; the tests then need no file system.",
        "The lock is taken twice on the error path, which is why it only hangs now and then.",
        "A regression test that fails before the change and passes after it is included.",
        "The function now returns early, and the two callers that relied on None were adjusted.",
    ),
    "contract policy clause document section report": (
        "Section 4.2 sets the notice period to ninety days, counted from receipt in writing.",
        "The report names two exceptions, both limited to shipments inside the union.",
        "The passages do not mention insurance, so I cannot say who carries that cost.",
        "Both documents agree on the dates but not on the amounts.",
    ),
    "sentiment classify label category ticket": (
        "The message is a complaint about billing, with high urgency.",
        "The tone is neutral and the subject is shipping.",
        "Two labels fit; the first describes the cause, so it is the better one.",
    ),
}
ANYTHING = (
    "Here is the short answer, followed by the reason for it.",
    "It depends on how often the value changes: rarely means store it, often means compute it.",
    "Start with the smallest case that shows the effect and add one thing at a time.",
    "The numbers match the ones in the table above to the second decimal.",
    "There are three ways to do this, and the plainest of them is good enough here.",
    "I checked the assumption first, because everything after it stands or falls with it.",
    "If you tell me the size of the input, I can be more exact.",
    "The second option costs a little more now and saves a migration later.",
)
THOUGHTS = (
    "First I should be sure what is being asked.",
    "The obvious reading is also the likely one, but the last sentence narrows it.",
    "Let me weigh the two options against each other.",
    "A counterexample would be an empty input; that case needs a word.",
    "So the answer follows, and a short reason is enough.",
)
WORDS = (
    "amber",
    "birch",
    "cobalt",
    "delta",
    "ember",
    "fjord",
    "grove",
    "harbor",
    "indigo",
    "juniper",
    "kelp",
    "linden",
)


def answer(question: str, dice: random.Random) -> str:
    """One to four sentences that fit the question's words."""
    bank = _bank(question.lower())
    return " ".join(dice.sample(bank, k=min(len(bank), dice.randint(1, 4))))


def thoughts(dice: random.Random) -> str:
    return " ".join(THOUGHTS[: dice.randint(2, len(THOUGHTS))])


def _bank(question: str) -> tuple[str, ...]:
    scores = {words: sum(word in question for word in words.split()) for words in TOPICS}
    best = max(scores, key=lambda words: scores[words])
    return TOPICS[best] if scores[best] else ANYTHING
