"""What `edge` knows of rules, budgets and prices. No Django."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from accounts_app.snapshot import Part, Rows
from alerts_app.budgets import Budget, Period
from alerts_app.rules import NO_CAPS, SessionCaps, StoredRule
from alerts_app.segments import Segment
from lib.frozen import dataclass
from llm.pricing import PriceBook, PriceRow

T = TypeVar("T")
NO_PRICES: Final = PriceBook(())


def _segment(row: Mapping[str, Any]) -> Segment:
    return Segment(row["by"], row["property_name"], row["value"])


def rule_of(row: Mapping[str, Any]) -> StoredRule:
    return StoredRule(
        row["id"], row["organization_id"], row["name"], row["quota"], row["window_seconds"], row["unit"], _segment(row)
    )


def budget_of(row: Mapping[str, Any]) -> Budget:
    return Budget(
        row["id"], row["edition"], row["organization_id"], row["name"], row["limit_nano_usd"],
        Period(row["span"], row["hours"], row["time_zone"]), _segment(row), tuple(sorted(row["warn_percents"])),
        row["is_hard"],
    )  # fmt: skip


def _by_organization(read: Callable[[Mapping[str, Any]], T]) -> Callable[[Rows], dict[int, tuple[T, ...]]]:
    def gathered(rows: Rows) -> dict[int, tuple[T, ...]]:
        found: defaultdict[int, list[T]] = defaultdict(list)
        for row in rows:
            found[row["organization_id"]].append(read(row))
        return {organization_id: tuple(ones) for organization_id, ones in found.items()}

    return gathered


def _caps(rows: Rows) -> dict[int, SessionCaps]:
    return {
        row["organization_id"]: SessionCaps(
            row["max_cost_nano_usd"], row["max_calls"], row["max_depth"], row["max_repeats"]
        )
        for row in rows
    }


def _book(rows: Rows) -> PriceBook:
    return PriceBook(map(_price, rows))


def _price(row: Mapping[str, Any]) -> PriceRow:
    prices = {unit: row[unit] for unit in ("input_mtok", "output_mtok") if row[unit] is not None}
    return PriceRow(
        row["id"], row["provider"], row["model_key"], row["match"], prices, row["organization_id"],
        priority=row["priority"], source=row["source"],
    )  # fmt: skip


RULES: Final = Part(
    "rate_limit_rules",
    "SELECT id, organization_id, name, quota, window_seconds, unit, by, property_name, value FROM rate_limit_rule"
    " ORDER BY id",
    _by_organization(rule_of),
)
BUDGETS: Final = Part(
    "budgets",
    "SELECT id, edition, organization_id, name, limit_nano_usd, span, hours, time_zone, warn_percents, is_hard, by,"
    " property_name, value FROM budget ORDER BY id",
    _by_organization(budget_of),
)
SESSION_CAPS: Final = Part(
    "session_caps",
    "SELECT organization_id, max_cost_nano_usd, max_calls, max_depth, max_repeats FROM session_guard",
    _caps,
)
PRICES: Final = Part(
    "token_prices",
    "SELECT id, provider, model_key, match, organization_id, priority, split_part(source, ' ', 1) AS source,"
    " prices -> 'input_mtok' AS input_mtok, prices -> 'output_mtok' AS output_mtok FROM model_price"
    " WHERE is_current AND (prices ? 'input_mtok' OR prices ? 'output_mtok')"
    " AND (starts_at IS NULL OR starts_at <= now()) AND (ends_at IS NULL OR ends_at > now()) ORDER BY id",
    _book,
)
PARTS: Final = (RULES, BUDGETS, SESSION_CAPS, PRICES)


@dataclass(frozen=True, slots=True)
class Stored:
    """What one organization has set."""

    rules: tuple[StoredRule, ...] = ()
    budgets: tuple[Budget, ...] = ()
    caps: SessionCaps = NO_CAPS
    prices: PriceBook = NO_PRICES


def stored(parts: Mapping[str, Any], organization_id: int) -> Stored:
    return Stored(
        parts.get(RULES.name, {}).get(organization_id, ()), parts.get(BUDGETS.name, {}).get(organization_id, ()),
        parts.get(SESSION_CAPS.name, {}).get(organization_id, NO_CAPS), parts.get(PRICES.name, NO_PRICES),
    )  # fmt: skip


