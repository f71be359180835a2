-- What every script of a room begins with. KEYS: the room's hash and its log. ARGV[1]: how long they live, in ms.
--
-- Versions and times stay below 2^53, so that a number of Lua's holds them; epochs do not, and are 16 hex digits.

local room_key, log_key = KEYS[1], KEYS[2]

local function touch()
  redis.call('PEXPIRE', room_key, ARGV[1])
  redis.call('PEXPIRE', log_key, ARGV[1])
end

-- The store's run: which history of its data this is. Every start of a master begins another, and every promotion.
local function run()
  return string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
end

local function text(number)
  return string.format('%.0f', number)
end

-- The room, if the caller may go on from where it is; else the word for why not.
local function check(epoch, version)
  local fields = redis.pcall('HMGET', room_key, 'epoch', 'run', 'tip', 'at', 'base', 'version')
  if fields.err or not fields[1] then return nil, 'gone' end
  local room = { tip = tonumber(fields[3]), at = tonumber(fields[4]), base = tonumber(fields[5]),
    version = tonumber(fields[6]) }
  local refused
  if fields[1] ~= epoch then
    refused = 'other'
  elseif fields[2] ~= run() then
    refused = 'behind'
  elseif not (room.tip and room.at and room.base and room.version) or room.tip < tonumber(version) then
    refused = 'behind'
  end
  if refused then
    touch()
    return nil, refused
  end
  return room
end
