-- Token buckets: executes the requests of each key in turn, each on the buckets of the key, one for each limit, decided
-- together: all or nothing.
--
-- KEYS     the keys of the states, each once; then the keys of the records of ids, in the order of their requests
-- ARGV[1]  the limits, each once: units earned in a microsecond, units in a token, capacity, debt limit, initial deficit
-- ARGV[2]  the count of states (1 byte); for each state the count of its requests (1), and the requests: operation (1; 8
--          more if there is a record), count of limits (1), for each limit its number (2), and the amount in units; if
--          there is a record, its lifetime in ms (4)
--
-- Integers are big-endian, and of 7 bytes if nothing else is said. Limits are numbered from 1. A state is the mark,
--  and for each limit the units in a token and the deficit D.
--
-- A bucket is its D, the units that are missing in a full bucket, as of the mark, in microseconds. All numbers are
-- integers below 2^53, for which the arithmetic of doubles is exact: capacity + debt limit + units in a microsecond
-- < 2^53. A quotient of two such integers is rounded to an integer only if it is one, so math.floor and math.ceil of a
-- quotient are exact too. A product that is rounded is above every deficit.
--
-- Returns the server's clock, and for each request: 1 or 0 (1 byte), whether the amounts were taken; its state; and if it
-- is no TAKE, for each limit the units that were taken or given back. Or, if the request failed: 2 if nothing was done, or
-- 3 (1 byte), the length of the error (2), the error.
local TAKE, TAKE_UP_TO, CHARGE, ADD, RESET, WITH_RECORD = 1, 2, 3, 4, 5, 8
local call, pack, read, byte = redis.pcall, struct.pack, struct.unpack, string.byte
local ceil, floor, max, min, format = math.ceil, math.floor, math.max, math.min, string.format

local time = redis.call('TIME')
local real = time[1] * 1000000 + time[2]

local limits = {}
for at = 1, #ARGV[1], 35 do limits[#limits + 1] = { read('>I7I7I7I7I7', ARGV[1], at) } end

local requests, at = ARGV[2], 2
local amounts, deficits, limit_of = {}, {}, {}

-- Executes the request whose operation was read, on a state, or false. Returns whether the amounts were taken, the state,
-- the units that were taken or given back, whether the state has changed, and the microseconds until it is full.
local function execute(operation, state)
    local mark, now, unit, deficit = real, real
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
    local count, number, amount
    count, number, amount, at = read('>BI2I7', requests, at)
    for nth = 1, count do
        if nth > 1 then
            number, amount, at = read('>I2I7', requests, at)
            is_known = state and #state >= 14 * nth + 7
            if is_known then unit, deficit = read('>I7I7', state, 14 * nth - 6) end
        end
        local limit = limits[number]
        local capacity, initial = limit[3], limit[5]
        if is_known then
            if unit ~= limit[2] then
                -- The quota has changed, and with it the unit. Rounded up.
                deficit = ceil(deficit / unit * limit[2]) + 1
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
            tokens = min(tokens, floor(min(max(0, capacity - deficit), amount) / limit[2]))
        end
        amounts[nth], deficits[nth], limit_of[nth] = amount, deficit, limit
    end

    -- A bucket that would start with less is kept for ten seconds after it is full.
    local full, done = 0, ''
    for nth = 1, count do
        local before, limit, amount = deficits[nth], limit_of[nth], amounts[nth]
        local after = before
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
    -- Full at the mark, by the server's own clock.
    if full > 0 then full = now - real + full end
    if starts_low then full = full + 10000000 end
    return taken or operation ~= TAKE, state, done, changed, full
end

-- Returns the reply to a request that failed.
local function failed(is_done, err)
    return pack('>BI2c0', is_done and 3 or 2, #err, err)
end

-- Writes a state that has changed, or removes it. Returns the server's reply.
local function write(key, stored, state, full)
    -- The text from %d costs less than that of a number in a command.
    local millis = format('%d', ceil(full / 1000))
    if stored then
        -- A bucket that is full again need not be stored.
        return full > 0 and call('PSETEX', key, millis, state) or call('DEL', key)
    end
    -- MGET finds nothing if a value has another type. It stays, and GET returns the error.
    return full > 0 and call('SET', key, state, 'PX', millis, 'NX') or call('GET', key)
end

local states = byte(requests)
local values = call('MGET', unpack(KEYS, 1, states))
local is_denied = values.err
-- The records of this call, and the number of the last one's key.
local new_records, record = {}, states
-- The server's clock, and of each request two texts: whether it was taken, or an error; the rest.
local replies, last = { pack('>I7', real) }, 1
for nth_state = 1, states do
    local key, stored, changed, full, err = KEYS[nth_state], values[nth_state], false
    if is_denied then
        stored = call('GET', key)
        if type(stored) == 'table' then stored, err = false, stored.err end
    end
    local state, before, count, to_write = stored, last, byte(requests, at)
    at = at + 1
    for _ = 1, count do
        local operation, status, reply = byte(requests, at)
        at = at + 1
        local has_record = operation >= WITH_RECORD
        if has_record then
            operation, record = operation - WITH_RECORD, record + 1
            status, reply = '', new_records[KEYS[record]] or call('GET', KEYS[record])
        end
        if reply then
            -- It was executed before, or its record has another type.
            local limits = byte(requests, at)
            at = at + 1 + 9 * limits
            if type(reply) == 'table' then
                reply = failed(false, reply.err)
            elseif #reply ~= 8 + 14 * limits + (operation == TAKE and 0 or 7 * limits) then
                reply = failed(false, 'ERR the id is that of another kind of request')
            end
        else
            local taken, new_state, done, has_changed, micros = execute(operation, state)
            status, reply = taken and '\1' or '\0', new_state .. done
            if has_changed then
                changed, full, state = true, micros, micros > 0 and new_state
                if has_record then
                    new_records[KEYS[record]] = status .. reply
                    to_write = to_write or {}
                    to_write[last + 1] = { KEYS[record], read('>I4', requests, at) }
                end
            end
        end
        replies[last + 1], replies[last + 2] = status, reply
        last = last + 2
        if has_record then at = at + 4 end
    end

    if changed and not err then
        local result = write(key, stored, state, full)
        if type(result) == 'table' then err = result.err end
    end
    if err then
        for nth = before + 1, last, 2 do replies[nth], replies[nth + 1] = failed(false, err), '' end
    elseif to_write then
        for nth, new in pairs(to_write) do
            local problem = call('SET', new[1], new_records[new[1]], 'PX', new[2]).err
            if problem then replies[nth], replies[nth + 1] = failed(true, problem), '' end
        end
    end
end
return table.concat(replies)
