"""What Redis does in one step for a request: look up, count, remember who asks. In Lua, by Redis' own clock.

    helicone:c:<name>:<slot>   a kept reply            helicone:l:<bucket>   {t: tokens, a: when they were counted}
    helicone:c:<name>:lock     who asks for it now     helicone:ci, :cb      what is kept, by its end; their bytes
    helicone:b:…               alerts_app/budgets.py   helicone:g:<session>  {n: calls, s: spent, r: reserved,
                                                                              t<tool>: times, c<call>: counted}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from alerts_app import ledger_scripts
from gateway_app.redis_pipe import Script

BEFORE: Final = Script("""
local told, words = {}, 0
for word in string.gmatch(ARGV[1], '%S+') do
  words = words + 1
  told[words] = tonumber(word)
end
local base, id, token, slots = KEYS[#KEYS], ARGV[2], ARGV[3], told[1]
local limits, budgets, sessions, is_closed = told[4], told[5], told[6], told[7] == 1
if slots > 0 then
  local names = {}
  for i = 1, slots do names[i] = base .. ':' .. (i - 1) end
  if redis.call('EXISTS', unpack(names)) == slots then
    local slot = told[2] % slots
    local held = redis.call('GET', names[slot + 1])
    if held then return {'hit', slot, held} end
  end
end
if token ~= '' then
  local holder = redis.call('GET', base .. ':lock')
  if holder and holder ~= token then return {'busy'} end
end
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local refused, which = 0, ''
local function refuse(kind, number)
  if refused == 0 then refused, which = number, kind end
end

local tokens, at = {}, 8
for i = 1, limits do
  local quota, window, needs = told[at], told[at + 1], told[at + 2]
  local held = redis.call('HMGET', KEYS[i], 't', 'a')
  local left = quota
  if held[1] then
    left = math.min(quota, tonumber(held[1]) + math.max(0, now - tonumber(held[2])) * quota / window)
  end
  tokens[i] = left
  if left <= 0 or left + 0.000000001 < needs then refuse('limit', i) end
  at = at + 3
end

local spending, current = {}, {}
for i = 1, budgets do
  local key = 1 + limits + (i - 1) * 3
  local most, estimate, is_hard = told[at], told[at + 1], told[at + 2] == 1
  local window, width = told[at + 3], told[at + 4]
  local from, ends
  if window > 0 then
    current[i] = math.floor(now / width) * width
    from = current[i] - window
    ends = current[i] + window + width
  else
    local edge = at + 5
    if now >= told[at + 7] then edge = at + 7 elseif now >= told[at + 6] then edge = at + 6 end
    current[i], ends = told[edge], told[edge + 1]
    from = current[i]
  end
  local spent, reserved = 0, 0
  local fields = redis.call('HGETALL', KEYS[key])
  for n = 1, #fields, 2 do
    local slot = tonumber(fields[n])
    if fields[n] == 'r' then reserved = tonumber(fields[n + 1])
    elseif slot and slot >= from then
      spent = spent + tonumber(fields[n + 1])
      if window > 0 then ends = math.min(ends, slot + window + width) end
    end
  end
  local is_known = redis.call('SISMEMBER', KEYS[key + 2], '*known*')
  if is_hard then
    if is_known == 0 and is_closed then refuse('unknown', i)
    elseif spent + reserved + estimate > most or spent + reserved >= most then refuse('budget', i) end
  end
  spending[i] = string.format('%.0f %.0f %.0f %d', spent, reserved, ends, is_known)
  at = at + 9
end

local caps, tools = {}, 0
if sessions > 0 then
  local key = 1 + limits + budgets * 3
  local held = redis.call('HMGET', KEYS[key], 'n', 's', 'r')
  caps = {tonumber(held[1] or 0), tonumber(held[2] or 0), tonumber(held[3] or 0), 0}
  local calls, cost, estimate, repeats = told[at], told[at + 1], told[at + 2], told[at + 3]
  tools = told[at + 5]
  if calls >= 0 and caps[1] + 1 > calls then refuse('calls', 1) end
  if cost >= 0 and (caps[2] + caps[3] + estimate > cost or caps[2] + caps[3] >= cost) then refuse('cost', 1) end
  for n = 1, tools do
    local made, call = ARGV[2 + budgets + n * 2], ARGV[3 + budgets + n * 2]
    local times = tonumber(redis.call('HGET', KEYS[key], 't' .. made) or 0)
    if redis.call('HEXISTS', KEYS[key], 'c' .. call) == 0 then times = times + 1 end
    caps[4] = math.max(caps[4], times)
    if repeats >= 0 and times > repeats then refuse('repeats', 1) end
  end
  for n = 1, 4 do caps[n] = string.format('%.0f', caps[n]) end
end

if refused == 0 then
  local at = 8
  for i = 1, limits do
    local quota, window, needs = told[at], told[at + 1], told[at + 2]
    local left = tokens[i] - needs
    tokens[i] = left
    if needs > 0 then
      redis.call('HSET', KEYS[i], 't', string.format('%.17g', left), 'a', string.format('%.17g', now))
      redis.call('EXPIRE', KEYS[i], math.ceil((quota - left) * window / quota) + 1)
    end
    at = at + 3
  end
  local moment = string.format('%.0f', now)
  for i = 1, budgets do
    local key = 1 + limits + (i - 1) * 3
    local slot = string.format('%.0f', current[i])
    local estimate = string.format('%.0f', told[at + 1])
    redis.call('HINCRBY', KEYS[key], 'r', estimate)
    redis.call('HSET', KEYS[key + 1], id, estimate .. ' ' .. slot .. ' ' .. moment .. ' ' .. KEYS[key])
    redis.call('SADD', KEYS[key + 2], '=' .. ARGV[3 + i])
    at = at + 9
  end
  if sessions > 0 then
    local key, estimate = 1 + limits + budgets * 3, string.format('%.0f', told[at + 2])
    redis.call('HINCRBY', KEYS[key], 'n', 1)
    redis.call('HINCRBY', KEYS[key], 'r', estimate)
    redis.call('HSET', KEYS[key + 1], id, estimate .. ' s ' .. moment .. ' ' .. KEYS[key])
    for n = 1, tools do
      if redis.call('HSETNX', KEYS[key], 'c' .. ARGV[3 + budgets + n * 2], 1) == 1 then
        redis.call('HINCRBY', KEYS[key], 't' .. ARGV[2 + budgets + n * 2], 1)
      end
    end
    redis.call('EXPIRE', KEYS[key], told[at + 4])
    redis.call('EXPIRE', KEYS[key + 1], told[at + 4])
  end
  if token ~= '' then redis.call('SET', base .. ':lock', token, 'PX', told[3]) end
end
for i = 1, #tokens do tokens[i] = string.format('%.17g', tokens[i]) end
return (refused == 0 and 'pass' or 'refused') .. '|' .. which .. '|' .. refused .. '|' .. table.concat(tokens, ' ')
  .. '|' .. table.concat(spending, ' ') .. '|' .. table.concat(caps, ' ')
""")
"""All or none: a call that passes takes a token of each limit, holds its estimate with each budget and counts for its
session; a hit and a refused call take nothing.

KEYS: a bucket for each limit; what is spent, the holds and the segments of each budget (see alerts_app/budgets.py); a
session's counts and its holds; the reply's name, as the only one that is another in each call.
ARGV, as `before` makes it: numbers in one text, since each argument is work for who sends it; the request; who asks
(empty: never mind); the segment of each budget; what a session's tool calls called, and the own id of each.
  the numbers: slots to look at (0: none), which of them, ms the place is held, how many limits, budgets and sessions
  (0 or 1), 1: a budget whose numbers are not there refuses; then
  of each limit: quota, window, tokens needed
  of each budget: limit, estimate, 1 where it refuses, window and width of a slot (0: by calendar), its periods' edges
  of a session: most calls, cost (-1: any), the estimate, most repeats, seconds it is remembered, tool calls
Answers a list, {hit, slot, reply} or {busy}, else a text that `read` reads: as one it is an eighth of the work."""


def before(
    call: str, *, slots: int = 0, pick: int = 0, token: str = "", ms: int = 0, is_closed: bool = False,
    limits: Sequence[str] = (), budgets: Sequence[tuple[str, str]] = (),
    session: tuple[str, Sequence[str]] | None = None,
) -> list[str]:  # fmt: skip
    """The arguments of BEFORE. Of limits, budgets and the session their numbers as text; of a budget then its segment,
    of the session its tool calls, two texts each."""
    head = f"{slots} {pick} {ms} {len(limits)} {len(budgets)} {int(session is not None)} {int(is_closed)}"
    numbers, texts = [head, *limits], [call, token]
    for told, segment in budgets:
        numbers.append(told)
        texts.append(segment)
    if session is not None:
        numbers.append(session[0])
        texts += session[1]
    return [" ".join(numbers), *texts]


class Said(NamedTuple):
    """What BEFORE says of a call no reply is kept for. Money is as it was before this call."""

    is_refused: bool
    which: str
    """By what: `limit`, `budget`, `unknown`, `calls`, `cost`, `repeats`; empty where it passes."""
    number: int
    """Which of them, from 1."""
    tokens: list[float]
    """Left of each limit."""
    budgets: list[str]
    """Of each: spent, reserved, when it frees and whether that is known (1)."""
    session: list[str]
    """Calls, spent, reserved, repeats."""


def read(reply: bytes) -> Said:
    verdict, which, number, tokens, budgets, session = reply.decode().split("|")
    return Said(
        verdict == "refused", which, int(number), list(map(float, tokens.split())), budgets.split(),
        session.split(),
    )  # fmt: skip


SETTLE: Final = Script(ledger_scripts.SETTLE)

SAVE: Final = Script("""
local base, index, total = KEYS[1], KEYS[2], KEYS[3]
local slots, value, ttl, size, most = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3]), #ARGV[2], tonumber(ARGV[4])
if redis.call('GET', base .. ':lock') == ARGV[5] then redis.call('DEL', base .. ':lock') end
local slot
for i = 0, slots - 1 do
  if redis.call('EXISTS', base .. ':' .. i) == 0 then slot = i break end
