-- The generations of claims: which takes new ones, and until when the others are kept.

-- name: generations
SELECT generation, opened_at, closed_at, filter_bits, clock_timestamp() FROM {schema}.generations ORDER BY generation;

-- name: size
SELECT count(*) FROM ONLY {schema}.{generation};

-- name: switch
-- Whatever came again until now, from wherever in the log, lies before the offset that its partition has reached.
-- Not before a sink has started here: it begins with generation 0.
WITH moved AS (
    UPDATE {schema}.sink SET generation = %(generation)s::integer + 1 RETURNING generation
), ended AS (
    SELECT array_agg(partition_id ORDER BY partition_id) AS partition_ids,
        array_agg(reached_offset ORDER BY partition_id) AS until_offsets
    FROM {schema}.partitions
), closed AS (
    UPDATE {schema}.generations AS g
    SET closed_at = clock_timestamp(), partition_ids = ended.partition_ids, until_offsets = ended.until_offsets
    FROM ended, moved WHERE g.generation = moved.generation - 1
)
INSERT INTO {schema}.generations (generation, opened_at) SELECT generation, clock_timestamp() FROM moved;

-- name: raise_horizon
-- First: from now on nobody sends the ledger back below. Not while something below is being settled again, whose claims
-- are wanted.
WITH ends AS (
    SELECT e.partition_id, e.until_offset, g.closed_at
    FROM {schema}.generations AS g, unnest(g.partition_ids, g.until_offsets) AS e (partition_id, until_offset)
    WHERE g.generation = %(generation)s AND g.closed_at IS NOT NULL
), locked AS (
    SELECT p.partition_id, ends.until_offset, ends.closed_at,
        p.next_offset < ends.until_offset AND strpos(p.topic, '#') = 0 AS settled_again
    FROM {schema}.partitions AS p JOIN ends USING (partition_id)
    ORDER BY p.partition_id FOR NO KEY UPDATE OF p
), held AS (
    SELECT coalesce(bool_or(settled_again), false) AS up FROM locked
), raised AS (
    UPDATE {schema}.partitions AS p
    SET horizon_offset = greatest(p.horizon_offset, locked.until_offset),
        horizon_time = greatest(p.horizon_time, locked.closed_at)
    FROM locked, held WHERE p.partition_id = locked.partition_id AND NOT held.up
)
SELECT NOT up FROM held;

-- name: forget
WITH filters AS (DELETE FROM {schema}.generation_filters WHERE generation < %(filters_from)s)
DELETE FROM {schema}.generations WHERE generation = %(generation)s;

-- name: horizons
SELECT partition_id, topic, partition, horizon_offset, horizon_time
FROM {schema}.partitions WHERE strpos(topic, '#') = 0 ORDER BY topic, partition;

-- name: horizon_seconds
SELECT extract(epoch FROM clock_timestamp() - max(horizon_time)) FROM {schema}.partitions WHERE strpos(topic, '#') = 0;

-- name: horizons_to_come
-- What the horizons will be once this generation went.
SELECT e.partition_id, e.until_offset
FROM {schema}.generations AS g, unnest(g.partition_ids, g.until_offsets) AS e (partition_id, until_offset)
WHERE g.generation = %(generation)s;
