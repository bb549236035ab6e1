"""W3C's traceparent: read where it is valid, and a call told by two witnesses counts once."""

from __future__ import annotations

from uuid import UUID

import pytest

from ingest_app import traceparent, traces
from ingest_app.traces import Step
from tests.ingest_app.postings import log, logged

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TOLD = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize("value", [TOLD, f" {TOLD} ", TOLD.replace("00-0af", "cc-0af") + "-what-is-new"])
def test_the_parent_is_read(value):
    assert traceparent.read(value) == (TRACE, SPAN)


@pytest.mark.parametrize("value", [
    None, "", "00", TOLD.upper(), TOLD + "-more", TOLD.replace("00-0af", "ff-0af"), f"00-{'0' * 32}-{SPAN}-01",
    f"00-{TRACE}-{'0' * 16}-01", f"{TOLD}, {TOLD}", f"00-{TRACE[:-1]}-{SPAN}-01", f"00-{TRACE}-{SPAN}-zz",
])  # fmt: skip
def test_an_invalid_one_is_ignored(value):
    assert traceparent.read(value) is None


def test_a_logged_call_hangs_in_the_trace_its_meta_tells_or_its_posting_was_made_in():
    other = TOLD.replace("b7ad", "c8be")
    by_meta = logged(log(request__meta={"traceparent": TOLD}), traceparent=other)
    by_header = logged(log(), traceparent=other)
    assert (by_meta.trace_id, by_meta.parent_span_id) == (TRACE, SPAN)
    assert (by_header.trace_id, by_header.parent_span_id) == (TRACE, SPAN.replace("b7ad", "c8be"))
    assert by_meta.span_id == traceparent.span_id(by_meta.id)
    untold = logged(log())
    assert (untold.trace_id, untold.span_id, untold.parent_span_id) == (None, None, None)


def test_a_step_s_id_is_never_zero():
    assert traceparent.span_id(UUID("018f0000-0000-7000-8000-000000000000")).strip("0") != ""


def test_of_an_sdk_s_span_and_the_call_the_gateway_saw_the_gateway_s_counts():
    sdk, between = Step("a", None, "llm"), Step("b", "a", "span")
    seen = Step("g", "b", "llm", "gateway")
    assert traces.counts([seen, between, sdk]) == {"a": False, "g": True}


def test_nor_does_the_span_count_where_the_step_between_was_never_exported():
    sdk, other = Step("a", None, "llm", "otlp", "resp-1"), Step("c", None, "llm", "otlp", "resp-2")
    seen = Step("g", "gone", "llm", "gateway", "resp-1")
    assert traces.counts([sdk, other, seen]) == {"a": False, "c": True, "g": True}


def test_spans_that_share_a_reply_s_id_all_count_where_no_call_was_seen():
    """Some servers count their ids from one."""
    steps = [Step("a", None, "llm", "otlp", "chatcmpl-1"), Step("b", None, "llm", "otlp", "chatcmpl-1")]
    assert traces.counts(steps) == {"a": True, "b": True}
    nameless = [Step("a", None, "llm", "otlp", None), Step("g", "b", "llm", "gateway", None)]
    assert traces.counts(nameless) == {"a": True, "g": True}
