"""What Redis does in one step for a request: look up, count, remember who asks. In Lua, by Redis' own clock.

    helicone:c:<name>:<slot>   a kept reply            helicone:l:<bucket>   {t: tokens, a: when they were counted}
    helicone:c:<name>:lock     who asks for it now     helicone:ci, :cb      what is kept, by its end; their bytes
"""

from __future__ import annotations

from typing import Final

from gateway_app.redis_pipe import Script

BEFORE: Final = Script("""
local base, slots, token = KEYS[1], tonumber(ARGV[1]), ARGV[3]
if slots > 0 then
  local names = {}
  for i = 1, slots do names[i] = base .. ':' .. (i - 1) end
  if redis.call('EXISTS', unpack(names)) == slots then
    local slot = tonumber(ARGV[2]) % slots
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
local tokens, refused = {}, 0
for i = 2, #KEYS do
  local at = 5 + (i - 2) * 3
  local quota, window, needs = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local held = redis.call('HMGET', KEYS[i], 't', 'a')
  local left = quota
  if held[1] then
    left = math.min(quota, tonumber(held[1]) + math.max(0, now - tonumber(held[2])) * quota / window)
  end
  tokens[i - 1] = left
  if refused == 0 and (left <= 0 or left + 0.000000001 < needs) then refused = i - 1 end
end
if refused == 0 then
  for i = 2, #KEYS do
    local at = 5 + (i - 2) * 3
    local quota, window, needs = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
    local left = tokens[i - 1] - needs
    tokens[i - 1] = left
    if needs > 0 then
      redis.call('HSET', KEYS[i], 't', string.format('%.17g', left), 'a', string.format('%.17g', now))
      redis.call('EXPIRE', KEYS[i], math.ceil((quota - left) * window / quota) + 1)
    end
  end
  if token ~= '' then redis.call('SET', base .. ':lock', token, 'PX', ARGV[4]) end
end
local told = {refused == 0 and 'pass' or 'refused', refused}
for i = 1, #tokens do told[i + 2] = string.format('%.17g', tokens[i]) end
return told
""")
"""KEYS: the reply's name, then a bucket for each limit. ARGV: slots to look at (0: none), which of them, who asks
(empty: never mind), ms the place is held, then quota, window and tokens needed for each limit. A hit counts against no
limit."""

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
