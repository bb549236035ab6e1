"""Figures as people read them, with the exact value on hover: `{{ row.cost_nano_usd|money }}`.

`money` takes nano-USD, `tokens` and `count` a number, `duration` milliseconds; each answers a <span>. None is shown
as "–" with the reason given as argument: `{{ cost|money:"no price is known for this model" }}`. The `…_text` twins
answer plain text, for attributes.
"""

from __future__ import annotations

from decimal import Decimal

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()

UNKNOWN = "–"
NANO = Decimal(10) ** 9
SUFFIXES: tuple[tuple[int, str], ...] = ((10**9, "B"), (10**6, "M"), (10**3, "k"))

Number = int | float | Decimal


def _span(text: str, exact: str) -> SafeString:
    return format_html('<span class="num" title="{}">{}</span>', exact, text)


def _unknown(reason: str) -> SafeString:
    return format_html('<span class="unknown" title="{}">{}</span>', reason or "not known", UNKNOWN)


def _plain(value: Decimal) -> str:
    return f"{value.normalize():f}"


@register.filter
def money_text(nano_usd: Number | None) -> str:
    """$0.000172, $0.0270, $12.40, $1,204: the precision that matters at its size."""
    if nano_usd is None:
        return UNKNOWN
    usd = Decimal(nano_usd) / NANO
    size = abs(usd)
    if size >= 1000:
        text = f"{size:,.0f}"
    elif size >= 1 or not size:
        text = f"{size:,.2f}"
    else:
        text = _three_digits(size)
    return f"{'-' if usd < 0 else ''}${text}"


def _three_digits(size: Decimal) -> str:
    """A number below one to three digits that say something, down to a nano-dollar."""
    return f"{size:.{min(9, 2 - size.adjusted())}f}"


@register.filter
def money(nano_usd: Number | None, reason: str = "") -> SafeString:
    if nano_usd is None:
        return _unknown(reason)
    return _span(money_text(nano_usd), f"{_plain(Decimal(nano_usd) / NANO)} USD")


GUESSED = "an estimate: guessed from the text, counted nowhere"


@register.filter
def guessed_money(nano_usd: Number | None) -> SafeString:
    """~$0.0021"""
    return _unknown("no estimate") if nano_usd is None else _span(f"~{money_text(nano_usd)}", GUESSED)


@register.filter
def guessed_tokens(value: Number | None) -> SafeString:
    """~310"""
    return _unknown("no estimate") if value is None else _span(f"~{tokens_text(value)}", GUESSED)


@register.filter
def tokens_text(value: Number | None) -> str:
    """310, 1.2k, 84k, 1.2M."""
    if value is None:
        return UNKNOWN
    for unit, suffix in SUFFIXES:
        if abs(float(value)) >= unit * 0.9995:
            return _short(float(value) / unit) + suffix
    return f"{value:,.0f}"


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0") if abs(value) < 99.95 else f"{value:.0f}"


@register.filter
def tokens(value: Number | None, reason: str = "") -> SafeString:
    if value is None:
        return _unknown(reason or "the provider did not say")
    return _span(tokens_text(value), f"{value:,} tokens")


@register.filter
def count(value: Number | None, reason: str = "") -> SafeString:
    """12,408 up to a million, then 1.2M."""
    if value is None:
        return _unknown(reason)
    return _span(f"{value:,}" if abs(float(value)) < 10**6 else tokens_text(value), f"{value:,}")


@register.filter
def duration_text(ms: Number | None) -> str:
    """310 ms, 4.1 s, 2 min 5 s, 3 h 10 min."""
    if ms is None:
        return UNKNOWN
    if abs(float(ms)) < 1000:
        return f"{ms:.0f} ms"
    seconds = float(ms) / 1000
    if round(seconds, 1) < 60:
        return f"{seconds:.2f} s" if seconds < 9.995 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


@register.filter
def duration(ms: Number | None, reason: str = "") -> SafeString:
    if ms is None:
        return _unknown(reason or "not measured")
    return _span(duration_text(ms), f"{ms:,.0f} ms")


@register.filter
def percent_text(share: float | None) -> str:
    """A share of one: 1.2 %, 0 %, 100 %; never rounded to nothing."""
    if share is None:
        return UNKNOWN
    value = share * 100
    if 0 < value < 0.05:
        return "< 0.1 %"
    return f"{value:.1f}".removesuffix(".0") + " %"


@register.filter
def bytes_text(size: Number | None) -> str:
    """812 B, 14 KB, 5.2 MB."""
    if size is None:
        return UNKNOWN
    for unit, suffix in ((2**30, "GB"), (2**20, "MB"), (2**10, "KB")):
        if size >= unit:
            return f"{_short(float(size) / unit)} {suffix}"
    return f"{size} B"
