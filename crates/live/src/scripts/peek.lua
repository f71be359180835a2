-- Looks at a room, and leaves it as it is.
local room = redis.pcall('HMGET', room_key, 'epoch', 'run', 'snapshot', 'version', 'tip')
if room.err or room[2] ~= run() or not (room[1] and room[3] and tonumber(room[4]) and tonumber(room[5])) then
  return {}
end
local log = redis.pcall('XRANGE', log_key, '(' .. room[4] .. '-0', '+')
if log.err then return {} end
return { room[1], room[3], room[4], room[5], log }
