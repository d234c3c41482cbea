-- Parked events, whole.

-- name: park
-- Unique by route and coordinates: what is parked already is not parked twice.
INSERT INTO {schema}.dead_letters (
    event_id, route_id, partition_id, kafka_offset, kafka_timestamp, type,
    key, value, headers, error_class, error, attempts, state
) VALUES (
    %(event_id)s, %(route_id)s, %(partition_id)s, %(kafka_offset)s, %(kafka_timestamp)s, %(type)s,
    %(key)s, %(value)s, %(headers)s, %(error_class)s, %(error)s, %(attempts)s, %(state)s
)
ON CONFLICT (route_id, partition_id, kafka_offset) DO NOTHING;

-- name: parked_keys
SELECT DISTINCT route_id, partition_id, key
FROM {schema}.dead_letters
WHERE partition_id = ANY (%(partition_ids)s) AND state IN ('parked', 'waiting') AND key IS NOT NULL;

-- name: parked_within_an_hour
SELECT count(*) FROM {schema}.dead_letters
WHERE created_at > now() - interval '1 hour' AND state = 'parked';

-- name: count_by_state
SELECT state, count(*) FROM {schema}.dead_letters WHERE state IN ('parked', 'waiting') GROUP BY state;
