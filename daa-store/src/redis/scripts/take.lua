-- The generic cell rate algorithm, as daa_core::limiter::decide has it, in whole numbers below 2^53.
-- KEYS: the bucket. ARGV: tokens and µs of the quota, burst, tokens wanted.
-- {granted, now, when the bucket is full in whole µs, parts of one more}.
local of, span = tonumber(ARGV[1]), tonumber(ARGV[2])

-- The time that so many tokens take: whole µs, and parts.
local function time_of(tokens)
  local parts = (span % of) * tokens
  return math.floor(span / of) * tokens + math.floor(parts / of), parts % of
end

local function after(micros, part, more, more_part)
  local parts = part + more_part
  return micros + more + math.floor(parts / of), parts % of
end

local function later(micros, part, than, than_part)
  return micros > than or (micros == than and part > than_part)
end

local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local empty, empty_part = after(now, 0, time_of(tonumber(ARGV[3])))

local held = redis.call('HMGET', KEYS[1], 'micros', 'part', 'of')
local begin, begin_part = tonumber(held[1] or '0'), tonumber(held[2] or '0')
if held[3] and tonumber(held[3]) ~= of then
  if begin_part > 0 then begin = begin + 1 end
  begin_part = 0
end
if later(now, 0, begin, begin_part) then begin, begin_part = now, 0 end
if later(begin, begin_part, empty, empty_part) then begin, begin_part = empty, empty_part end

local full, full_part = after(begin, begin_part, time_of(tonumber(ARGV[4])))
local granted = 1
if later(full, full_part, empty, empty_part) then
  granted, full, full_part = 0, begin, begin_part
end
local micros, part = string.format('%.0f', full), string.format('%.0f', full_part)
redis.call('HSET', KEYS[1], 'micros', micros, 'part', part, 'of', ARGV[1])
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.floor((full - now) / 1000) + 2))
return {granted, string.format('%.0f', now), micros, part}
