-- ARGV: ttl, epoch.
local epoch = redis.pcall('HGET', room_key, 'epoch')
if epoch == ARGV[2] then redis.call('UNLINK', room_key, log_key) end
return { 'ok' }
