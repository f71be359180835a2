-- KEYS: the member's word. ARGV: until when, in 20 digits, so that text is ordered as numbers are; for how long, in ms.
local until_then = redis.call('GET', KEYS[1])
local left = redis.call('PTTL', KEYS[1])
if not until_then or until_then < ARGV[1] then until_then = ARGV[1] end
redis.call('SET', KEYS[1], until_then, 'PX', string.format('%.0f', math.max(left, tonumber(ARGV[2]))))
return 1
