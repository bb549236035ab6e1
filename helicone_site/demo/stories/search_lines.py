"""What the shop's people ask of its documents, and the passages that answer them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Question:
    asked: str
    passages: tuple[tuple[str, str], ...]
    """Document and passage, the nearest first."""
    answer: str


QUESTIONS = (
    Question(
        "How long is our notice period with the Kassel warehouse?",
        (
            (
                "warehouse-lease.pdf",
                "9.1 Either party may end this agreement at six months' notice to a quarter's end.",
            ),
            ("warehouse-lease-annex.pdf", "Annex C: notice is to be given in writing; e-mail does not suffice."),
        ),
        "Six months to the end of a quarter, in writing; e-mail is not enough [warehouse-lease.pdf 9.1, annex C].",
    ),
    Question(
        "Which carriers are insured above 500 EUR per parcel?",
        (
            ("carriers-2026.xlsx", "NordPost: insured to 750 EUR. Relay: 500 EUR. Kite Express: 2,500 EUR on request."),
            (
                "claims-guide.md",
                "Above the carrier's limit, our own policy pays up to 10,000 EUR per shipment.",
            ),
        ),
        "NordPost (750 EUR) and, on request, Kite Express (2,500 EUR). Above that our own policy pays up to 10,000 EUR "
        "per shipment [carriers-2026.xlsx, claims-guide.md].",
    ),
    Question(
        "Do we have to take back opened sleeping bags?",
        (
            ("returns-policy.md", "Textiles worn next to the skin may be refused once the hygiene seal is broken."),
            ("legal-notes.md", "Sleeping bags are sold without a seal; the exception does not apply to them."),
        ),
        "Yes. The hygiene exception needs a seal, and our sleeping bags have none [returns-policy.md, legal-notes.md].",
    ),
    Question(
        "What was the return rate of rain jackets last spring?",
        (
            ("returns-q2.csv", "rain jackets; sold 4,118; returned 371; main reason: size"),
            ("season-review.md", "Spring returns fell after the size guide was rewritten in April."),
        ),
        "9.0 % (371 of 4,118), mostly for size; it fell after April's new size guide [returns-q2.csv, season-review].",
    ),
    Question(
        "Who may approve a refund above 150 EUR?",
        (
            ("refund-rules.md", "Refunds above 150 EUR: team lead. Above 1,000 EUR: head of finance."),
            ("support-handbook.md", "The assistant may promise refunds up to 150 EUR on its own."),
        ),
        "A team lead; above 1,000 EUR the head of finance [refund-rules.md].",
    ),
    Question(
        "What is the failure rate of the Ember lantern's battery?",
        (
            ("quality-ember.md", "Of 2,300 units, 41 came back with a battery that would not charge (batch 7 only)."),
            ("supplier-mails.txt", "Batch 7 used cells of another maker; replaced free of charge."),
        ),
        "41 of 2,300 (1.8 %), all from batch 7, whose cells the supplier replaced [quality-ember, supplier-mails].",
    ),
    Question(
        "Can staff carry over holidays into next year?",
        (("staff-handbook.pdf", "Up to five days may be carried over and are to be taken by the end of March."),),
        "Up to five days, to be taken by the end of March [staff-handbook.pdf].",
    ),
    Question(
        "Which of our suppliers have not signed the new code of conduct?",
        (
            ("suppliers.xlsx", "Code of conduct 2026: signed 31 of 34. Open: Halden Textil, Orio, Westcoast Zippers."),
            ("compliance-minutes.md", "Orders to suppliers without signature stop from January."),
        ),
        "Halden Textil, Orio and Westcoast Zippers; orders to them stop from January [suppliers.xlsx, minutes].",
    ),
)
UNANSWERED = "The passages do not say. The nearest document is {document}; its owner may know."
SYSTEM = (
    "Answer from the passages only and name the documents in square brackets. If they do not answer the question, say "
    "so. Numbers are copied, not rounded."
)
