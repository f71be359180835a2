-- ARGV: ttl, epoch, version, number of entries, entries, channel.
local room, refused = check(ARGV[2], ARGV[3])
if refused then return { refused } end
local time = redis.call('TIME')
local at = text(math.max(room.at, time[1] * 1000 + math.floor(time[2] / 1000)))
local first, last = text(room.tip + 1), text(room.tip + ARGV[4])
if tonumber(ARGV[4]) > 0 then
  -- One record for all of them, known by the last: what it costs here does not grow with their number.
  local added = redis.pcall('XADD', log_key, last .. '-0', 'first', first, 'at', at, 'entries', ARGV[5])
  -- It has no memory left: nothing is lost, and nothing can be added.
  if added.err and string.match(added.err, '^%-?OOM') then return added end
  if added.err then
    -- Somebody else has written there.
    touch()
    return { 'behind' }
  end
  redis.call('HSET', room_key, 'tip', last, 'at', at)
  -- Whoever does not hear it reads it.
  redis.pcall('SPUBLISH', ARGV[6], string.format('S%s%016x%016x', ARGV[2], first, at) .. ARGV[5])
end
touch()
return { 'ok', first, at }
