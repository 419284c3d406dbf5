-- ARGV[1..4] = tenant, hold id, ttl in ms, fingerprint; then per ask: meter:window, start, amount, limit.
if redis.call('EXISTS', KEYS[1]) == 0 then return {'lost'} end
local tenant, id, ttl, asks = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local key, now = hold_key(id), now_ms()
local known = redis.call('HMGET', key, 'asks', 'state', 'expires')
if known[1] and known[1] ~= asks then return {'conflict'} end
-- It was used: granted again it would set nothing aside, and the second request would pass uncounted.
if known[1] and known[2] ~= 'held' then return {'spent'} end

local wanted = {}
for i = 5, #ARGV, 4 do
  local part = {name = ARGV[i], start = ARGV[i + 1], amount = ARGV[i + 2], limit = tonumber(ARGV[i + 3])}
  part.bucket = bucket_of(tenant, part.name, part.start)
  wanted[#wanted + 1] = part
  purge(part.bucket, now)
end

local function answer()
  local usages = {}
  for i, part in ipairs(wanted) do
    local _, usage = used(part.bucket)
    usages[i] = usage
  end
  return {'held', usages}
end

if known[1] and tonumber(known[3]) > now then return answer() end

for i, part in ipairs(wanted) do
  local settled, usage = used(part.bucket)
  if settled + tonumber(usage[1]) + tonumber(part.amount) > part.limit then return {'denied', i, usage} end
end

-- It may have expired before, perhaps in a window that has passed since.
for _, part in pairs(standing(key)) do drop(part.bucket, id, part.amount) end
redis.call('DEL', key)

local expires = whole(now + ttl)
redis.call('HSET', key, 'tenant', tenant, 'asks', asks, 'state', 'held', 'expires', expires)
for _, part in ipairs(wanted) do
  redis.call('HSET', key, part.name, part.start .. ' ' .. part.amount)
  put(part.bucket, id, part.amount, expires)
end
redis.call('PEXPIRE', key, whole(ttl + TOMBSTONE_SECONDS * 1000))
return answer()
