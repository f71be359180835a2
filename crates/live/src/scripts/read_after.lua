-- ARGV: ttl, epoch, version.
local room, refused = check(ARGV[2], ARGV[3])
if refused then return { refused } end
touch()
if tonumber(ARGV[3]) < room.base then return { 'compacted' } end
if tonumber(ARGV[3]) == room.tip then return { 'ok', text(room.tip), {} } end
local log = redis.pcall('XRANGE', log_key, '(' .. ARGV[3] .. '-0', '+')
if log.err then return { 'behind' } end
return { 'ok', text(room.tip), log }
