"""Limits in cents are counted here, where a call's cost is first known. Each call counts once, however often it is run.

Redis away: the cost stays uncounted and that is logged; the line does not wait for a limit.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import redis

from llm.exchange import PricedExchange

log = logging.getLogger("ingest.line")

NANO_USD_PER_CENT = 10**7
MOST_CENTS = 1_000_000
PATIENCE_SECONDS = 1.0
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

    def settle(self, batch: Sequence[PricedExchange]) -> None:
        """Takes what the calls cost from the limits they are counted against. Unknown cost counts nothing."""
        owing = [one for one in batch if one.exchange.meters and one.charge.nano_usd]
        if not owing:
            return
        try:
            for priced in owing:
                self._settle_one(priced)
        except redis.RedisError as error:
            log.warning("limits_not_settled calls=%d reason=%s", len(owing), error)

    def _settle_one(self, priced: PricedExchange) -> None:
        cents = min(MOST_CENTS, (priced.charge.nano_usd or 0) / NANO_USD_PER_CENT)
        for number, meter in enumerate(priced.exchange.meters):
            counted = f"helicone:s:{priced.exchange.id}:{number}"
            self._script(keys=[counted, meter.key], args=[meter.quota, meter.window, cents, REMEMBERED_SECONDS])
