"""What on a row says that it was refused before anybody was called, as a filter of the requests room."""

from __future__ import annotations

from typing import Final

from gateway_app import errors
from llm.exchange import ATTEMPTS_FAILED
from requests_app.filters import EQUAL, UNEQUAL, And, Leaf, Or

CODES: Final = tuple(dict.fromkeys((
    *(one.code for one in (
        errors.RateLimited, errors.BudgetExceeded, errors.SessionStopped, errors.TargetRefused, errors.ProviderUnknown,
        errors.FallbacksInvalid, errors.ProviderKeyMissing, errors.AwsKeysMissing, errors.RegionMissing,
        errors.BodyTooLarge, errors.TargetMissing, errors.TargetInvalid, errors.NotSupported, errors.RouteUnknown,
        errors.NoCandidate, errors.CacheTooDeep,
    )),
    "threat_found: user", "moderation_flagged",
    f"{errors.LimitsUnreachable.code}: {errors.LIMITS_AWAY}",
    f"{errors.BudgetsUnreachable.code}: {errors.BUDGETS_AWAY}",
)))  # fmt: skip
"""Problems no row has whose request went on, the commonest first, as Postgres looks for one after the other.
`screen_failed` is none of them: it stands on calls that were made too."""

REFUSED: Final = And((
    Leaf("failed", EQUAL, True),
    Leaf("has_problems", EQUAL, True),  # as the index of them has it
    Or(tuple(Leaf("problem", EQUAL, code) for code in CODES)),
    Leaf("problem", UNEQUAL, ATTEMPTS_FAILED),
))  # fmt: skip
