-- ARGV[1..7] = tenant, meter:window, start, source partition, total, hi, rebuilding (1 | 0); then hold ids.
-- Returns 1 when the total moved, 0 when it is stale, -1 when the data set is lost.
local tenant, name, start, partition, total, hi = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
if ARGV[7] == '0' and redis.call('EXISTS', KEYS[1]) == 0 then return -1 end

-- The holds end even when the total is stale: what stands then contains their samples already.
for i = 8, #ARGV do
  local key = hold_key(ARGV[i])
  local part = redis.call('HGET', key, 'tenant') == tenant and standing(key)[name]
  if part then
    drop(part.bucket, ARGV[i], part.amount)
    redis.call('HSET', key, name, 'settled')
    if redis.call('HGET', key, 'state') == 'held' then redis.call('HSET', key, 'state', 'settling') end
    if next(standing(key)) == nil then redis.call('EXPIRE', key, TOMBSTONE_SECONDS) end
  end
end

local scope = scope_key(bucket_of(tenant, name, start))
local reached = redis.call('HGET', scope, 'h' .. partition)
if reached and tonumber(reached) >= tonumber(hi) then return 0 end
redis.call('HSET', scope, 't' .. partition, total, 'h' .. partition, hi)
return 1
