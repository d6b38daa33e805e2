-- Token buckets: executes requests in turn, each on the buckets of one key, one for each limit, decided together: all or
-- nothing.
--
-- KEYS     the keys of the states, and of the records of the requests' ids, each once
-- ARGV[1]  the limits, each once: units earned in a microsecond, units in a token, capacity, debt limit, initial deficit
-- ARGV[2]  the requests: operation (1 byte), count of limits (1), key of the state (2), key of the record or 0 (2); for
--          each limit its number (2), and the amount in units; if there is a record, its lifetime in ms (4)
--
-- Integers are big-endian, and of 7 bytes if nothing else is said. Keys and limits are numbered from 1. A state is the
-- mark, and for each limit the units in a token and the deficit D.
--
-- A bucket is its D, the units that are missing in a full bucket, as of the mark, in microseconds. All numbers are
-- integers below 2^53, for which the arithmetic of doubles is exact: capacity + debt limit + units in a microsecond
-- < 2^53. A quotient of two such integers is rounded to an integer only if it is one, so math.floor and math.ceil of a
-- quotient are exact too. A product that is rounded is above every deficit.
--
-- Returns the server's clock, and for each request: 1 or 0 (1 byte), whether the amounts were taken; its state; and if it
-- is no TAKE, for each limit the units that were taken or given back. Or, if the request failed: 2 if nothing was done, or
-- 3 (1 byte), the length of the error (2), the error.
local TAKE, TAKE_UP_TO, CHARGE, ADD, RESET = 1, 2, 3, 4, 5
local call, pack, read = redis.pcall, struct.pack, struct.unpack
local ceil, floor, max, min = math.ceil, math.floor, math.max, math.min

local time = redis.call('TIME')
local real = time[1] * 1000000 + time[2]

local limits = {}
for at = 1, #ARGV[1], 35 do limits[#limits + 1] = { read('>I7I7I7I7I7', ARGV[1], at) } end

-- Of each key: its value after the requests so far, or false; and an error.
local values, errors = call('MGET', unpack(KEYS)), {}
if values.err then
    -- There is a key that may not be read.
    for key, name in ipairs(KEYS) do
        values[key] = call('GET', name)
        if type(values[key]) == 'table' then errors[key], values[key] = values[key].err, false end
    end
end

-- Of each state that changed: its value before, or false, and the microseconds until it is full.
local before_call, micros_to_full = {}, {}
local requests = ARGV[2]

-- Executes a request on the state of its key; it has its first limit and amount, and the others begin at `at`. Returns
-- whether the amounts were taken, the state, the units that were taken or given back, and whether the state has changed.
local amounts, deficits, limit_of = {}, {}, {}
local function execute(operation, count, key, number, amount, at)
    local state, mark, now, unit, deficit = values[key], real, real
    local is_known = state and #state >= 21
    if is_known then
        mark, unit, deficit = read('>I7I7I7', state)
        -- A server's clock that steps back stands still for this key.
        if mark > now then now = mark end
    end

    -- The deficits as of now, and whether the amounts can be taken, or how many tokens.
    local taken, tokens = true, math.huge
    -- Whether a bucket starts here with less than its capacity: it earns from now on, so it is stored.
    local changed, starts_low = operation == RESET, false
    for nth = 1, count do
        if nth > 1 then
            number, amount, at = read('>I2I7', requests, at)
            is_known = state and #state >= 14 * nth + 7
            if is_known then unit, deficit = read('>I7I7', state, 14 * nth - 6) end
        end
        local limit = limits[number]
        local per_token, capacity, initial = limit[2], limit[3], limit[5]
        if is_known then
            if unit ~= per_token then
                -- The quota has changed, and with it the unit. Rounded up.
                deficit = ceil(deficit / unit * per_token) + 1
            end
            local most = capacity + limit[4]
            if deficit > most then deficit = most end
            deficit = deficit - (now - mark) * limit[1]
            if deficit < 0 then deficit = 0 end
        else
            deficit = initial
            changed = changed or initial > 0
        end
        starts_low = starts_low or initial > 0
        if amount > 0 and deficit + amount > capacity then taken = false end
        if operation == TAKE_UP_TO then
            -- The same whole number of tokens from each bucket.
            tokens = min(tokens, floor(min(max(0, capacity - deficit), amount) / per_token))
        end
        amounts[nth], deficits[nth], limit_of[nth] = amount, deficit, limit
    end

    local full, done = 0, ''
    for nth = 1, count do
        local before, limit = deficits[nth], limit_of[nth]
        local after, amount = before, amounts[nth]
        if operation == TAKE then
            if taken then after = before + amount end
        else
            if operation == TAKE_UP_TO then
                after = before + tokens * limit[2]
            elseif operation == CHARGE then
                after = max(before, min(before + amount, limit[3] + limit[4]))
            elseif operation == ADD then
                after = max(0, before - amount)
            elseif operation == RESET then
                after = 0
            end
            done = done .. pack('>I7', math.abs(after - before))
        end
        changed = changed or after ~= before
        local micros = after / limit[1]
        if micros > full then full = micros end
        if nth == 1 then
            state = pack('>I7I7I7', now, limit[2], after)
        else
            state = state .. pack('>I7I7', limit[2], after)
        end
    end

    if changed then
        if not micros_to_full[key] then before_call[key] = values[key] end
        -- A bucket that would start with less is kept for ten seconds after it is full.
        if starts_low then full = full + 10000000 end
        if full > 0 then
            -- Full at the mark, by the server's own clock.
            values[key], micros_to_full[key] = state, now - real + full
        else
            -- A bucket that is full again need not be stored.
            values[key], micros_to_full[key] = false, 0
        end
    end
    return taken or operation ~= TAKE, state, done, changed
