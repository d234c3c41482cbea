-- The generations of claims: which takes new ones, and until when the others are kept. The schema owner's
-- functions change them: inbox/store/schema/guards.

-- name: generations
SELECT generation, opened_at, closed_at, filter_bits, clock_timestamp() FROM {schema}.generations ORDER BY generation;

-- name: size
SELECT count(*) FROM ONLY {schema}.{generation};

-- name: switch
SELECT {schema}.switch_generation(%(generation)s::integer);

-- name: raise_horizon
SELECT {schema}.raise_horizon(%(generation)s::integer);

-- name: drop
SELECT {schema}.drop_generation(%(generation)s::integer, %(filters_from)s::integer);

-- name: horizons
SELECT partition_id, topic, partition, horizon_offset, horizon_time
FROM {schema}.partitions WHERE strpos(topic, '#') = 0 ORDER BY topic, partition;

-- name: horizon_seconds
SELECT extract(epoch FROM clock_timestamp() - max(horizon_time)) FROM {schema}.partitions WHERE strpos(topic, '#') = 0;

-- name: horizons_to_come
-- The horizons after the removal of this generation.
SELECT e.partition_id, e.until_offset
FROM {schema}.generations AS g, unnest(g.partition_ids, g.until_offsets) AS e (partition_id, until_offset)
WHERE g.generation = %(generation)s;
