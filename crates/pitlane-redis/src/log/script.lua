-- One touch of the invalidation log. KEYS: the stream, the hash, the tail. ARGV[1] is the
-- operation. INCARNATION is put in before the text is sent, so that a server that doesn't know
-- this very text answers NOSCRIPT: it is not the process that this life of the log belongs to.
local I = 'INCARNATION'
local op = ARGV[1]
if op == 't' then
  return redis.call('GET', KEYS[3])
end

local LOG, LAST, TAIL = KEYS[1], KEYS[2], KEYS[3]
local inc, id, nonce
local newest = redis.pcall('XREVRANGE', LOG, '+', '-', 'COUNT', 1)
if not newest.err and newest[1] then
  id = newest[1][1]
  inc = newest[1][2][2]
  nonce = newest[1][2][4]
end
local kept = redis.pcall('HGET', LAST, 'i')
if type(kept) ~= 'string' then
  kept = nil
end
local whole = inc ~= nil and kept ~= nil and inc == kept

if op == 'r' then
  -- Begins this incarnation in place of ARGV[2] (or of whatever is there, for '*').
  if whole and ARGV[2] ~= '*' and kept ~= ARGV[2] then
    return {'other', kept}
  end
  redis.call('UNLINK', LOG, LAST)
  local first = redis.call('XADD', LOG, '*', 'i', I, 'n', ARGV[3], 'p', '', 'r', '')
  redis.call('HSET', LAST, 'i', I, 'f', first)
  local tail = I .. ' ' .. first .. ' ' .. ARGV[3]
  redis.call('SET', TAIL, tail)
  return {'ok', tail, redis.call('TIME')}
end

if not whole then
  return {'broken'}
end
if kept ~= I then
  return {'other', kept}
end
local tail = I .. ' ' .. id .. ' ' .. nonce
if redis.call('GET', TAIL) ~= tail then
  redis.call('SET', TAIL, tail)
end

if op == 'j' then
  return {'ok', tail, redis.call('TIME')}
end

if op == 'a' then
  -- ARGV: own nonce, record, length of the stream, and the fields of the hash.
  local at = redis.call('XADD', LOG, 'MAXLEN', '~', ARGV[4], '*',
    'i', I, 'n', ARGV[2], 'p', nonce, 'r', ARGV[3])
  for n = 5, #ARGV do
    redis.call('HSET', LAST, ARGV[n], at)
  end
  local new = I .. ' ' .. at .. ' ' .. ARGV[2]
  redis.call('SET', TAIL, new)
  return {'ok', new, nonce}
end

if op == 'c' then
  -- ARGV: the ID after which to begin, and how many records at most.
  local first = redis.call('XRANGE', LOG, '-', '+', 'COUNT', 1)[1][1]
  local records = redis.call('XRANGE', LOG, '(' .. ARGV[2], '+', 'COUNT', ARGV[3])
  return {'ok', tail, first, records}
end

if op == 'l' then
  -- ARGV: numbers of tags.
  local answer = {}
  for n = 2, #ARGV do
    local row = redis.call('HMGET', LAST, 'h' .. ARGV[n], 's' .. ARGV[n])
    answer[#answer + 1] = row[1] or ''
    answer[#answer + 1] = row[2] or ''
  end
  return {'ok', tail, redis.call('HGET', LAST, 'f'), answer}
end

if op == 'x' then
  -- Forgets the fields among ARGV[3...] that are not later than ARGV[2]. The floor rises to the
  -- latest of them in the same moment.
  local function split(text)
    local ms, n = string.match(text, '^(%d+)-(%d+)$')
    return tonumber(ms), tonumber(n)
  end
  local function later(a, b)
    local ams, an = split(a)
    local bms, bn = split(b)
    return ams > bms or (ams == bms and an > bn)
  end
  local floor = redis.call('HGET', LAST, 'f')
  local gone = 0
  for n = 3, #ARGV do
    local field = ARGV[n]
    local at = #field == 17 and redis.call('HGET', LAST, field)
    if at and not later(at, ARGV[2]) then
      redis.call('HDEL', LAST, field)
      gone = gone + 1
      if later(at, floor) then
        floor = at
      end
    end
  end
  redis.call('HSET', LAST, 'f', floor)
  return {'ok', tail, gone}
end

return redis.error_reply('ERR pitlane: unknown operation')
