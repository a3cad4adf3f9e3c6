-- KEYS: the lease. ARGV: the token.
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 0 end
return redis.call('UNLINK', KEYS[1])
