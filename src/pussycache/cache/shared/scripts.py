"""What the server does in one step, in Lua; all of it may be repeated.

A generation is a token (``T``, 16 random bytes, the rules it knows) or, while writers are at work,
a list of them (``W``, then a writer and its deadline each, or its time where it is alone). When
these are run is said in flow.py and fences.py.
"""

from __future__ import annotations

from typing import Final

from pussycache.cache.wire.scripts import Script

__all__ = ["CREATE", "END", "EXCHANGE", "LIFT", "MARK", "RELEASE", "RENEW", "START", "STORE"]


# The common case, no writer but this one, is to take as few commands and lines as may be: a command
# of a script costs as much as the lines around it. So a generation is replaced, or taken away, at
# once, and put right if others are at work. A writer who is alone has no deadline in the list, but
# for how long it is there at most: until then the key lasts.
_OTHERS: Final = """
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local listed, latest = {}, 0
  for writer, lasts, deadline in string.gmatch(generation, '(%x+)=(~?)(%d+);') do
    deadline = tonumber(deadline)
    if lasts == '~' then deadline = now + deadline end
    if writer ~= ARGV[1] and deadline > now then
      listed[#listed + 1] = writer .. '=' .. string.format('%.0f', deadline) .. ';'
      latest = math.max(latest, deadline)
    end
  end
"""

# A method's token says which rules its readers look at. One that does not know this writer's rule
# may have readers who do not, either: for them, everything is forgotten.
_KNOWN: Final = """
local token = redis.call('GET', KEYS[2])
if token and string.sub(token, 1, 1) == 'T' then
  if not has(string.sub(token, 18), ARGV[2]) then redis.call('DEL', KEYS[2]) end
end
"""

# Rules in a row, and whether one is among them.
_RULES: Final = """
local function has(rules, rule)
  return string.find(';' .. rules .. ';', ';' .. rule .. ';', 1, true)
end
local function with(rules, rule)
  if rules == '' then return rule end
  return has(rules, rule) and rules or rules .. ';' .. rule
end
"""

# A token may be made, or made anew, while a writer is at work whose rule its maker does not know.
# If that writer is then killed, nobody would delete the token: so the rule is left for its maker.
_LEFT: Final = """
local rules = with(redis.call('GET', KEYS[3]) or '', ARGV[2])
redis.call('SET', KEYS[3], rules, 'PX', math.max(redis.call('PTTL', KEYS[3]), tonumber(ARGV[3])))
"""

START: Final = Script(
    """
local mine = 'W' .. ARGV[1] .. '=~' .. ARGV[3] .. ';'
local generation = redis.call('SET', KEYS[1], mine, 'PX', ARGV[3], 'GET')
if generation and string.sub(generation, 1, 1) == 'W' then
"""
    + _OTHERS
    + """
  if #listed > 0 then
    local deadline = now + tonumber(ARGV[3])
    listed[#listed + 1] = ARGV[1] .. '=' .. string.format('%.0f', deadline) .. ';'
    local lasts = math.max(latest, deadline) - now
    redis.call('SET', KEYS[1], 'W' .. table.concat(listed), 'PX', lasts)
  end
end
if ARGV[2] ~= '' then
"""
    + _RULES
    + _LEFT
    + _KNOWN
    + """
end
return 1
"""
)
"""Begin a write, or renew it: the generation becomes a list of writers, that expires with the last
deadline. KEYS: the generation, the method's generation; with a rule, the rules of the writers at
work. ARGV: writer, rule, milliseconds."""

CREATE: Final = Script(
    _RULES
    + """
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
local rules = ARGV[2]
for rule in string.gmatch(redis.call('GET', KEYS[2]) or '', '[^;]+') do
  rules = with(rules, rule)
end
if ARGV[3] == '' then redis.call('SET', KEYS[1], ARGV[1] .. rules)
else redis.call('SET', KEYS[1], ARGV[1] .. rules, 'PX', ARGV[3]) end
return 1
"""
)
"""Make a method's generation, unless there is one: a token that knows the rules of all writers at
work. KEYS: the method's generation, the rules of the writers at work. ARGV: the token, the rules
that it is to know in any case, milliseconds or nothing."""

END: Final = Script(
    """
local generation = redis.call('GETDEL', KEYS[1])
if generation and string.sub(generation, 1, 1) == 'W'
    and string.match(generation, '^W(%x+)=~?%d+;$') ~= ARGV[1] then
"""
    + _OTHERS
    + """
  if #listed > 0 then
    redis.call('SET', KEYS[1], 'W' .. table.concat(listed), 'PX', latest - now)
  end
end
if ARGV[3] ~= '' then redis.call('SET', KEYS[3], ARGV[3], 'PX', ARGV[4]) end
if ARGV[2] ~= '' then
"""
    + _RULES
    + _KNOWN
    + """
end
return 1
"""
)
"""End a write: its writer leaves the list, and a token is deleted. Others stay in a list, also in
one without it.
KEYS: the generation, the method's generation, where it is told who wrote. ARGV: writer, rule, who
wrote, for how many milliseconds that is kept."""

_MINE: Final = """
local lease = redis.call('GET', KEYS[1])
local waited = lease ~= ARGV[1]
if waited and lease ~= ARGV[1] .. 'w' then return 0 end
"""

_LET_GO: Final = """
redis.call('DEL', KEYS[1])
if waited then redis.call('PUBLISH', ARGV[2], KEYS[1]) end
return 1
"""

STORE: Final = Script(
    _MINE
    + """
if ARGV[4] == '' then redis.call('SET', KEYS[2], ARGV[3])
else redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4]) end
"""
    + _LET_GO,
)
"""Store what a load brought, if its lease was not taken away, and wake those who wait. KEYS: lease,
entry. ARGV: lease, channel, entry, milliseconds or nothing."""

RELEASE: Final = Script(_MINE + _LET_GO)
"""Let go of a lease, and wake those who wait. KEYS: lease. ARGV: lease, channel."""

RENEW: Final = Script(_MINE + "return redis.call('PEXPIRE', KEYS[1], ARGV[2])")
"""Keep a lease for longer. KEYS: lease. ARGV: lease, milliseconds."""

MARK: Final = Script(
    """
local lease = redis.call('GET', KEYS[1])
if lease == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[1] .. 'w', 'KEEPTTL')
elseif lease ~= ARGV[1] .. 'w' then
  return 0
end
return redis.call('PTTL', KEYS[1])
""",
)
"""Note that somebody waits for a lease; returns for how many milliseconds it is good, 0 if it is
not held any more. KEYS: lease. ARGV: lease."""

LIFT: Final = Script(
    """
local generation = redis.call('GET', KEYS[1])
if generation and string.sub(generation, 1, 1) == 'T' then return redis.call('DEL', KEYS[1]) end
return 0
"""
)
"""Make a generation another, unless writers are at work. KEYS: the generation."""

EXCHANGE: Final = Script(
    """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
return 1
"""
)
"""Store a value if there is still the old one, for as long as that was kept. KEYS: the key. ARGV:
the old value, the new one."""
