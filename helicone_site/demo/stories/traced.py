"""Two applications that tell themselves by OpenTelemetry: a returns desk run by an agent, and a nightly catalogue run.

The desk's conversations are sessions; the catalogue's runs belong to none.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import orjson

from helicone_site.demo import cast, tracing
from helicone_site.demo.provider.reply import tokens
from helicone_site.demo.tracing import Failed, Span, Trace

USUAL_RETURNS = 7
PAGES_A_NIGHT = 5
_POLICY = (
    ("returns-policy#2", 0.89, "Unworn goods may come back within 60 days of delivery, with or without the box."),
    ("returns-policy#5", 0.81, "Goods worn outdoors are exchanged only where they were faulty on arrival."),
    ("warranty#1", 0.64, "Zips, seams and frames carry a warranty of three years from the day of delivery."),
)
_CASES = (
    ("The zip of my Fjord 40 pack broke on its second trip.", "pack-fjord-40", 129.0, "It is a fault under warranty"),
    ("The boots are half a size too small, never worn.", "boots-karst-41", 189.0, "Unworn and within 60 days"),
    ("I ordered the tent twice by mistake.", "tent-lumen-2", 349.0, "A second order, still unopened"),
    ("The rain jacket lets water in at the shoulders.", "jacket-squall-m", 219.0, "It is a fault under warranty"),
)
_PAGES = ("packs", "boots", "tents", "jackets", "stoves", "maps", "lamps")


def traces(day: date) -> Iterator[Trace]:
    """Every trace that began on a day (UTC)."""
    dice = random.Random(f"traced:{day}")  # noqa: S311 - nothing here is secret
    for number in range(cast.count(day, USUAL_RETURNS, dice)):
        yield _return(f"returns:{day}:{number}", cast.moment(day, dice), dice)
    yield _catalogue(day, dice)


def days(until: datetime, length: int) -> Iterator[Trace]:
    """The days before `until` and what has passed of its own, oldest first."""
    for back in range(length, -1, -1):
        yield from (one for one in traces(until.date() - timedelta(days=back)) if one.at < until)


# --- the returns desk -------------------------------------------------------------------------------------------------


def _return(key: str, at: datetime, dice: random.Random) -> Trace:
    said, sku, price, why = dice.choice(_CASES)
    trace = Trace(key, at, "returns-desk", "opentelemetry.instrumentation.genai")
    session = {"session.id": f"return-{tracing.trace_id(key)[:10]}", "user.id": dice.choice(cast.CUSTOMERS).id,
               "session.name": "Returns"}
    root = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "returns-desk", **session}
    try:
        with trace.step("invoke_agent returns-desk", root) as agent:
            agent.tell(gen_ai__input__messages=_said("user", said))
            asked = [*_said("system", _SYSTEM), *_said("user", said)]
            with trace.step("plan", {"openinference.span.kind": "CHAIN"}):
                trace.busy(20)
                _chat(trace, asked, _called("find_order", {"sku": sku}))
            _tool(trace, "find_order", {"sku": sku}, {"sku": sku, "paid_eur": price, "delivered_days_ago": 19}, ms=140)
            _policy(trace, said)
            verdict = f"{why}, so I will refund {price:.2f} EUR to your card within three days."
            _chat(trace, [*asked, *_said("assistant", "(order and policy read)")], _called("refund", {"eur": price}))
            _refund(trace, sku, price, is_down=dice.random() < 0.12)
            _chat(trace, asked, _text(verdict))
            agent.tell(gen_ai__output__messages=_said("assistant", verdict), **_reported(trace))
    except Failed:
        pass
    return trace


_SYSTEM = "You run the returns desk of Fernweh Outfitters. Read the order and the policy before you decide anything."


def _policy(trace: Trace, asked: str) -> None:
    """A search with its embedding inside."""
    found: dict[str, Any] = {"openinference.span.kind": "RETRIEVER", "input.value": asked}
    for place, (name, score, text) in enumerate(_POLICY):
        document = f"retrieval.documents.{place}.document"
        found |= {f"{document}.id": name, f"{document}.score": score, f"{document}.content": text}
    with trace.step("search policy", found):
        model = "text-embedding-3-small"
        asked_for = {
            "gen_ai.operation.name": "embeddings", "gen_ai.provider.name": "openai", "gen_ai.request.model": model,
            "gen_ai.response.model": model, "gen_ai.usage.input_tokens": tokens(asked),
        }  # fmt: skip
        with trace.step(f"embeddings {model}", asked_for):
            trace.busy(110)
        with trace.step("SELECT passages", {"db.system.name": "postgresql", "db.operation.name": "SELECT"}):
            trace.busy(24)


def _refund(trace: Trace, sku: str, price: float, *, is_down: bool) -> None:
    asked = {"openinference.span.kind": "GUARDRAIL", "input.value": f"refund {price} EUR"}
    with trace.step("check limits", asked) as it:
        trace.busy(9)
        it.tell(output__value="allowed: under 400 EUR")
    if is_down:
        _tool(trace, "refund", {"sku": sku, "eur": price}, None, ms=5000)
    _tool(trace, "refund", {"sku": sku, "eur": price}, {"state": "booked", "eur": price}, ms=420)


def _reported(trace: Trace) -> dict[str, Any]:
    """What an agent sums up of its children: a fact to show, not to count."""
    sums = {"gen_ai__usage__input_tokens": 0, "gen_ai__usage__output_tokens": 0}
    for span in trace.spans:
        for name in sums:
            sums[name] += span.attributes.get(name.replace("__", "."), 0)
    return sums


# --- the catalogue ----------------------------------------------------------------------------------------------------


def _catalogue(day: date, dice: random.Random) -> Trace:
    key = f"catalogue:{day}"
    at = datetime.combine(day, time(2, dice.randrange(10, 50)), UTC)
    before = f"catalogue:{day - timedelta(days=1)}"
    links = [(tracing.trace_id(before), tracing.root_id(before))]
    trace = Trace(key, at, "catalogue", "opentelemetry.instrumentation.genai")
    limited = dice.randrange(PAGES_A_NIGHT * 2)
    with trace.step("catalogue.describe", {"traceloop.span.kind": "workflow"}, links=links) as run:
        run.tell(traceloop__entity__name="catalogue.describe", tag__tags=["nightly"])
        trace.busy(60)
        with trace.side_by_side() as ends:
            for place, page in enumerate(dice.sample(_PAGES, PAGES_A_NIGHT)):
                _page(trace, page, is_limited=place == limited)
                trace.restart(ends)
        with trace.step("judge wording", {"openinference.span.kind": "EVALUATOR"}):
            _chat(trace, _said("user", "Score these five texts from 1 to 5 for clarity."), _text("4, 5, 4, 4, 5"))
    return trace


def _page(trace: Trace, page: str, *, is_limited: bool) -> None:
    with trace.step(f"describe {page}", {"openinference.span.kind": "CHAIN", "input.value": page}) as one:
        _tool(trace, "read_stock", {"category": page}, {"category": page, "articles": 12 + len(page)}, ms=70)
        asked = _said("user", f"Write two sentences for the category page of {page}. Name no prices.")
        if is_limited:
            try:
                _chat(trace, asked, Failed("429", "Rate limit reached for gpt-4.1 on tokens per minute"))
            except Failed:
                trace.busy(2100)
        text = f"Our {page} are made for long ways and bad weather. Each is mended by us for as long as it is yours."
        _chat(trace, asked, _text(text))
        one.tell(output__value=text)


# --- steps ------------------------------------------------------------------------------------------------------------


def _chat(trace: Trace, asked: list[dict[str, Any]], said: dict[str, Any] | Failed) -> Span:
    model = cast.MODELS["gpt-4.1" if trace.service == "catalogue" else "gpt-4.1-mini"]
    facts = {
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": model.name,
        "gen_ai.input.messages": asked, "gen_ai.request.temperature": 0.2,
    }  # fmt: skip
    with trace.step(f"chat {model.name}", _as_text(facts)) as span:
        if isinstance(said, Failed):
            trace.busy(180)
            raise said
        written = tokens(orjson.dumps(said["parts"]).decode())
        trace.busy(model.first_token_ms + written / model.tokens_per_second * 1000)
        span.tell(
            gen_ai__response__model=model.name, gen_ai__output__messages=orjson.dumps([said]).decode(),
            gen_ai__usage__input_tokens=trace.dice.randrange(500, 2600) + tokens(orjson.dumps(asked).decode()),
            gen_ai__usage__output_tokens=written, gen_ai__response__finish_reasons=[said["finish_reason"]],
        )  # fmt: skip
    return span


def _tool(trace: Trace, name: str, arguments: dict[str, Any], result: dict[str, Any] | None, *, ms: int) -> None:
    """Raises Failed where there is no result."""
    facts = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name, "gen_ai.tool.call.arguments": arguments}
    with trace.step(f"execute_tool {name}", _as_text(facts)) as span:
        trace.busy(ms)
        if result is None:
            raise Failed("TimeoutError", "the payment service did not answer within 5,000 ms")
        span.tell(gen_ai__tool__call__result=orjson.dumps(result).decode())


def _said(role: str, text: str) -> list[dict[str, Any]]:
    return [{"role": role, "parts": [{"type": "text", "content": text}]}]


def _text(text: str) -> dict[str, Any]:
    return {"role": "assistant", "parts": [{"type": "text", "content": text}], "finish_reason": "stop"}


def _called(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    call = {"type": "tool_call", "id": f"call_{name}", "name": name, "arguments": arguments}
    return {"role": "assistant", "parts": [call], "finish_reason": "tool_call"}


def _as_text(facts: dict[str, Any]) -> dict[str, Any]:
    """Lists and objects as JSON text, as SDKs write them."""
    return {name: orjson.dumps(value).decode() if isinstance(value, list | dict) else value
            for name, value in facts.items()}  # fmt: skip
