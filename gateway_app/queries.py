"""What was tried before answers came: from the attempts and the requests they belong to. Organisation first."""
# ruff: noqa: S608 - what is put together here are clauses of the filters' catalogue; every value is bound

from __future__ import annotations

from collections.abc import Mapping

from lib.frozen import dataclass, replace
from llm.exchange import ATTEMPT, ATTEMPTS_FAILED
from requests_app.filters import EQUAL, Leaf, join
from requests_app.queries import Question, reader, where

TIMEOUT_MS = 3_000


@dataclass(frozen=True, slots=True)
class Tried:
    """Of one provider."""

    failed: int = 0
    """Its calls whose answer was not passed on."""
    saved: int = 0
    """Requests it answered with 2xx after a call for them had failed, there or elsewhere."""


def tried(question: Question) -> Mapping[str, Tried]:
    """By provider. Raises TooSlow."""
    attempts = replace(question, filter=join("and", (question.filter, Leaf("kind", EQUAL, ATTEMPT))))
    failed, values = where(attempts)
    answered, more = where(question)
    with reader(TIMEOUT_MS) as cursor:
        cursor.execute(
            f"SELECT provider, sum(failed), sum(saved) FROM ("
            f"SELECT r.provider, count(*) AS failed, 0 AS saved FROM llm_request r WHERE {failed} "
            f"AND r.kind = '{ATTEMPT}' GROUP BY 1 UNION ALL "
            f"SELECT r.provider, 0, count(*) FROM llm_request r WHERE {answered} AND r.status BETWEEN 200 AND 299 "
            f"AND r.problems <> '{{}}' AND has_problem(r.problems, '{ATTEMPTS_FAILED}') GROUP BY 1) AS told GROUP BY 1",
            [*values, *more],
        )
        return {provider: Tried(int(lost), int(won)) for provider, lost, won in cursor.fetchall()}
