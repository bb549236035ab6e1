"""The closed list of what the gateway can name in a capture, beside `ingest_app/problems.py` and `llm/problems.py`."""

from __future__ import annotations

from typing import Final

CODES: Final = {
    "upstream_unreachable": "The provider could not be connected to; the client got 502.",
    "upstream_broken": "The provider's answer was no HTTP, or ended before it was whole.",
    "upstream_timeout": "Nothing moved for UPSTREAM_TIMEOUT_SECONDS, so the call was ended.",
    "target_refused": "The target is an address inside the network that GATEWAY_PRIVATE_TARGETS does not allow.",
    "rate_limited": "A rate limit was used up; the client got 429, and the provider was not called.",
    "budget_exceeded": "The call might cost more than is left of a budget; the client got 429, nobody was called.",
    "session_stopped": "The session had come to a bound; the client got 429, and the provider was not called.",
    "budget_without_price": "No price is known for the model, so no budget held anything for this call.",
    "budgets_unreachable": "Redis did not answer, so budgets could not be looked at.",
    "budgets_not_known_yet": "Redis was emptied and not yet told what is spent, so budgets were not held to.",
    "session_bounds_without_session": "Bounds of a session were sent without Helicone-Session-Id; they did not count.",
    "limit_without_segment": "The rate limit is by a user or property this request does not name; it did not count.",
    "limits_unreachable": "Redis did not answer, so the rate limit could not be looked at.",
    "cache_unreachable": "Redis did not answer, so the cache was not looked at.",
    "cache_bucket_too_large": "More answers of one request were asked for than the cache keeps; the client got 400.",
    "attempts_failed": "Calls failed before the answer that was passed on: so many, and Attempts shows them.",
    "fell_back": "It ended with another target than the one it was to go to.",
    "target_skipped": "A target or model that was asked for was passed over, for the reason told.",
    "not_replayable": "The body is too long to be kept and sent again, so there was one attempt.",
    "all_attempts_failed": "Every target that was asked for failed; the client got what the provider said of it.",
    "token_limit_unknown": "How much the model takes is not known, so the prompt was not looked at.",
    "prompt_shortened": "The prompt was longer than its model takes and was shortened, as the detail says.",
    "threat_found": "A security screen found a threat: in what was sent (user) or in the reply (assistant), and why.",
    "moderation_flagged": "The moderation flagged the prompt; the client got 400, and the provider was not called.",
    "screen_failed": "A screen could not look at the request or its reply.",
    "screen_missing": "A screen that was asked for is not set up.",
    "capture_incomplete": "The spool could not keep a part of a body as it passed.",
}
