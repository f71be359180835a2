-- ARGV: ttl, epoch and snapshot to begin with.
local run = run()
local room = redis.pcall('HMGET', room_key, 'epoch', 'run', 'snapshot', 'version', 'tip')
local log
if not room.err and room[2] == run and room[1] and room[3] and tonumber(room[4]) and tonumber(room[5]) then
  log = redis.pcall('XRANGE', log_key, '(' .. room[4] .. '-0', '+')
end
if log and not log.err then
  touch()
  return { room[1], room[3], room[4], room[5], log }
end
redis.call('UNLINK', room_key, log_key)
redis.call('HSET', room_key, 'epoch', ARGV[2], 'run', run, 'snapshot', ARGV[3], 'version', '0', 'base', '0',
  'tip', '0', 'at', '0')
touch()
return { ARGV[2], ARGV[3], '0', '0', {} }
