-- Reads of an audit from the claims, the dead letters and the ledger. They change nothing.

-- name: bounds
-- A row of the ledger that a resume set aside has a # in its topic, and belongs to another log.
SELECT partition_id, topic, partition, start_offset, next_offset, coalesce(horizon_offset, 0)
FROM {schema}.partitions WHERE strpos(topic, '#') = 0 ORDER BY topic, partition;

-- name: horizon
SELECT coalesce(horizon_offset, 0) FROM {schema}.partitions WHERE partition_id = %(partition_id)s;

-- name: route_starts
SELECT partition_id, route_id, from_offset FROM {schema}.route_starts WHERE partition_id = ANY (%(partition_ids)s);

-- name: routes
SELECT name, route_id FROM {schema}.routes WHERE retired_at IS NULL;

-- name: claims
-- The number of claims and the sum of their fingerprints, per route and chunk of offsets. Reads the table once:
-- there is no index by offset.
SELECT c.partition_id, c.route_id, c.kafka_offset >> %(bits)s::integer AS chunk, count(*),
    sum(('x' || encode(substring(sha256(uuid_send(c.event_id) || int8send(c.kafka_offset)) FROM 1 FOR 8), 'hex'))
        ::bit(64)::bigint)::text
FROM {schema}.processed AS c
JOIN unnest(%(partition_ids)s, %(froms)s::bigint[], %(untils)s::bigint[])
    AS range (partition_id, from_offset, until_offset) USING (partition_id)
WHERE c.kafka_offset >= range.from_offset AND c.kafka_offset < range.until_offset
GROUP BY 1, 2, 3;

-- name: claims_of_chunks
-- The claims of the chunks that differ, in the order of the log. Reads the table a second time.
SELECT c.partition_id, c.kafka_offset >> %(bits)s::integer AS chunk, c.kafka_offset, c.route_id, c.event_id
FROM {schema}.processed AS c
JOIN unnest(%(partition_ids)s, %(route_ids)s::integer[], %(chunks)s::bigint[]) AS meant (partition_id, route_id, chunk)
    ON meant.partition_id = c.partition_id AND meant.route_id = c.route_id
    AND meant.chunk = c.kafka_offset >> %(bits)s::integer
ORDER BY 1, 2, 3;

-- name: foreign_claims
-- Claims of an unregistered partition or route, or past all that the partition ever settled. A batch's claims and
-- its move in the ledger commit together, so a snapshot always has both or neither.
SELECT c.partition_id, p.topic, p.partition, r.name, c.event_id, c.kafka_offset
FROM {schema}.processed AS c
LEFT JOIN {schema}.partitions AS p USING (partition_id)
LEFT JOIN {schema}.routes AS r USING (route_id)
WHERE c.partition_id <> 0
    AND (p.partition_id IS NULL OR r.route_id IS NULL OR c.kafka_offset >= p.reached_offset);

-- name: unlike
-- The events without a claim of their own: index (from 0), and the coordinates of the claim of their id, if there
-- is one. One look-up per id, whatever the planner assumes about the table's size.
SELECT place - 1, c.partition_id, p.topic, p.partition, c.kafka_offset
FROM unnest(%(ids)s, %(offsets)s) WITH ORDINALITY AS e (event_id, kafka_offset, place)
LEFT JOIN LATERAL (
    SELECT claim.partition_id, claim.kafka_offset FROM {schema}.processed AS claim
    WHERE claim.event_id = e.event_id AND claim.route_id = %(route_id)s
    ORDER BY claim.partition_id = %(partition_id)s AND claim.kafka_offset = e.kafka_offset DESC LIMIT 1
) AS c ON true
LEFT JOIN {schema}.partitions AS p ON p.partition_id = c.partition_id
WHERE (c.partition_id = %(partition_id)s AND c.kafka_offset = e.kafka_offset) IS NOT TRUE;

-- name: letters
SELECT route_id, kafka_offset, state FROM {schema}.dead_letters
WHERE route_id = ANY (%(route_ids)s::smallint[]) AND partition_id = %(partition_id)s
    AND kafka_offset >= %(from_offset)s AND kafka_offset < %(until_offset)s AND state <> 'retried';

-- name: identified
-- The ids that a person gave to events whose records have none.
SELECT route_id, kafka_offset, event_id FROM {schema}.dead_letters
WHERE route_id = ANY (%(route_ids)s::smallint[]) AND partition_id = %(partition_id)s
    AND kafka_offset = ANY (%(offsets)s::bigint[]) AND edited_at IS NOT NULL AND event_id IS NOT NULL;

-- name: given_up
-- The offsets that a resume passed over in the same log.
SELECT from_offset, to_offset FROM {schema}.resumptions
WHERE partition_id = %(partition_id)s AND to_offset > from_offset
    AND from_topic_id IS NOT DISTINCT FROM to_topic_id AND from_cluster_id = to_cluster_id;

-- name: ledger
SELECT partition_id, topic, partition, start_offset, next_offset, reached_offset,
    applied, duplicate, filtered, dead_lettered
FROM {schema}.partitions WHERE strpos(topic, '#') = 0 ORDER BY topic, partition;

-- name: tiles
SELECT from_offset, until_offset, applied, duplicate, filtered, dead_lettered
FROM {schema}.progress WHERE partition_id = %(partition_id)s ORDER BY from_offset;
