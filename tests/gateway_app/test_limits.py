"""Whom a limit counts by: what is remembered of it, and what is not."""

from __future__ import annotations

from alerts_app.rules import StoredRule
from alerts_app.segments import Facts, Segment
from gateway_app import limits

RULE = StoredRule(1, 7, "each user", 10.0, 60, "request", Segment("user"))


def test_a_segment_of_any_length_has_a_bucket_and_a_long_one_is_not_remembered():
    before = limits._rule_limit.cache_info().currsize
    long = "u" * (limits.LONGEST_VALUE + 1)
    first, again = (limits.of_rule(RULE, Facts(end_user_id=long)) for _ in range(2))
    assert first == again is not None
    assert limits._rule_limit.cache_info().currsize == before
    assert limits.of_rule(RULE, Facts(end_user_id=long[:-1])) is limits.of_rule(RULE, Facts(end_user_id=long[:-1]))


def test_two_organizations_share_no_bucket():
    other = StoredRule(1, 8, "each user", 10.0, 60, "request", Segment("user"))
    found = [limits.of_rule(rule, Facts(end_user_id="ann")) for rule in (RULE, other)]
    assert len({limit.key for limit in found if limit}) == 2
