-- KEYS: the lease. {holder, token, for how many ms}, or nothing.
local held = redis.call('HMGET', KEYS[1], 'holder', 'token')
if not held[1] then return nil end
return {held[1], held[2], redis.call('PTTL', KEYS[1])}
