-- KEYS: the nodes. ARGV: for how long a node lives, in ms; this one.
--
-- Scores are when a node's life ends. `since` is in the same set, with the negative of when the set began.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], 'NX', string.format('%.0f', -now), 'since')
redis.call('ZADD', KEYS[1], string.format('%.0f', now + ARGV[1]), ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], 0, string.format('%.0f', now))
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return { string.format('%.0f', now), redis.call('ZSCORE', KEYS[1], 'since'), redis.call('ZRANGE', KEYS[1], 0, -1) }
