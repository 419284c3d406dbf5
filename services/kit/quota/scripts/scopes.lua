-- Put before each script. KEYS[1] = epoch. See keys.py for the layout.
local TOMBSTONE_SECONDS = 86400

-- Redis's own clock, ms: the callers' need not agree.
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- A number as Redis takes it: tostring() would write 1e+15.
local function whole(number) return string.format('%.0f', number) end

local function hold_key(id) return 'taxiway:quota:hold:' .. id end
local function scope_key(bucket) return 'taxiway:quota:scope:' .. bucket end
local function holds_key(bucket) return 'taxiway:quota:holds:' .. bucket end
local function bucket_of(tenant, name, start) return tenant .. ':' .. name .. ':' .. start end

-- Take a hold out of a scope, if it still stands there.
local function drop(bucket, id, amount)
  if redis.call('ZREM', holds_key(bucket), amount .. ' ' .. id) == 1 then
    redis.call('HINCRBY', scope_key(bucket), 'held', whole(-tonumber(amount)))
  end
end

local function put(bucket, id, amount, expires)
  if redis.call('ZADD', holds_key(bucket), expires, amount .. ' ' .. id) == 1 then
    redis.call('HINCRBY', scope_key(bucket), 'held', amount)
  end
end

-- Expired holds do not count any longer.
local function purge(bucket, now)
  local expired = redis.call('ZRANGEBYSCORE', holds_key(bucket), '-inf', whole(now))
  if #expired == 0 then return end
  local sum = 0
  for _, member in ipairs(expired) do sum = sum + tonumber(string.match(member, '^%d+')) end
  redis.call('HINCRBY', scope_key(bucket), 'held', whole(-sum))
  redis.call('ZREMRANGEBYSCORE', holds_key(bucket), '-inf', whole(now))
end

-- What is used of a scope: settled as a number, and {held, totals of the source partitions} as text, which is exact.
local function used(bucket)
  local settled, totals, held = 0, {}, '0'
  local fields = redis.call('HGETALL', scope_key(bucket))
  for i = 1, #fields, 2 do
    if fields[i] == 'held' then held = fields[i + 1] end
    if string.sub(fields[i], 1, 1) == 't' then
      settled = settled + tonumber(fields[i + 1])
      totals[#totals + 1] = fields[i + 1]
    end
  end
  return settled, {held, totals}
end

-- The parts of a hold that still stand: meter:window -> its start, amount and bucket.
local function standing(key)
  local parts, tenant = {}, redis.call('HGET', key, 'tenant')
  local fields = redis.call('HGETALL', key)
  for i = 1, #fields, 2 do
    local start, amount = string.match(fields[i + 1], '^(%d+-%d+-%d+) (%d+)$')
    if start and string.find(fields[i], ':', 1, true) then
      parts[fields[i]] = {start = start, amount = amount, bucket = bucket_of(tenant, fields[i], start)}
    end
  end
  return parts
end
