"""What Redis does with the numbers of budgets beside the gateway's step (gateway_app/scripts.py). In Lua, no Django.

Where the numbers lie: alerts_app/budgets.py. A hold is `<estimate> <slot> <seconds since 1970> <key of what is spent>`.
"""

from __future__ import annotations

from typing import Final

SETTLE: Final = """
local done = 0
for i = 1, #KEYS, 2 do
  local id, cost = ARGV[i], ARGV[i + 1]
  local held = redis.call('HGET', KEYS[i + 1], id)
  if held then
    local estimate, slot = string.match(held, '^(%d+) (%S+) ')
    redis.call('HDEL', KEYS[i + 1], id)
    if estimate ~= '0' then redis.call('HINCRBY', KEYS[i], 'r', '-' .. estimate) end
    if cost ~= '0' then redis.call('HINCRBY', KEYS[i], slot, cost) end
    done = done + 1
  end
end
return done
"""
"""Puts what calls cost in the place of what was held for them; a call without a hold has been settled before.

KEYS: what is spent and the holds, of each. ARGV: the request and its cost, of each. Answers how many were settled."""

SWEEP: Final = """
local now, longest = tonumber(redis.call('TIME')[1]), tonumber(ARGV[1])
local stored = {}
for i = 2, #ARGV do stored[ARGV[i]] = true end
local fields, released, old = redis.call('HGETALL', KEYS[1]), 0, {}
for i = 1, #fields, 2 do
  local estimate, moment, key = string.match(fields[i + 1], '^(%d+) %S+ (%d+) (.*)$')
  local age = now - tonumber(moment)
  if stored[fields[i]] or age > longest then
    redis.call('HDEL', KEYS[1], fields[i])
    if estimate ~= '0' then redis.call('HINCRBY', key, 'r', '-' .. estimate) end
    released = released + 1
  elseif age >= 30 then
    old[#old + 1] = fields[i]
  end
end
return {released, old}
"""
"""Lets go of holds whose request is stored, or that are older than any call. KEYS: a budget's holds. ARGV: the longest
seconds, ids of requests that are stored. Answers how many it let go, and ids of those half a minute old."""

ADJUST: Final = """
local from, known = tonumber(ARGV[1]), {}
for i = 2, #ARGV - 1, 2 do known[ARGV[i]] = tonumber(ARGV[i + 1]) end
local fields, reserved, drift, slots = redis.call('HGETALL', KEYS[1]), 0, 0, {}
local before = {}
for i = 1, #fields, 2 do
  local name, value = fields[i], fields[i + 1]
  if name == 'r' then reserved = tonumber(value)
  elseif string.sub(name, 1, 2) == 'd:' then
    if tonumber(string.sub(name, 3)) < from then redis.call('HDEL', KEYS[1], name)
    else before[string.sub(name, 3)] = tonumber(value) end
  elseif tonumber(name) then
    if tonumber(name) < from then redis.call('HDEL', KEYS[1], name) else slots[name] = tonumber(value) end
  end
end
for slot, _ in pairs(known) do slots[slot] = slots[slot] or 0 end
local is_empty = reserved == 0
for slot, value in pairs(slots) do
  local beyond = value - (known[slot] or 0)
  local change = beyond
  if beyond > 0 then change = math.max(0, math.min(beyond, before[slot] or 0)) end
  if change ~= 0 then redis.call('HINCRBY', KEYS[1], slot, string.format('%.0f', -change)) end
  local rest = beyond - change
  if rest ~= 0 then redis.call('HSET', KEYS[1], 'd:' .. slot, string.format('%.0f', rest))
  else redis.call('HDEL', KEYS[1], 'd:' .. slot) end
  drift = drift + beyond
  if value ~= 0 or known[slot] then is_empty = false end
end
local member = '=' .. ARGV[#ARGV]
if is_empty then redis.call('DEL', KEYS[1]) redis.call('SREM', KEYS[2], member)
else redis.call('SADD', KEYS[2], member) end
return {string.format('%.0f', reserved), string.format('%.0f', drift)}
"""
"""Brings what Redis says is spent to what Postgres says. Postgres was asked before, and knows a call only after Redis
has settled it: what it has beyond is missing here and added at once; what Redis has beyond may still be on its way,
so only as much of it is taken off as was beyond at the last look too.

KEYS: what is spent, the budget's segments. ARGV: the oldest slot that counts, slots and their nano-USD by Postgres, the
segment. Answers what is reserved, and how much Redis had beyond Postgres."""
