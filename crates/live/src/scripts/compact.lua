-- ARGV: ttl, epoch, version, snapshot, how many entries stay before it.
local room, refused = check(ARGV[2], ARGV[3])
if refused then return { refused } end
local version = tonumber(ARGV[3])
if version > room.version then
  local base = math.max(room.base, version - ARGV[5])
  redis.call('HSET', room_key, 'snapshot', ARGV[4], 'version', ARGV[3], 'base', text(base))
  redis.pcall('XTRIM', log_key, 'MINID', '=', text(base + 1) .. '-0')
end
touch()
return { 'ok' }
