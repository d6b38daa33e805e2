-- Token buckets of one key, one for each quota, decided together: all or nothing.
--
-- KEYS[1]  the state
-- KEYS[2]  the record of the request's id, if it has one
-- ARGV     operation, lifetime of the record in ms, and for each quota:
--          units earned in a microsecond, units in a token, capacity, debt limit, initial deficit, amount
--
-- A bucket is its deficit D, the units that are missing in a full bucket, as of the instant `mark`, in
-- microseconds. All numbers are integers below 2^53, for which the arithmetic of doubles is exact:
-- capacity + debt limit + units in a microsecond < 2^53. A quotient of two such integers is rounded to an
-- integer only if it is one, so math.floor and math.ceil of a quotient are exact too.
--
-- The state is a string of 7-byte integers: the mark, and units in a token and D of each quota.
--
-- Returns whether the amounts were taken (1 or 0), the mark, and for each quota D, and the units that were taken
-- or given back.
local operation, lifetime = ARGV[1], ARGV[2]
local FIELDS = 6

if KEYS[2] then
    local record = redis.call('GET', KEYS[2])
    if record then return cmsgpack.unpack(record) end
end

local time = redis.call('TIME')
local real = time[1] * 1000000 + time[2]
local mark, now = real, real
local state = redis.call('GET', KEYS[1]) or ''
if #state >= 7 then
    mark = struct.unpack('>I7', state)
    -- A server's clock that steps back stands still for this key.
    now = math.max(real, mark)
end

local limits = {}
for first = 3, #ARGV, FIELDS do
    local limit = {
        per_micro = tonumber(ARGV[first]),
        per_token = tonumber(ARGV[first + 1]),
        capacity = tonumber(ARGV[first + 2]),
        debt = tonumber(ARGV[first + 3]),
        deficit = tonumber(ARGV[first + 4]),
        amount = tonumber(ARGV[first + 5]),
    }
    local at = 8 + #limits * 14
    if #state >= at + 13 then
        local per_token, deficit = struct.unpack('>I7I7', state, at)
        if per_token ~= limit.per_token then
            -- The quota has changed, and with it the unit. Rounded up.
            deficit = math.ceil(deficit / per_token * limit.per_token) + 1
        end
        deficit = math.min(deficit, limit.capacity + limit.debt)
        local micros_to_full = math.ceil(deficit / limit.per_micro)
        local passed = now - mark
        limit.deficit = passed >= micros_to_full and 0 or math.max(0, deficit - passed * limit.per_micro)
    end
    limits[#limits + 1] = limit
end

local taken, tokens = 1, math.huge
if operation == 'take_up_to' then
    -- The same whole number of tokens from each bucket.
    for _, limit in ipairs(limits) do
        local there = math.max(0, limit.capacity - limit.deficit)
        tokens = math.min(tokens, math.floor(math.min(there, limit.amount) / limit.per_token))
    end
elseif operation == 'take' then
    for _, limit in ipairs(limits) do
        if limit.amount > 0 and limit.deficit + limit.amount > limit.capacity then taken = 0 end
    end
end

for _, limit in ipairs(limits) do
    local before = limit.deficit
    if taken == 0 or operation == 'peek' then
        limit.done = 0
    elseif operation == 'take' then
        limit.deficit = before + limit.amount
        limit.done = limit.amount
    elseif operation == 'take_up_to' then
        limit.done = tokens * limit.per_token
        limit.deficit = before + limit.done
    elseif operation == 'charge' then
        limit.deficit = math.max(before, math.min(before + limit.amount, limit.capacity + limit.debt))
        limit.done = limit.deficit - before
    elseif operation == 'add' then
        limit.deficit = math.max(0, before - limit.amount)
        limit.done = before - limit.deficit
    else
        limit.deficit = 0
        limit.done = before
    end
end

local reply = { taken, now }
local packed, micros_to_full, changed = { struct.pack('>I7', now) }, 0, false
for _, limit in ipairs(limits) do
    reply[#reply + 1] = limit.deficit
    reply[#reply + 1] = limit.done
    packed[#packed + 1] = struct.pack('>I7I7', limit.per_token, limit.deficit)
    micros_to_full = math.max(micros_to_full, math.ceil(limit.deficit / limit.per_micro))
    changed = changed or limit.done > 0
end

if changed or operation == 'reset' then
    if micros_to_full == 0 then
        redis.call('DEL', KEYS[1])
    else
        -- A bucket that is full again need not be stored. At the mark, by the server's own clock.
        local millis = math.ceil((now - real + micros_to_full) / 1000)
        redis.call('SET', KEYS[1], table.concat(packed), 'PX', string.format('%.0f', millis))
    end
    if KEYS[2] then
        redis.call('SET', KEYS[2], cmsgpack.pack(reply), 'PX', lifetime)
    end
end
return reply
