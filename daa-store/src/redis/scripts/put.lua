-- KEYS: the entry, the set of each tag. ARGV: the value, the time to live in ms.
-- A set has its keys by the time at which they end, and lasts as long as the last of them.
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local ends = string.format('%.0f', now + ARGV[2] + 1)
for i = 2, #KEYS do
  redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', string.format('(%.0f', now))
  redis.call('ZADD', KEYS[i], ends, KEYS[1])
  if redis.call('PTTL', KEYS[i]) < ARGV[2] + 1 then
    redis.call('PEXPIRE', KEYS[i], ARGV[2] + 1)
  end
end
