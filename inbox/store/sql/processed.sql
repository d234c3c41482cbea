-- The claims: one row for each event that took effect through a route.
--
-- The tables of all generations inherit from `processed`: a query of `processed` reads them all. `generation`
-- stands for the one that a statement concerns: mostly the youngest, which takes the new claims.

-- name: youngest
SELECT generation FROM {schema}.sink;

-- name: in_older
-- One look-up per id and generation, whatever the planner assumes about their sizes.
SELECT s.event_id FROM unnest(%(ids)s::uuid[]) AS s (event_id)
WHERE EXISTS (
    SELECT FROM {schema}.processed AS c
    WHERE c.event_id = s.event_id AND c.route_id = %(route_id)s AND c.tableoid <> '{schema}.{generation}'::regclass OFFSET 0
);

-- name: in_one
SELECT s.event_id FROM unnest(%(ids)s::uuid[]) AS s (event_id)
WHERE EXISTS (
    SELECT FROM ONLY {schema}.{generation} AS c
    WHERE c.event_id = s.event_id AND c.route_id = %(route_id)s OFFSET 0
);

-- name: claim_new
-- Fails where an id has a claim. Sorted by id, as `claim` is.
INSERT INTO {schema}.{generation} (event_id, kafka_offset, payload_hash, partition_id, route_id)
SELECT event_id, kafka_offset, payload_hash, partition_id, %(route_id)s
FROM unnest(%(ids)s, %(offsets)s, %(hashes)s, %(partition_ids)s)
    AS o (event_id, kafka_offset, payload_hash, partition_id)
ORDER BY event_id;

-- name: claim
-- Takes the new ids and returns the indexes (from 0) of the others. One statement, sorted by id, so that two
-- workers with the same ids wait for each other instead of deadlocking; of equal ids in it the first wins.
WITH offered AS MATERIALIZED (
    SELECT event_id, kafka_offset, payload_hash, partition_id, place
    FROM unnest(%(ids)s, %(offsets)s, %(hashes)s, %(partition_ids)s) WITH ORDINALITY
        AS o (event_id, kafka_offset, payload_hash, partition_id, place)
), claimed AS (
    INSERT INTO {schema}.{generation} (event_id, kafka_offset, payload_hash, partition_id, route_id)
    SELECT event_id, kafka_offset, payload_hash, partition_id, %(route_id)s
    FROM offered WHERE event_id NOT IN (SELECT unnest(%(older)s::uuid[])) ORDER BY event_id, place
    ON CONFLICT DO NOTHING
    RETURNING event_id, partition_id, kafka_offset
)
SELECT place - 1
FROM offered LEFT JOIN claimed USING (event_id, partition_id, kafka_offset)
WHERE claimed.event_id IS NULL
ORDER BY place;

-- name: claim_again
-- For a replay that lets events take effect again: returns the indexes (from 0) of the events that hold the claim
-- of their id from now on. Discarded events are left out, and duplicates of another event too. An adopted claim
-- (partition_id 0) had no known coordinates until now.
WITH offered AS MATERIALIZED (
    SELECT event_id, kafka_offset, partition_id, place
    FROM unnest(%(ids)s, %(offsets)s, %(partition_ids)s) WITH ORDINALITY
        AS o (event_id, kafka_offset, partition_id, place)
)
UPDATE {schema}.processed AS c
SET replay_id = %(replay_id)s, partition_id = o.partition_id, kafka_offset = o.kafka_offset
FROM offered AS o
WHERE c.event_id = o.event_id AND c.route_id = %(route_id)s
    AND (c.partition_id = 0 OR (c.partition_id = o.partition_id AND c.kafka_offset = o.kafka_offset))
    AND c.replay_id IS DISTINCT FROM %(replay_id)s
    AND NOT EXISTS (
        SELECT FROM {schema}.dead_letters AS d
        WHERE d.route_id = c.route_id AND d.partition_id = o.partition_id AND d.kafka_offset = o.kafka_offset
            AND d.state = 'discarded'
    )
RETURNING o.place - 1;

-- name: renew
-- An id that came again, from elsewhere in the log, was seen now. Its claim moves from an older generation into
-- the youngest, so that it is kept as long as its last appearance requires. `leave_older` is the other half.
WITH offered AS MATERIALIZED (
    SELECT DISTINCT ON (event_id) event_id, partition_id, kafka_offset
    FROM unnest(%(ids)s, %(partition_ids)s, %(offsets)s) AS o (event_id, partition_id, kafka_offset)
    ORDER BY event_id
)
INSERT INTO {schema}.{generation}
SELECT c.* FROM offered AS o CROSS JOIN LATERAL (
    SELECT * FROM {schema}.processed AS c
    WHERE c.event_id = o.event_id AND c.route_id = %(route_id)s
        AND c.tableoid <> '{schema}.{generation}'::regclass
        AND (c.partition_id, c.kafka_offset) <> (o.partition_id, o.kafka_offset) OFFSET 0
) AS c
ON CONFLICT DO NOTHING;

-- name: leave_older
SELECT {schema}.leave_older(%(ids)s::uuid[], %(route_id)s::smallint);

-- name: claims_of
-- One look-up per id, whatever the planner assumes about the table's size.
SELECT c.event_id, p.topic, p.partition, c.kafka_offset, c.payload_hash
FROM unnest(%(ids)s) AS wanted (event_id)
CROSS JOIN LATERAL (
    SELECT * FROM {schema}.processed WHERE processed.event_id = wanted.event_id AND route_id = %(route_id)s OFFSET 0
) AS c
JOIN {schema}.partitions AS p USING (partition_id);

-- name: places_of
SELECT c.event_id, c.partition_id, c.kafka_offset
FROM unnest(%(ids)s) AS wanted (event_id)
CROSS JOIN LATERAL (
    SELECT * FROM {schema}.processed WHERE processed.event_id = wanted.event_id AND route_id = %(route_id)s OFFSET 0
) AS c;

-- name: count_claimed
SELECT count(*) FROM unnest(%(ids)s) AS wanted (event_id)
WHERE EXISTS (
    SELECT FROM {schema}.processed AS c
    WHERE c.event_id = wanted.event_id AND c.route_id = %(route_id)s OFFSET 0
);

-- name: withdraw
-- Takes back claims of this transaction, for events that were set aside after all.
SELECT {schema}.withdraw_claims(%(ids)s::uuid[], %(route_id)s::smallint);
