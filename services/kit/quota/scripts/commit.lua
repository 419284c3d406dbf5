-- ARGV[1] = hold id; then pairs of meter, actual amount. Returns the meters whose hold had expired.
local id, key, now = ARGV[1], hold_key(ARGV[1]), now_ms()
local known = redis.call('HMGET', key, 'state', 'expires')
if not known[1] or known[1] == 'committed' then return {} end

local actual = {}
for i = 2, #ARGV, 2 do actual[ARGV[i]] = ARGV[i + 1] end
local late, open = {}, false
for name, part in pairs(standing(key)) do
  local meter = string.match(name, '^[^:]+')
  local amount = actual[meter] or '0'
  drop(part.bucket, id, part.amount)
  if amount == '0' then
    redis.call('HSET', key, name, 'settled') -- No sample will come for it.
  else
    if tonumber(known[2]) <= now then late[#late + 1] = meter end
    put(part.bucket, id, amount, '+inf')
    redis.call('HSET', key, name, part.start .. ' ' .. amount)
    open = true
  end
end
redis.call('HSET', key, 'state', 'committed')
if open then redis.call('PERSIST', key) else redis.call('EXPIRE', key, TOMBSTONE_SECONDS) end
return late
