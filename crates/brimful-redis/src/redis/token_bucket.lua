-- Token buckets of one key, one for each quota, decided together: all or nothing.
--
-- KEYS[1]  the state
-- KEYS[2]  the record of the request's id, if it has one
-- ARGV     operation, lifetime of the record in ms, the limits, and for each limit the amount in units
--
-- The limits are 7-byte integers, five for each: units earned in a microsecond, units in a token, capacity, debt limit,
-- initial deficit. The state is 7-byte integers too: the mark, and for each limit the units in a token and the deficit D.
--
-- A bucket is its D, the units that are missing in a full bucket, as of the mark, in microseconds. All numbers are
-- integers below 2^53, for which the arithmetic of doubles is exact: capacity + debt limit + units in a microsecond
-- < 2^53. A quotient of two such integers is rounded to an integer only if it is one, so math.floor and math.ceil of a
-- quotient are exact too.
--
-- Returns whether the amounts were taken (1 or 0), the mark, the microseconds by which it is ahead of the server's clock,
-- and for each limit D, and the units that were taken or given back.
local operation, limits = ARGV[1], ARGV[3]
local ceil, max, min, unpack = math.ceil, math.max, math.min, struct.unpack

if KEYS[2] then
    local record = redis.call('GET', KEYS[2])
    if record then return cmsgpack.unpack(record) end
end

local time = redis.call('TIME')
local real = time[1] * 1000000 + time[2]
local mark, now = real, real
local state = redis.call('GET', KEYS[1]) or ''
if #state >= 7 then
    mark = unpack('>I7', state)
    -- A server's clock that steps back stands still for this key.
    if mark > now then now = mark end
end

-- The deficits as of now, and whether the amounts can be taken, or how many tokens.
local reply, taken, tokens, count = { 1, now, now - real }, 1, math.huge, #ARGV - 3
-- Whether a bucket starts here with less than its capacity: it earns from now on, so it is stored.
local changed, starts_low = operation == 'reset', false
for nth = 1, count do
    local per_micro, per_token, capacity, debt, deficit = unpack('>I7I7I7I7I7', limits, 35 * nth - 34)
    local amount, at = tonumber(ARGV[nth + 3]), 14 * nth - 6
    if #state >= at + 13 then
        local unit
        unit, deficit = unpack('>I7I7', state, at)
        if unit ~= per_token then
            -- The quota has changed, and with it the unit. Rounded up.
            deficit = ceil(deficit / unit * per_token) + 1
        end
        deficit = min(deficit, capacity + debt)
        local passed = now - mark
        deficit = passed >= ceil(deficit / per_micro) and 0 or max(0, deficit - passed * per_micro)
    elseif deficit > 0 then
        changed = true
    end
    if amount > 0 and deficit + amount > capacity then taken = 0 end
    if operation == 'take_up_to' then
        -- The same whole number of tokens from each bucket.
        tokens = min(tokens, math.floor(min(max(0, capacity - deficit), amount) / per_token))
    end
    reply[2 * nth + 2] = deficit
end
if operation ~= 'take' then taken = 1 end
reply[1] = taken

local packed, micros_to_full = struct.pack('>I7', now), 0
for nth = 1, count do
    local per_micro, per_token, capacity, debt, initial = unpack('>I7I7I7I7I7', limits, 35 * nth - 34)
    local before, amount = reply[2 * nth + 2], tonumber(ARGV[nth + 3])
    starts_low = starts_low or initial > 0
    local after = before
    if operation == 'take' then
        after = before + taken * amount
    elseif operation == 'take_up_to' then
        after = before + tokens * per_token
    elseif operation == 'charge' then
        after = max(before, min(before + amount, capacity + debt))
    elseif operation == 'add' then
        after = max(0, before - amount)
    elseif operation == 'reset' then
        after = 0
    end
    reply[2 * nth + 2], reply[2 * nth + 3] = after, math.abs(after - before)
    changed = changed or after ~= before
    packed = packed .. struct.pack('>I7I7', per_token, after)
    micros_to_full = max(micros_to_full, ceil(after / per_micro))
end

if changed then
    -- A bucket that would start with less is kept for ten seconds after it is full.
    if starts_low then micros_to_full = micros_to_full + 10000000 end
    if micros_to_full == 0 then
        redis.call('DEL', KEYS[1])
    else
        -- A bucket that is full again need not be stored. At the mark, by the server's own clock.
        redis.call('PSETEX', KEYS[1], ceil((now - real + micros_to_full) / 1000), packed)
    end
    if KEYS[2] then
        redis.call('SET', KEYS[2], cmsgpack.pack(reply), 'PX', ARGV[2])
    end
end
return reply