end
if not slot or size > most then return -1 end
local now = tonumber(redis.call('TIME')[1])
local function forget(member)
  redis.call('ZREM', index, member)
  return tonumber(string.match(member, '|(%d+)$'))
end
local held = tonumber(redis.call('GET', total) or '0')
for _, member in ipairs(redis.call('ZRANGEBYSCORE', index, '-inf', now, 'LIMIT', 0, 200)) do
  held = held - forget(member)
end
while held + size > most do
  local next = redis.call('ZRANGE', index, 0, 0)[1]
  if not next then held = 0 break end
  redis.call('DEL', string.match(next, '^(.*)|%d+$'))
  held = held - forget(next)
end
local name = base .. ':' .. slot
redis.call('SET', name, value, 'EX', ttl)
if redis.call('ZADD', index, now + ttl, name .. '|' .. size) == 1 then held = held + size end
redis.call('SET', total, string.format('%.0f', math.max(0, held)))
return slot
""")
"""Keeps a reply in its lowest free slot, and drops what ends soonest where there is no room.

KEYS: the reply's name, the index, the sum. ARGV: slots, the reply, seconds, bytes kept in all, who asked."""

RELEASE: Final = Script("""
if redis.call('GET', KEYS[1] .. ':lock') ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then return redis.call('DEL', KEYS[1] .. ':lock') end
return redis.call('PEXPIRE', KEYS[1] .. ':lock', ARGV[2])
""")
"""Gives the place up, or holds it for so many ms more. KEYS: the reply's name. ARGV: who asks, ms (0: give up)."""
