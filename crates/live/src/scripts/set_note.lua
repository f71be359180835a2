-- KEYS: the room's hash. ARGV: the note's field, the note. The room does not live longer for it.
if not redis.call('HGET', KEYS[1], 'epoch') then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
