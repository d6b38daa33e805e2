-- The table of brimful's buckets, and the function that decides. The names have the version of what they mean, so that
-- processes of two versions can work side by side.

CREATE TABLE IF NOT EXISTS brimful_buckets_v1 (
    key bytea NOT NULL,
    -- Empty: the buckets of the key. Otherwise: the record of the request with this id.
    id bytea NOT NULL,
    -- Of buckets: the mark, and for each limit the units in a token, and the units that are missing in a full bucket.
    -- Of a record: the reply.
    state bigint[] NOT NULL,
    -- The microsecond since 1970 from which the row can be deleted.
    expires bigint NOT NULL,
    PRIMARY KEY (key, id)
    -- Free space in each page: a row is updated there, without a new entry of the index.
) WITH (fillfactor = 60);

-- Token buckets of one key, one for each quota, decided together: all or nothing.
--
--   of_key      the key
--   operation   take, take_up_to, charge, add, reset or peek
--   request     the id of a request that may be repeated, or NULL
--   remembered  the microseconds for which it is remembered
--   limits      six numbers for each limit: units earned in a microsecond, units in a token, capacity, debt limit,
--               initial deficit, and the amount of the request
--
-- All numbers are below 2^53, so sums do not overflow. A product is taken only after a look at its size, or as numeric.
--
-- Returns whether the amounts were taken (1 or 0), the mark, the microseconds by which it is ahead of the server's clock,
-- and for each limit the deficit, and the units that were taken or given back.
--
-- The state is read without a lock. A decision that changes nothing ends there. Another one replaces the state if it is
-- still the one that was read; if it is not, the decision is made anew, with a lock. So two sessions never decide on the
-- same state, also for a key that is new: the second one waits for the first one's row.
CREATE OR REPLACE FUNCTION brimful_decide_v1(
    of_key bytea, operation text, request bytea, remembered bigint, limits bigint[]
) RETURNS bigint[] LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    counted CONSTANT integer := cardinality(limits) / 6;
    -- A request with an id is decided under the lock, so that two with the same id are decided one after the other.
    is_locked boolean := request IS NOT NULL;
    before bigint[];
    after bigint[];
    reply bigint[];
    clock bigint;
    mark bigint;
    passed bigint;
    taken integer;
    tokens bigint;
    is_changed boolean;
    starts_low boolean;
    is_done boolean;
    to_full bigint;
    at integer;
    per_micro bigint;
    per_token bigint;
    capacity bigint;
    amount bigint;
    deficit bigint;
    next bigint;
BEGIN
    -- An index has no room for longer keys.
    IF octet_length(of_key) > 1000 THEN of_key := sha256(of_key); END IF;
    LOOP
        IF is_locked THEN
            SELECT b.state INTO before FROM brimful_buckets_v1 b WHERE b.key = of_key AND b.id = '' FOR UPDATE;
            IF request IS NOT NULL THEN
                SELECT b.state INTO reply FROM brimful_buckets_v1 b WHERE b.key = of_key AND b.id = request;
                IF FOUND THEN RETURN reply; END IF;
            END IF;
        ELSE
            SELECT b.state INTO before FROM brimful_buckets_v1 b WHERE b.key = of_key AND b.id = '';
        END IF;
        -- After the lock, so that the clock has the order of the decisions. If it steps back, it stands still for the key.
        clock := extract(epoch FROM clock_timestamp()) * 1000000;
        mark := greatest(clock, before[1]);

        -- The deficits as of now, and whether the amounts can be taken, or how many tokens.
        reply := ARRAY[1, mark, mark - clock];
        taken := 1;
        tokens := 9223372036854775807;
        -- A bucket that starts with less than its capacity earns from now on, so it is stored.
        is_changed := operation = 'reset';
        starts_low := false;
        FOR nth IN 1..counted LOOP
            at := 6 * nth;
            per_token := limits[at - 4];
            capacity := limits[at - 3];
            deficit := limits[at - 1];
            amount := limits[at];
            IF deficit > 0 THEN starts_low := true; END IF;
            IF cardinality(before) > 2 * nth THEN
                per_micro := limits[at - 5];
                deficit := before[2 * nth + 1];
                IF before[2 * nth] <> per_token THEN
                    -- The quota has changed, and with it the unit. Rounded up.
                    deficit := least(ceil(deficit::numeric * per_token / before[2 * nth]), 9007199254740992);
                END IF;
                deficit := least(deficit, capacity + limits[at - 2]);
                passed := mark - before[1];
                IF passed >= (deficit + per_micro - 1) / per_micro THEN
                    deficit := 0;
                ELSE
                    deficit := deficit - passed * per_micro;
                END IF;
            ELSIF deficit > 0 THEN
                is_changed := true;
            END IF;
            IF amount > 0 AND deficit + amount > capacity THEN taken := 0; END IF;
            IF operation = 'take_up_to' THEN
                -- The same whole number of tokens from each bucket.
                tokens := least(tokens, least(greatest(capacity - deficit, 0), amount) / per_token);
            END IF;
            reply[2 * nth + 2] := deficit;
        END LOOP;
        IF operation <> 'take' THEN taken := 1; END IF;
        reply[1] := taken;

        after := ARRAY[mark];
        to_full := 0;
        FOR nth IN 1..counted LOOP
            at := 6 * nth;
            per_micro := limits[at - 5];
            per_token := limits[at - 4];
            amount := limits[at];
            deficit := reply[2 * nth + 2];
            next := CASE operation
                WHEN 'take' THEN deficit + taken * amount
                WHEN 'take_up_to' THEN deficit + tokens * per_token
                WHEN 'charge' THEN greatest(deficit, least(deficit + amount, limits[at - 3] + limits[at - 2]))
                WHEN 'add' THEN greatest(deficit - amount, 0)
                WHEN 'reset' THEN 0
                WHEN 'peek' THEN deficit
            END;
            reply[2 * nth + 2] := next;
            reply[2 * nth + 3] := abs(next - deficit);
            IF next <> deficit THEN is_changed := true; END IF;
            after := after || per_token || next;
            to_full := greatest(to_full, (next + per_micro - 1) / per_micro);
        END LOOP;
        IF NOT is_changed THEN RETURN reply; END IF;

        -- A bucket that would start with less is kept for ten seconds after it is full.
        IF starts_low THEN to_full := to_full + 10000000; END IF;
        IF to_full = 0 THEN
            -- A full bucket need not be stored.
            DELETE FROM brimful_buckets_v1 b WHERE b.key = of_key AND b.id = '' AND b.state = before;
            is_done := FOUND OR before IS NULL;
        ELSIF before IS NULL THEN
            INSERT INTO brimful_buckets_v1 VALUES (of_key, '', after, mark + to_full) ON CONFLICT DO NOTHING;
            is_done := FOUND;
        ELSE
            UPDATE brimful_buckets_v1 b SET state = after, expires = mark + to_full
                WHERE b.key = of_key AND b.id = '' AND b.state = before;
            is_done := FOUND;
        END IF;
        EXIT WHEN is_done;
        is_locked := true;
    END LOOP;
    IF request IS NOT NULL THEN
        INSERT INTO brimful_buckets_v1 VALUES (of_key, request, reply, clock + remembered) ON CONFLICT DO NOTHING;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'the request was decided at the same time' USING ERRCODE = 'serialization_failure';
        END IF;
    END IF;
    RETURN reply;
END
$$;
