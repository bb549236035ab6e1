"""Limits in cents and budgets are counted here, where a call's cost is first known. Each call counts once, however
often it is run: a limit's is marked, a budget's takes the place of what was held for it.

Redis away: the cost stays uncounted and that is logged; the line does not wait for a limit. Budgets have the cost by
the next look at Postgres (alerts_app/ledger.py), which also lets go of what was held.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import redis

from alerts_app import ledger_scripts
from llm.exchange import Hold, PricedExchange

log = logging.getLogger("ingest.line")

NANO_USD_PER_CENT = 10**7
MOST_CENTS = 1_000_000
PATIENCE_SECONDS = 1.0
AT_ONCE = 200
"""Holds settled in one step of Redis."""
REMEMBERED_SECONDS = 3 * 86_400
"""How long it is known that a call was counted; a batch is tried again within this time."""

SETTLE = """
if not redis.call('SET', KEYS[1], '1', 'NX', 'EX', ARGV[4]) then return 0 end
local quota, window, cents = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local held, left = redis.call('HMGET', KEYS[2], 't', 'a'), quota
if held[1] then
  left = math.min(quota, tonumber(held[1]) + math.max(0, now - tonumber(held[2])) * quota / window)
end
left = left - cents
redis.call('HSET', KEYS[2], 't', string.format('%.17g', left), 'a', string.format('%.17g', now))
redis.call('EXPIRE', KEYS[2], math.ceil((quota - left) * window / quota) + 1)
return 1
"""
"""KEYS: that this call was counted; the bucket, as gateway_app/scripts.py has it. ARGV: quota, window, cents, s."""


class Settler:
    def __init__(self, url: str) -> None:
        self._redis = redis.Redis.from_url(
            url, socket_timeout=PATIENCE_SECONDS, socket_connect_timeout=PATIENCE_SECONDS
        )
        self._script = self._redis.register_script(SETTLE)
        self._held = self._redis.register_script(ledger_scripts.SETTLE)

    def settle(self, batch: Sequence[PricedExchange]) -> None:
        """Takes what the calls cost from the limits they are counted against. Unknown cost counts nothing."""
        owing = [one for one in batch if one.exchange.meters and one.charge.nano_usd]
        held = [(hold, one) for one in batch for hold in one.exchange.holds]
        if not owing and not held:
            return
        try:
            for start in range(0, len(held), AT_ONCE):
                self._settle_held(held[start : start + AT_ONCE])
            for start in range(0, len(owing), AT_ONCE):
                self._settle_owing(owing[start : start + AT_ONCE])
        except redis.RedisError as error:
            log.warning("limits_not_settled calls=%d holds=%d reason=%s", len(owing), len(held), error)

    def _settle_held(self, held: Sequence[tuple[Hold, PricedExchange]]) -> None:
        """A call of unknown cost only lets go."""
        keys = [key for hold, _ in held for key in (hold.spent, hold.holds)]
        costs = [part for _, one in held for part in (str(one.exchange.id), max(0, one.charge.nano_usd or 0))]
        self._held(keys=keys, args=costs)

    def _settle_owing(self, owing: Sequence[PricedExchange]) -> None:
        """In one trip."""
        with self._redis.pipeline(transaction=False) as pipe:
            for priced in owing:
                cents = min(MOST_CENTS, (priced.charge.nano_usd or 0) / NANO_USD_PER_CENT)
                for number, meter in enumerate(priced.exchange.meters):
                    counted = f"helicone:s:{priced.exchange.id}:{number}"
                    asked = [meter.quota, meter.window, cents, REMEMBERED_SECONDS]
                    self._script(keys=[counted, meter.key], args=asked, client=pipe)
            pipe.execute()
