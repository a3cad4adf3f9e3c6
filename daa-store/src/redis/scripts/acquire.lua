-- KEYS: the lease, the last token. ARGV: the holder, the time to live in ms.
-- {1, token}, or {0, who holds it, for how many ms}.
local held = redis.call('HMGET', KEYS[1], 'holder', 'token')
if held[1] and held[1] ~= ARGV[1] then
  return {0, held[1], redis.call('PTTL', KEYS[1])}
end
-- No lower than the time in µs: so it is higher than those that a server forgot when it was started again. The last one
-- is remembered for a week, for a clock that goes back.
local t = redis.call('TIME')
local token = math.max(t[1] * 1000000 + t[2], (tonumber(redis.call('GET', KEYS[2]) or '0')) + 1)
if held[2] then token = math.max(token, held[2] + 1) end
token = string.format('%.0f', token)
redis.call('SET', KEYS[2], token, 'EX', 604800)
redis.call('HSET', KEYS[1], 'holder', ARGV[1], 'token', token)
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return {1, token}
