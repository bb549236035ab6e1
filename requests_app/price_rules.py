"""Prices members and operators set themselves: rules with a name, each of one or more dated rows.

A row is never changed in what it says: requests keep the id of the row they were charged at. Changing a rule from a
day on ends its row there and begins another; the rows it replaces stay with `is_current` false as its history.

    BadRule    what was asked for cannot be; `field` says where
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from django.db import connection, transaction
from django.db.models import Q, QuerySet

from accounts_app import audit
from accounts_app.models import User
from lib.clock import now
from llm.pricing import BadPrice, PriceBook, PriceRow, compiled, matcher
from llm.units import UNITS
from requests_app import prices
from requests_app.models import ModelPrice

OPERATOR: Final = "operator"
MATCHES: Final[Mapping[str, str]] = {
    "equals": "is", "starts_with": "starts with", "ends_with": "ends with", "contains": "contains",
    "regex": "matches the regular expression",
}
LONGEST_NAME, LONGEST_PATTERN, MOST_RULES = 200, 500, 2_000
_LOCK: Final = 7706
LARGEST_USD = Decimal(10) ** 9
COMMON: Final = ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok")
"""Units nearly every price list has; forms show the others only when asked."""
_EXTRAS: Final = frozenset({"hours", "variants"})


class BadRule(ValueError):
    """The message is a sentence for whoever asked."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as it is asked for. `organization_id` None: for everybody on this server."""

    organization_id: int | None
    name: str
    provider: str
    """A provider's slug; empty: whatever the provider."""
    match: Mapping[str, Any]
    prices: Mapping[str, Any] = field(default_factory=dict)
    """USD by unit, numbers as text; see llm/pricing.py and llm/units.py."""
    starts_at: datetime | None = None
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Author:
    """Who asks, and for which organisation it is written down."""

    organization_id: int
    user: User | None


# --- checking ---------------------------------------------------------------------------------------------------------


def checked(rule: Rule) -> Rule:
    """The rule, cleaned. Raises BadRule."""
    name, provider = rule.name.replace("\x00", "").strip(), rule.provider.replace("\x00", "").strip().lower()
    if not name or len(name) > LONGEST_NAME:
        raise BadRule("name", f"A price needs a name of at most {LONGEST_NAME} characters.")
    if len(provider) > LONGEST_NAME:
        raise BadRule("provider", f"A provider's name has at most {LONGEST_NAME} characters.")
    if rule.starts_at and rule.ends_at and rule.starts_at >= rule.ends_at:
        raise BadRule("ends_at", "The price ends before it starts.")
    return Rule(
        rule.organization_id, name, provider, _match(rule.match), _prices(rule.prices), rule.starts_at, rule.ends_at
    )


def _match(match: Mapping[str, Any]) -> dict[str, Any]:
    if "\x00" in str(match) or len(str(match)) > 4 * LONGEST_PATTERN:
        raise BadRule("match", f"A pattern has at most {LONGEST_PATTERN} characters.")
    if any(isinstance(value, str) and not value.strip() for value in match.values()):
        raise BadRule("match", "Say which models this price is for.")
    _refuse_slow(match)
    try:
        matcher(match)("a model")
    except BadPrice as error:
        raise BadRule("match", f"{str(error)[:1].upper()}{str(error)[1:]}.") from error
    except (TypeError, AttributeError, RecursionError) as error:
        raise BadRule("match", f"A pattern is one of {', '.join(MATCHES)}, or, and.") from error
    return dict(match)


_IN_CLASS: Final = re.compile(r"\\.|\[\^?\]?[^]]*\]")
_QUANTIFIER: Final = re.compile(r"(\)?)(\*|\+|(?<!\()\?|\{\d*,?\d*\})[?+]?")
_EXTENSION: Final = re.compile(r"\(\?(?!:|=|!|<=|<!|i\))")
"""Of the signs after `(?` few are taken: with the flag `x`, for one, a sign may stand apart from its group."""
_MOST_ENDLESS, _MOST_QUANTIFIERS = 2, 8


def _refuse_slow(match: Any) -> None:
    """Every line tries every pattern: one that takes for ever on some name would stop all organisations."""
    for key, value in match.items() if isinstance(match, Mapping) else ():
        if key in ("or", "and") and isinstance(value, list):
            for each in value:
                _refuse_slow(each)
        elif key == "regex" and isinstance(value, str) and _is_slow(value):
            most = f"at most {_MOST_ENDLESS} of * and +, {_MOST_QUANTIFIERS} of such signs in all"
            never = "after a group none but ?, and of what begins with (? only (?:, (?i), (?=, (?!, (?<= and (?<!"
            raise BadRule("match", f"This regular expression may take too long: use {most}, {never}.")


