-- One touch of the invalidation log. KEYS: the stream, the hash, the tail. ARGV[1] is the
-- operation. INCARNATION is put in before the text is sent, so that a server that doesn't know
-- this very text answers NOSCRIPT: it is not the process that this life of the log belongs to.
local I = 'INCARNATION'
local op = ARGV[1]
local LOG, LAST, TAIL = KEYS[1], KEYS[2], KEYS[3]

if op == 't' then
  local tail = redis.pcall('GET', TAIL)
  return type(tail) == 'string' and tail
end

-- Others can write to these keys as well: what doesn't look like the log's own is damage.
local function is_name(text)
  return type(text) == 'string' and #text == 16 and not string.find(text, '[^0-9a-f]')
end
local function is_id(text)
  return type(text) == 'string' and string.find(text, '^%d+%-%d+$') ~= nil
end

local inc, id, nonce
local newest = redis.pcall('XREVRANGE', LOG, '+', '-', 'COUNT', 1)
if not newest.err and newest[1] then
  id = newest[1][1]
  inc = newest[1][2][2]
  nonce = newest[1][2][4]
end
-- The incarnation, below what the hash has forgotten, and the incarnations that this one follows.
local kept, floor, older = false, false, false
local fields = redis.pcall('HMGET', LAST, 'i', 'f', 'b')
if not fields.err then
  kept, floor, older = fields[1], fields[2], fields[3]
end
older = older or ''
local whole = is_name(inc) and is_name(nonce) and inc == kept and is_id(floor)

if op == 'r' then
  -- Begins this incarnation in place of ARGV[2] (or of whatever is there, for '*'). ARGV[3] is a
  -- nonce, ARGV[4] the incarnation that the caller knew.
  if whole and ARGV[2] ~= '*' and kept ~= ARGV[2] then
    return {'other', kept, older}
  end
  older = ARGV[4] .. (is_name(kept) and kept .. older or '')
  redis.call('UNLINK', LOG, LAST)
  local first = redis.call('XADD', LOG, '*', 'i', I, 'n', ARGV[3], 'p', '', 'r', '')
  redis.call('HSET', LAST, 'i', I, 'f', first, 'b', string.sub(older, 1, 16 * 32))
  local tail = I .. ' ' .. first .. ' ' .. ARGV[3]
  redis.call('SET', TAIL, tail)
  return {'ok', tail, redis.call('TIME')}
end

if not whole then
  return {'broken'}
end
if kept ~= I then
  return {'other', kept, older}
end
local tail = I .. ' ' .. id .. ' ' .. nonce
if redis.pcall('GET', TAIL) ~= tail then
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
  local known = redis.call('XRANGE', LOG, ARGV[2], ARGV[2])[1]
  local records = redis.pcall('XRANGE', LOG, '(' .. ARGV[2], '+', 'COUNT', ARGV[3])
  if records.err then
    -- There is no ID after that one, so nothing could be appended either.
    return {'broken'}
  end
  return {'ok', tail, redis.call('TIME'), first, known and known[2][4] or '', records}
end

if op == 'l' then
  -- ARGV: numbers of tags.
  local answer = {}
  for n = 2, #ARGV do
    local row = redis.call('HMGET', LAST, 'h' .. ARGV[n], 's' .. ARGV[n])
    answer[#answer + 1] = row[1] or ''
    answer[#answer + 1] = row[2] or ''
  end
  return {'ok', tail, floor, answer}
end

if op == 'x' then
  -- Forgets the fields among ARGV[3...] that are not later than ARGV[2]. The floor rises to the
  -- latest of them in the same moment.
  local function later(a, b)
    local ams, an = string.match(a, '^(%d+)-(%d+)$')
    local bms, bn = string.match(b, '^(%d+)-(%d+)$')
    ams, an, bms, bn = tonumber(ams), tonumber(an), tonumber(bms), tonumber(bn)
    return ams > bms or (ams == bms and an > bn)
  end
  local gone = 0
  for n = 3, #ARGV do
    local field = ARGV[n]
    local at = #field == 17 and redis.call('HGET', LAST, field)
    local damaged = at and not is_id(at)
    if damaged or at and not later(at, ARGV[2]) then
      redis.call('HDEL', LAST, field)
      gone = gone + 1
      if damaged then
        -- Nobody knows where it stood.
        floor = id
      elseif later(at, floor) then
        floor = at
      end
    end
  end
  redis.call('HSET', LAST, 'f', floor)
  return {'ok', tail, gone}
end

return redis.error_reply('ERR pitlane: unknown operation')
