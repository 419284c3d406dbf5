-- ARGV[1] = hold id.
local id, key = ARGV[1], hold_key(ARGV[1])
if redis.call('HGET', key, 'state') ~= 'held' then return 0 end
for _, part in pairs(standing(key)) do drop(part.bucket, id, part.amount) end
redis.call('DEL', key)
return 1
