"""What on a row says that it was refused before anybody was called, as a filter of the requests room."""

from __future__ import annotations

from typing import Final

from gateway_app import errors
from llm.exchange import ATTEMPTS_FAILED
from requests_app.filters import EQUAL, UNEQUAL, And, Leaf, Or

CODES: Final = tuple(sorted({
    one.code for one in (
        errors.ProviderKeyMissing, errors.AwsKeysMissing, errors.RegionMissing, errors.BodyTooLarge,
        errors.TargetMissing, errors.TargetInvalid, errors.TargetRefused, errors.ProviderUnknown, errors.NotSupported,
        errors.FallbacksInvalid, errors.RouteUnknown, errors.NoCandidate, errors.CacheTooDeep, errors.RateLimited,
        errors.BudgetExceeded, errors.SessionStopped,
    )
} | {
    "moderation_flagged", "threat_found: user",
    f"{errors.LimitsUnreachable.code}: {errors.LIMITS_AWAY}",
    f"{errors.BudgetsUnreachable.code}: {errors.BUDGETS_AWAY}",
}))  # fmt: skip
"""Problems no row has whose request went on. `screen_failed` is none of them: it stands on calls that were made too."""

REFUSED: Final = And((
    Leaf("failed", EQUAL, True),
    Or(tuple(Leaf("problem", EQUAL, code) for code in CODES)),
    Leaf("problem", UNEQUAL, ATTEMPTS_FAILED),
))  # fmt: skip
