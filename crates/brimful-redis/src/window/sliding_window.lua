-- The sliding window of one key: at most so many tokens in any window of the length.
--
-- KEYS[1]  the log
-- KEYS[2]  the record of the request's id, if it has one
-- ARGV     operation, lifetime of the record in ms, limit, length of the window, length of a sub-window, number of
--          sub-windows, cost
--
-- The log has the grants of the window, the newest first. A grant counts until it is exactly as old as the window. If there
-- are more grants than sub-windows + 1, those of the same sub-window become one, at the instant of the newest, so the
-- older ones count for longer, by less than a sub-window. A window touches at most that many sub-windows. So there are
-- never more entries, and never less counts than was granted in the window that ends now.
--
-- The log is stored as the instant of the newest grant and its tokens, and for each older grant the time to the next
-- newer one and the tokens. Times are in microseconds. All numbers are integers below 2^53, for which the arithmetic of
-- doubles is exact: a quotient of two is rounded to an integer only if it is one.
--
-- Returns whether the cost was taken, or would be (1 or 0), the microseconds by which the newest grant is ahead of the
-- server's clock, the tokens that count now, the microseconds until a refused cost is admitted, and those until nothing
-- counts.
local operation = ARGV[1]
local limit, window, part = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local parts, cost = tonumber(ARGV[6]), tonumber(ARGV[7])
local floor = math.floor

if KEYS[2] then
    local record = redis.call('GET', KEYS[2])
    if record then return cmsgpack.unpack(record) end
end
if operation == 'reset' then
    redis.call('DEL', KEYS[1])
    return { 1, 0, 0, 0, 0 }
end

local time = redis.call('TIME')
local real = time[1] * 1000000 + time[2]
local state = redis.call('GET', KEYS[1])
local log = state and cmsgpack.unpack(state) or { real }
-- A server's clock that steps back stands still for this key.
local now = math.max(real, log[1])

local times, tokens, count, used, at = {}, {}, 0, 0
for nth = 1, #log - 1, 2 do
    at = nth == 1 and log[1] or at - log[nth]
    if at + window <= now then break end
    count, used = count + 1, used + log[nth + 1]
    times[count], tokens[count] = at, log[nth + 1]
end

local wait, missing = 0, used + cost - limit
local admitted = cost == 0 or missing <= 0
if not admitted then
    -- The oldest grants leave the window first.
    for nth = count, 1, -1 do
        missing = missing - tokens[nth]
        if missing <= 0 then
            wait = times[nth] + window - now
            break
        end
    end
end

local takes = operation == 'take' and admitted and cost > 0
if takes then
    used = used + cost
    if times[1] == now then
        tokens[1] = tokens[1] + cost
    else
        table.insert(times, 1, now)
        table.insert(tokens, 1, cost)
        count = count + 1
    end
    if count > parts + 1 then
        local last = 1
        for nth = 2, count do
            if floor(times[nth] / part) == floor(times[last] / part) then
                tokens[last] = tokens[last] + tokens[nth]
            else
                last = last + 1
                times[last], tokens[last] = times[nth], tokens[nth]
            end
        end
        count = last
    end
    log = { times[1], tokens[1] }
    for nth = 2, count do
        log[2 * nth - 1], log[2 * nth] = times[nth - 1] - times[nth], tokens[nth]
    end
    -- A millisecond more, because the server counts the time to live from a reading before this one.
    redis.call('PSETEX', KEYS[1], math.ceil((now - real + window) / 1000) + 1, cmsgpack.pack(log))
end

local reply = { admitted and 1 or 0, now - real, used, wait, count > 0 and times[1] + window - now or 0 }
if takes and KEYS[2] then
    redis.call('SET', KEYS[2], cmsgpack.pack(reply), 'PX', ARGV[2])
end
return reply
