-- KEYS: the set of a tag. ARGV: how many keys to take at most.
-- How many were taken from the set, and how many of those were entries.
local popped = redis.call('ZPOPMIN', KEYS[1], ARGV[1])
local gone = 0
for i = 1, #popped, 2 do
  gone = gone + redis.call('UNLINK', popped[i])
end
return {#popped / 2, gone}
