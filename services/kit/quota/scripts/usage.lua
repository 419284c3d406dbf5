-- ARGV[1] = bucket.
if redis.call('EXISTS', KEYS[1]) == 0 then return {'lost'} end
purge(ARGV[1], now_ms())
local _, usage = used(ARGV[1])
return usage