end

-- Of each request two texts, after the clock. Of each record that is new: its number, its key's, and its lifetime.
local replies, records, at = { pack('>I7', real) }, {}, 1
while at <= #requests do
    local operation, count, key, record, number, amount, next_at = read('>BBI2I2I2I7', requests, at)
    at = next_at + 9 * count - 9
    local lifetime, status, reply
    if record > 0 then
        lifetime, at = read('>I4', requests, at)
        -- MGET does not report a value of another type.
        local known = values[record] or call('GET', KEYS[record])
        if type(known) == 'table' then errors[record] = known.err end
        reply = values[record]
    end
    if reply then
        status = ''
        if #reply ~= (operation == TAKE and 8 or 8 + 7 * count) + 14 * count then
            errors[record] = 'ERR the id is that of another kind of request'
        end
    elseif errors[key] or errors[record] then
        status, reply = '', ''
    else
        local taken, state, done, changed = execute(operation, count, key, number, amount, next_at)
        status, reply = taken and '\1' or '\0', state .. done
        if changed and record > 0 then
            values[record] = status .. reply
            records[#records + 1] = { record, key, lifetime }
        end
    end
    replies[#replies + 1] = status
    replies[#replies + 1] = reply
end

for key, micros in pairs(micros_to_full) do
    -- The text from %d costs less than that of a number in a command.
    local millis, done = string.format('%d', ceil(micros / 1000))
    if before_call[key] then
        done = micros > 0 and call('PSETEX', KEYS[key], millis, values[key]) or call('DEL', KEYS[key])
    elseif micros > 0 then
        -- MGET does not report a value of another type. It stays.
        done = call('SET', KEYS[key], values[key], 'PX', millis, 'NX') or call('GET', KEYS[key])
    end
    if type(done) == 'table' then errors[key] = done.err end
end
for _, new in ipairs(records) do
    local record, key, lifetime = new[1], new[2], new[3]
    if not errors[key] then errors[record] = call('SET', KEYS[record], values[record], 'PX', lifetime).err end
end

if next(errors) then
    at = 1
    for nth = 1, (#replies - 1) / 2 do
        local _, count, key, record = read('>BBI2I2', requests, at)
        at = at + 6 + 9 * count + (record > 0 and 4 or 0)
        local err = errors[key] or errors[record]
        if err then
            local status = not errors[key] and values[record] and 3 or 2
            replies[2 * nth], replies[2 * nth + 1] = pack('>BI2c0', status, #err, err), ''
        end
    end
end
return table.concat(replies)
