"""What servers do themselves: changes that depend on what is there, each carried out once however often it is sent.

A reply can be lost after the server has done its work, and then the client sends the same bytes again. So each change has
a number, and the server keeps for each client what it has answered to the numbers of the client's last batch. A number that
it knows is answered again and not carried out; one below the last batch is late, from a connection that had been given
up, and is refused. A client has one batch on its way to a server at a time.

    KEYS  1 the key · 2 the record of the client
    ARGV  1 number · 2 first number of the batch · 3 milliseconds for which the record is kept · 4… what the change needs

Decides nothing about where keys are.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha1

KEPT_MS = 3600 * 1000
"""How long a client's record is kept after its last change: longer than a connection takes to deliver what was sent."""

_ONCE = """
local known = redis.call('HMGET', KEYS[2], ARGV[1], 'low')
if known[1] then return known[1] end
local low = tonumber(known[2] or '0')
if tonumber(ARGV[1]) < low then return redis.error_reply('LATE this change was given up') end
-- Of a script only the first write is refused when memory is full, so it is one that takes memory.
redis.call('HSET', KEYS[2], 'low', ARGV[2])
if tonumber(ARGV[2]) > low then
  redis.call('DEL', KEYS[2])
  redis.call('HSET', KEYS[2], 'low', ARGV[2])
end
redis.call('PEXPIRE', KEYS[2], ARGV[3])
local answer
%s
redis.call('HSET', KEYS[2], ARGV[1], answer)
return answer
"""

DO = _ONCE % (
    """
local found = redis.pcall(ARGV[4], KEYS[1], unpack(ARGV, 5))
if ARGV[4] == 'INCRBY' and type(found) == 'table' and found.err and string.find(found.err, 'not an integer') then
  found = redis.pcall('INCRBYFLOAT', KEYS[1], ARGV[5])  -- to a number that is not whole
end
if type(found) == 'table' and found.err then return found end
answer = type(found) == 'table' and 'OK' or tostring(found)
if ARGV[4] == 'INCRBY' then answer = redis.call('GET', KEYS[1]) end  -- a Lua number has 53 bits
"""
)
"""4 a command, such as INCRBY · 5… what follows the key. Answers what the command does."""

SET_IF = _ONCE % (
    """
local found = redis.call('GET', KEYS[1])
answer = '0'
if (ARGV[4] == '1' and found == ARGV[5]) or (ARGV[4] == '0' and not found) then
  if ARGV[6] == '0' then redis.call('DEL', KEYS[1])
  elseif ARGV[8] == '0' then redis.call('SET', KEYS[1], ARGV[7])
  else redis.call('SET', KEYS[1], ARGV[7], 'PX', ARGV[8]) end
  answer = '1'
end
"""
)
"""4 whether there is to be a value · 5 which · 6 whether there shall be one · 7 which · 8 for how many milliseconds; 0 for ever."""


@cache
def digest(script: str) -> str:
    """Return the name that a server gives to a script.

    >>> len(digest(DO))
    40
    """
    return sha1(script.encode(), usedforsecurity=False).hexdigest()