def _is_slow(pattern: str) -> bool:
    bare = _IN_CLASS.sub("x", pattern)
    found = _QUANTIFIER.findall(bare)
    endless = [sign for _, sign in found if sign in "*+" or sign.startswith("{")]
    repeated = any(group and sign != "?" for group, sign in found)
    is_long = len(endless) > _MOST_ENDLESS or len(found) > _MOST_QUANTIFIERS
    return repeated or is_long or _EXTENSION.search(bare) is not None


def _prices(told: Mapping[str, Any]) -> dict[str, Any]:
    if not any(key in UNITS for key in told):
        raise BadRule("prices", "Say at least one price; 0 is one too.")
    for each in (told, *_nested(told)):
        if strange := sorted(str(key) for key in each if key not in UNITS and key not in _EXTRAS):
            raise BadRule("prices", f"There is no unit {', '.join(strange)}. There are: {', '.join(UNITS)}.")
    try:
        compiled(told)
    except (BadPrice, AttributeError, RecursionError) as error:
        raise BadRule("prices", f"{str(error)[:1].upper()}{str(error)[1:]}.") from error
    if any(amount > LARGEST_USD for amount in _amounts(told)):
        raise BadRule("prices", f"A price of more than {LARGEST_USD:,} USD is a slip of the pen.")
    return dict(told)


