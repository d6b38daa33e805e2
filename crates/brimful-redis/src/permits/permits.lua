-- The permits of one key. Each is a lease: it is held until it is released, or until its lease ends.
--
-- KEYS[1]  the holders: a sorted set of ids, by the instants at which the leases end; and of '', by the mark
-- KEYS[2]  the waiters: a sorted set of places, by the instants at which the places are lost. A place is a number of 7
--          bytes, and the id of the waiter.
-- ARGV     operation, length of a lease, time for which a place is kept
--   take     the limit, the id, and whether the caller waits (1 or 0)
--   renew    the ids
--   release  the ids
--   peek
--
-- The mark is the latest instant of the key: of a grant, of a new place, or of a renewal. A server's clock that steps back
-- stands still at it. Each grant and each new place raises it, so that its number is above all before. It is kept for a
-- lease after the last one has ended. Times are in microseconds, integers below 2^53.
--
-- `take` returns whether the permit is granted (1 or 0), its number, the permits that others hold, the waiters before the
-- caller, and the microseconds until the first lease ends. `renew` returns 1 for each lease that went on, and 0 for each
-- that had ended. `release` returns the number of permits. `peek` returns the permits that are held and the waiters.
local operation, lease, patience = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local holders, waiters = KEYS[1], KEYS[2]

local time = redis.call('TIME')
local real = time[1] * 1000000 + time[2]
local mark = tonumber(redis.call('ZSCORE', holders, '') or 0)
local now = math.max(real, mark)

-- Returns the lower end of the scores that are later than now.
local function later()
    return string.format('(%.0f', now)
end

-- Removes what has ended, writes the mark, and lets the keys expire.
local function settle()
    redis.call('ZREMRANGEBYSCORE', holders, '-inf', now)
    redis.call('ZADD', holders, now, '')
    local last = redis.call('ZRANGE', holders, -1, -1, 'WITHSCORES')[2]
    redis.call('PEXPIRE', holders, math.ceil((last - real + lease) / 1000) + 1)
    redis.call('ZREMRANGEBYSCORE', waiters, '-inf', now)
    redis.call('PEXPIRE', waiters, math.ceil((now - real + patience) / 1000) + 1)
end

local function number_of(place)
    return (struct.unpack('>I7', place))
end

if operation == 'take' then
    local limit, id, waits = tonumber(ARGV[4]), ARGV[5], ARGV[6] == '1'
    local held = redis.call('ZCOUNT', holders, later(), '+inf')
    -- A call that is repeated, because its reply was lost, holds its permit already.
    local ends = tonumber(redis.call('ZSCORE', holders, id) or 0)
    local holds = ends > now
    if holds then held = held - 1 end

    local places, own = redis.call('ZRANGEBYSCORE', waiters, later(), '+inf')
    for _, place in ipairs(places) do
        if string.sub(place, 8) == id then own = place end
    end
    local ahead = 0
    for _, place in ipairs(places) do
        if place ~= own and not (own and number_of(place) > number_of(own)) then ahead = ahead + 1 end
    end

    local granted = holds or held + ahead < limit
    if granted or (waits and not own) then now = math.max(real, mark + 1) end
    if granted then
        redis.call('ZADD', holders, now + lease, id)
        if own then redis.call('ZREM', waiters, own) end
        settle()
    elseif waits then
        own = own or struct.pack('>I7', now) .. id
        redis.call('ZADD', waiters, now + patience, own)
        settle()
    end
    local first = redis.call('ZRANGEBYSCORE', holders, later(), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]
    return { granted and 1 or 0, now, held, ahead, first and first - now or 0 }
elseif operation == 'renew' then
    local renewed = {}
    for nth = 4, #ARGV do
        local ends = tonumber(redis.call('ZSCORE', holders, ARGV[nth]) or 0)
        renewed[nth - 3] = ends > now and 1 or 0
        if ends > now then redis.call('ZADD', holders, math.max(ends, now + lease), ARGV[nth]) end
    end
    if mark > 0 then settle() end
    return renewed
elseif operation == 'release' then
    local released = redis.call('ZREM', holders, unpack(ARGV, 4))
    for _, place in ipairs(redis.call('ZRANGE', waiters, 0, -1)) do
        for nth = 4, #ARGV do
            if string.sub(place, 8) == ARGV[nth] then redis.call('ZREM', waiters, place) end
        end
    end
    if mark > 0 then settle() end
    return released
end
return {
    redis.call('ZCOUNT', holders, later(), '+inf'),
    redis.call('ZCOUNT', waiters, later(), '+inf'),
}