def _nested(told: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Price maps inside the hours and variants of one."""
    lists = [items for key in _EXTRAS if isinstance(items := told.get(key), list)]
    found = [item.get("prices") for items in lists for item in items if isinstance(item, Mapping)]
    return [one for one in found if isinstance(one, Mapping)]


def _amounts(told: Mapping[str, Any]) -> list[Decimal]:
    found: list[Decimal] = []
    for key, value in told.items():
        if key in _EXTRAS:
            continue
        several = [value["base"], *(tier["price"] for tier in value.get("tiers", ()))] if isinstance(value, Mapping) \
            else [value]
        found += [Decimal(str(one)) for one in several]
    return found + [amount for inner in _nested(told) for amount in _amounts(inner)]


def specificity(match: Mapping[str, Any]) -> int:
    """Order among rules that match: the most exact pattern first, of two alike the longer."""
    ((kind, value),) = match.items()
    place = (*MATCHES, "and", "or").index(kind)
    return place * 1_000 - (min(len(value), 999) if isinstance(value, str) else 0)


# --- reading ----------------------------------------------------------------------------------------------------------


def current(organization_id: int) -> QuerySet[ModelPrice]:
    """The organisation's own rows, and everybody's set by operators."""
    return ModelPrice.objects.filter(_seen(organization_id), is_current=True).order_by(
        "organization_id", "model_key", "starts_at", "id"
    )


def _seen(organization_id: int) -> Q:
    return Q(organization_id=organization_id) | Q(organization_id=None, source=OPERATOR)


def one(organization_id: int, price_id: int) -> ModelPrice | None:
    """A current row the organisation sees."""
    return current(organization_id).filter(pk=price_id).first()


def history(row: ModelPrice) -> list[ModelPrice]:
    """All rows of a row's rule, the newest first."""
    return list(_of_rule(row.organization_id, row.model_key).order_by("-created_at", "-id"))


def _of_rule(organization_id: int | None, name: str) -> QuerySet[ModelPrice]:
    return ModelPrice.objects.filter(organization_id=organization_id, model_key=name, source=OPERATOR)


# --- writing ----------------------------------------------------------------------------------------------------------


@transaction.atomic
def add(by: Author, rule: Rule) -> ModelPrice:
    """Raises BadRule."""
    rule = checked(rule)
    _lock()
    if _of_rule(rule.organization_id, rule.name).filter(is_current=True).exists():
        raise BadRule("name", f"There is a price named {rule.name} already: change that one, or choose another name.")
    made = _insert(rule)
    _told(by, "price added", made)
    return made


@transaction.atomic
def change(by: Author, row: ModelPrice, rule: Rule) -> ModelPrice:
    """A new row in place of another; where it starts later than that one, the old price holds until then.

    Raises BadRule.
    """
    rule = checked(rule)
    _lock()
    if not ModelPrice.objects.filter(pk=row.pk, is_current=True).exists():
        raise BadRule("name", "Somebody has changed this price meanwhile: look at it again.")
    others = _of_rule(rule.organization_id, rule.name).filter(is_current=True)
    if rule.name != row.model_key and others.exists():
        raise BadRule("name", f"There is a price named {rule.name} already.")
    ModelPrice.objects.filter(pk=row.pk).update(is_current=False)
    if rule.starts_at and (row.starts_at is None or row.starts_at < rule.starts_at):
        end = min(filter(None, (rule.starts_at, row.ends_at)))
        _insert(Rule(row.organization_id, rule.name, row.provider, row.match, row.prices, row.starts_at, end))
    made = _insert(rule)
    _told(by, "price changed", made)
    return made


@transaction.atomic
def remove(by: Author, row: ModelPrice) -> None:
    """Its requests keep what they cost, until they are priced again."""
    _lock()
    if ModelPrice.objects.filter(pk=row.pk, is_current=True).update(is_current=False):
        _told(by, "price removed", row)


def _lock() -> None:
    """Two people who set prices do it one after the other."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


def _insert(rule: Rule) -> ModelPrice:
    return ModelPrice.objects.create(
        organization_id=rule.organization_id, provider=rule.provider, model_key=rule.name, match=dict(rule.match),
        prices=dict(rule.prices), starts_at=rule.starts_at, ends_at=rule.ends_at, priority=specificity(rule.match),
        source=OPERATOR,
    )  # fmt: skip


def _told(by: Author, action: str, row: ModelPrice) -> None:
    detail = {"name": row.model_key, "provider": row.provider or "any", "model": match_words(row.match),
              "prices": price_words(row.prices)}
    if row.organization_id is None:
        detail["for"] = "everybody"
    if row.starts_at:
        detail["since"] = row.starts_at.isoformat(timespec="minutes")
    audit.record(by.organization_id, by.user, action, **detail)


def match_words(match: Mapping[str, Any]) -> str:
    """`starts with gpt-4o`, `is a or is b`."""
    ((kind, value),) = match.items()
    if kind in ("or", "and"):
        return f" {kind} ".join(match_words(each) for each in value)
    return f"{MATCHES[kind]} {value}"


def price_words(told: Mapping[str, Any]) -> str:
    """`Input 2.5, Output 10 (tiers)`."""
    parts = []
    for key, value in told.items():
        if key in UNITS:
            is_tiered = isinstance(value, Mapping)
            parts.append(f"{UNITS[key].label} {value['base'] if is_tiered else value}{' (tiers)' if is_tiered else ''}")
    return ", ".join(parts) + (" and more" if any(key in told for key in _EXTRAS) else "")


# --- which price would it get -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Finding:
    """The row a model would be charged at, and those it was chosen before."""

    row: PriceRow | None
    beaten: Sequence[PriceRow]


def find(organization_id: int, provider: str, model: str, *, at: datetime | None = None) -> Finding:
    """By the table as it is now."""
    book = prices.load_book(connection)
    rows = book.candidates(provider, model, organization_id=organization_id)
    active = [row for row in rows if row.is_active(at or now())]
    return Finding(active[0] if active else None, active[1:])


def spans(book: PriceBook, provider: str, model: str, *, organization_id: int) -> list[PriceRow]:
    """The rows that are a model's price at any time, the oldest first: those of the rule or list that decides now."""
    rows = book.candidates(provider, model, organization_id=organization_id)
    deciding = next((row for row in rows if row.is_active(now())), None)
    if deciding is None:
        return []
    same = [row for row in rows if (row.model_key, row.provider, row.organization_id) == (
        deciding.model_key, deciding.provider, deciding.organization_id)]
    return sorted(same, key=lambda row: row.starts_at or datetime.min.replace(tzinfo=UTC))


@transaction.atomic
def alias(by: Author, *, provider: str, model: str, like_provider: str, like: str) -> int:
    """Gives a model the prices another has today and had before; answers how many rows that took. Raises BadRule."""
    found = spans(prices.load_book(connection), like_provider, like, organization_id=by.organization_id)
    if not found:
        raise BadRule("like", f"No price is known for {like or 'that model'} at {like_provider or 'any provider'}.")
    name = f"{model} as {like}"[:LONGEST_NAME]
    _lock()
    if _of_rule(by.organization_id, name).filter(is_current=True).exists():
        raise BadRule("like", f"{model} has the price of {like} already.")
    for row in found:
        _insert(checked(Rule(
            by.organization_id, name, provider, {"equals": model}, row.prices, row.starts_at, row.ends_at
        )))  # fmt: skip
    audit.record(by.organization_id, by.user, "price added", name=name, provider=provider or "any", rows=len(found))
    return len(found)
