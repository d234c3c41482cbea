-- The dead letters, each with its whole event.

-- name: park
-- Unique by route and coordinates: an event that is parked already is not parked twice. A resolved one that comes
-- again (a replay of an event without a claim) is open again, as the worker that parks it expects.
INSERT INTO {schema}.dead_letters AS d (
    event_id, route_id, partition_id, kafka_offset, kafka_timestamp, kafka_milliseconds, type,
    key, value, headers, error_class, error, error_detail, cause, cause_kind, attempts, state,
    replay_id, retry_at, payload_hash
) VALUES (
    %(event_id)s, %(route_id)s, %(partition_id)s, %(kafka_offset)s, %(kafka_timestamp)s, %(kafka_milliseconds)s,
    %(type)s, %(key)s, %(value)s, %(headers)s, %(error_class)s, %(error)s, %(error_detail)s,
    %(cause)s, %(cause_kind)s, %(attempts)s, %(state)s, %(replay_id)s,
    now() + %(retry_in)s::interval, %(payload_hash)s
)
ON CONFLICT (route_id, partition_id, kafka_offset) DO UPDATE
SET state = excluded.state, error_class = excluded.error_class, error = excluded.error,
    error_detail = excluded.error_detail, cause = excluded.cause, cause_kind = excluded.cause_kind,
    attempts = d.attempts + excluded.attempts, replay_id = excluded.replay_id,
    retries = 0, retry_at = excluded.retry_at,
    updated_at = now(), resolved_at = NULL, resolved_by = NULL
WHERE d.state IN ('retried', 'discarded');

-- name: fail_again
UPDATE {schema}.dead_letters
SET state = 'parked', error_class = %(error_class)s, error = %(error)s, error_detail = %(error_detail)s,
    cause = %(cause)s, cause_kind = %(cause_kind)s, attempts = attempts + %(attempts)s, updated_at = now(),
    retry_at = CASE
        WHEN %(retry_in)s::interval IS NULL THEN NULL
        WHEN state = 'waiting' THEN now() + %(retry_in)s::interval
        ELSE retry_at
    END
WHERE dead_letter_id = %(dead_letter_id)s;

-- name: due
-- An event whose key has an earlier open one waits for that, whatever its own time.
SELECT d.dead_letter_id, d.route_id, d.partition_id, d.key, d.cause_kind, d.retries
FROM {schema}.dead_letters AS d
JOIN {schema}.partitions AS p USING (partition_id)
WHERE d.partition_id = ANY (%(partition_ids)s) AND d.route_id = ANY (%(route_ids)s::smallint[])
    AND d.state = 'parked' AND d.retry_at <= now()
    AND d.kafka_offset < p.reached_offset
    AND (
        d.key IS NULL OR %(any_order)s OR NOT EXISTS (
            SELECT FROM {schema}.dead_letters AS e
            WHERE e.route_id = d.route_id AND e.partition_id = d.partition_id AND e.key = d.key
                AND e.kafka_offset < d.kafka_offset AND e.state IN ('parked', 'waiting')
        )
    )
ORDER BY d.partition_id, d.retry_at LIMIT %(limit)s;

-- name: postpone
UPDATE {schema}.dead_letters AS d
SET retries = d.retries + 1, retry_at = now() + wanted.delay
FROM unnest(%(ids)s::bigint[], %(delays)s::interval[]) AS wanted (dead_letter_id, delay)
WHERE d.dead_letter_id = wanted.dead_letter_id AND d.state = 'parked';

-- name: selected
-- The dead letters that a person selects, in the order in which they would be applied. A row of the ledger that a
-- resume set aside has a # in its topic.
SELECT d.dead_letter_id
FROM {schema}.dead_letters AS d
JOIN {schema}.routes AS r USING (route_id)
JOIN {schema}.partitions AS p USING (partition_id)
WHERE d.state = ANY (%(states)s)
    AND (%(ids)s::bigint[] IS NULL OR d.dead_letter_id = ANY (%(ids)s))
    AND (%(topic)s::text IS NULL OR split_part(p.topic, '#', 1) = %(topic)s)
    AND (%(route)s::text IS NULL OR r.name = %(route)s)
    AND (%(key)s::bytea IS NULL OR d.key = %(key)s)
    AND (
        %(error)s::text IS NULL OR strpos(lower(d.error), lower(%(error)s::text)) > 0
        OR strpos(lower(d.error_detail), lower(%(error)s::text)) > 0
    )
    AND (
        %(cause)s::text IS NULL OR d.cause = %(cause)s
        OR d.dead_letter_id = ANY (%(of_earlier_versions)s::bigint[])
    )
    AND (%(older_than)s::interval IS NULL OR d.created_at < now() - %(older_than)s::interval)
ORDER BY r.name, p.topic, p.partition, d.key NULLS LAST, d.kafka_offset;

-- name: causes
-- The parked events by cause, and of each cause the event that was parked first.
SELECT c.cause, c.kind, r.name, e.error_class, e.error, c.parked, c.keys, c.first, c.last, c.topics, c.example
FROM (
    SELECT d.cause, min(d.cause_kind) AS kind, min(d.route_id) AS route_id, count(*) AS parked,
        count(DISTINCT (d.partition_id, d.key)) FILTER (WHERE d.key IS NOT NULL)
            + count(*) FILTER (WHERE d.key IS NULL) AS keys,
        min(d.created_at) AS first, max(d.created_at) AS last,
        array_agg(DISTINCT split_part(p.topic, '#', 1)) AS topics, min(d.dead_letter_id) AS example
    FROM {schema}.dead_letters AS d
    JOIN {schema}.partitions AS p USING (partition_id)
    WHERE d.state = 'parked' AND d.cause IS NOT NULL
    GROUP BY d.cause
) AS c
JOIN {schema}.dead_letters AS e ON e.dead_letter_id = c.example
JOIN {schema}.routes AS r ON r.route_id = c.route_id
ORDER BY c.parked DESC, c.example;

-- name: without_cause
-- What a version before causes parked.
SELECT d.dead_letter_id, d.route_id, r.name, split_part(p.topic, '#', 1), d.partition_id, d.key,
    d.error_class, d.error, d.created_at
FROM {schema}.dead_letters AS d
JOIN {schema}.routes AS r USING (route_id)
JOIN {schema}.partitions AS p USING (partition_id)
WHERE d.state = 'parked' AND d.cause IS NULL
ORDER BY d.dead_letter_id;

-- name: letters
-- In the order of the given ids; content that may be large or secret is read only on request.
SELECT d.dead_letter_id, d.state, d.route_id, r.name, d.partition_id, split_part(p.topic, '#', 1), p.topic_id, p.partition,
    d.kafka_offset, d.kafka_milliseconds, d.event_id, d.type, d.key, d.error_class, d.error, d.attempts,
    d.created_at, d.updated_at, d.resolved_at, d.resolved_by, d.cause,
    CASE WHEN %(whole)s THEN d.value END, CASE WHEN %(whole)s THEN d.headers END,
    CASE WHEN %(whole)s THEN d.error_detail END, d.error_detail IS NOT NULL,
    d.edited_at, d.edited_by,
    CASE WHEN %(whole)s THEN d.original_value END, CASE WHEN %(whole)s THEN d.original_headers END, d.redacted_at,
    d.payload_hash
FROM unnest(%(ids)s::bigint[]) WITH ORDINALITY AS wanted (dead_letter_id, place)
JOIN {schema}.dead_letters AS d USING (dead_letter_id)
JOIN {schema}.routes AS r USING (route_id)
JOIN {schema}.partitions AS p USING (partition_id)
ORDER BY wanted.place;

-- name: sizes
-- The number of bytes that `letters` sends for each, in the order of the given ids.
SELECT d.dead_letter_id, coalesce(octet_length(d.key), 0) + octet_length(d.error)
    + CASE WHEN %(whole)s
        THEN coalesce(octet_length(d.value), 0) + octet_length(d.headers::text)
            + coalesce(octet_length(d.error_detail), 0)
            + coalesce(octet_length(d.original_value), 0) + coalesce(octet_length(d.original_headers::text), 0)
        ELSE 0
    END
FROM unnest(%(ids)s::bigint[]) WITH ORDINALITY AS wanted (dead_letter_id, place)
JOIN {schema}.dead_letters AS d USING (dead_letter_id)
ORDER BY wanted.place;

-- name: concerned
-- The open dead letters among those selected, and all other open ones of their keys.
WITH chosen AS (
    SELECT dead_letter_id, route_id, partition_id, key
    FROM {schema}.dead_letters
    WHERE dead_letter_id = ANY (%(ids)s::bigint[]) AND state IN ('parked', 'waiting')
), keys AS (
    SELECT DISTINCT route_id, partition_id, key FROM chosen WHERE key IS NOT NULL
), concerned AS (
    SELECT dead_letter_id FROM chosen
    UNION
    SELECT d.dead_letter_id FROM {schema}.dead_letters AS d JOIN keys USING (route_id, partition_id, key)
    WHERE d.state IN ('parked', 'waiting')
)
SELECT d.dead_letter_id, d.state, d.route_id, r.name, d.partition_id, split_part(p.topic, '#', 1), p.partition, d.kafka_offset, d.key,
    d.dead_letter_id = ANY (%(ids)s::bigint[]) AS selected,
    EXISTS (
        SELECT FROM {schema}.processed AS c WHERE c.event_id = d.event_id AND c.route_id = d.route_id
    ) AS claimed,
    d.updated_at, p.owner_epoch
FROM concerned
JOIN {schema}.dead_letters AS d USING (dead_letter_id)
JOIN {schema}.routes AS r USING (route_id)
JOIN {schema}.partitions AS p USING (partition_id)
ORDER BY r.name, p.topic, p.partition, d.key NULLS LAST, d.kafka_offset;

-- name: open_of
-- By key and by id, of one route and partition, in the order of offsets. An event that a person parked before the
-- sink reached it has to wait for the earlier events of its key.
SELECT dead_letter_id
FROM (
    SELECT d.dead_letter_id, d.kafka_offset
    FROM unnest(%(keys)s::bytea[]) AS wanted (key)
    JOIN {schema}.dead_letters AS d ON d.key = wanted.key
    WHERE d.route_id = %(route_id)s AND d.partition_id = %(partition_id)s AND d.state IN ('parked', 'waiting')
        AND d.kafka_offset < (SELECT reached_offset FROM {schema}.partitions WHERE partition_id = %(partition_id)s)
    UNION ALL
    SELECT dead_letter_id, kafka_offset FROM {schema}.dead_letters
    WHERE dead_letter_id = ANY (%(ids)s::bigint[]) AND state IN ('parked', 'waiting')
) AS open
ORDER BY kafka_offset LIMIT %(limit)s;

-- name: still_open
SELECT dead_letter_id FROM {schema}.dead_letters
WHERE dead_letter_id = ANY (%(ids)s::bigint[]) AND state IN ('parked', 'waiting')
ORDER BY kafka_offset;

-- name: edit
-- The first edit keeps what came; later ones leave it. An id that came stays.
UPDATE {schema}.dead_letters
SET original_value = CASE WHEN edited_at IS NULL THEN value ELSE original_value END,
    original_headers = CASE WHEN edited_at IS NULL THEN headers ELSE original_headers END,
    event_id = coalesce(event_id, %(event_id)s), value = %(value)s, headers = %(headers)s, edited_at = now(), edited_by = %(by)s, updated_at = now()
WHERE dead_letter_id = %(dead_letter_id)s AND state IN ('parked', 'waiting');

-- name: redact
-- The key of an open one stays: later events of its key wait behind it.
UPDATE {schema}.dead_letters
SET key = CASE WHEN state IN ('parked', 'waiting') THEN key END, value = NULL, headers = '[]', error_detail = NULL,
    original_value = NULL, original_headers = NULL, redacted_at = now()
WHERE dead_letter_id = ANY (%(ids)s::bigint[]) AND redacted_at IS NULL;

-- name: resolve
UPDATE {schema}.dead_letters
SET state = %(state)s, resolved_by = %(by)s, resolved_at = now(), updated_at = now()
WHERE dead_letter_id = ANY (%(ids)s::bigint[]);

-- name: resolve_applied
-- A replay applied what was parked, and so made its claim.
UPDATE {schema}.dead_letters AS d
SET state = 'retried', resolved_by = %(by)s, resolved_at = now(), updated_at = now()
WHERE d.partition_id = %(partition_id)s AND d.kafka_offset >= %(from_offset)s AND d.kafka_offset < %(until_offset)s
    AND d.state IN ('parked', 'waiting')
    AND EXISTS (
        SELECT FROM {schema}.processed AS c
        WHERE c.event_id = d.event_id AND c.route_id = d.route_id
            AND c.partition_id = d.partition_id AND c.kafka_offset = d.kafka_offset
    );

-- name: resolve_offsets
-- As resolve_applied, on a route without claims: these offsets took effect.
UPDATE {schema}.dead_letters
SET state = 'retried', resolved_by = %(by)s, resolved_at = now(), updated_at = now()
WHERE route_id = %(route_id)s AND partition_id = %(partition_id)s AND kafka_offset = ANY (%(offsets)s::bigint[])
    AND state IN ('parked', 'waiting');

-- name: discarded
SELECT kafka_offset FROM {schema}.dead_letters
WHERE route_id = %(route_id)s AND partition_id = %(partition_id)s AND state = 'discarded'
    AND kafka_offset >= %(from_offset)s AND kafka_offset < %(until_offset)s;

-- name: parked_keys
-- Each key as a worker keeps it (held_key): a key may have as many bytes as an event, and there may be many. An
-- event that is too large, or redacted, holds those behind it, but not itself (holds_from): a replay may apply it.
SELECT route_id, partition_id, held, min(kafka_offset + in_log_only::integer)
FROM (
    SELECT route_id, partition_id, kafka_offset, error_class = %(too_large)s OR redacted_at IS NOT NULL AS in_log_only,
        CASE WHEN octet_length(key) <= %(short)s THEN key ELSE decode('00', 'hex') || sha512(key) END AS held
    FROM {schema}.dead_letters
    WHERE partition_id = ANY (%(partition_ids)s) AND state IN ('parked', 'waiting') AND key IS NOT NULL
) AS open
GROUP BY route_id, partition_id, held
LIMIT %(at_most)s;

-- name: parked_among
-- As parked_keys, for the keys of one batch. The index on open keys finds them, however many are open.
SELECT held, min(kafka_offset + in_log_only::integer)
FROM (
    SELECT d.kafka_offset, d.error_class = %(too_large)s OR d.redacted_at IS NOT NULL AS in_log_only,
        CASE WHEN octet_length(d.key) <= %(short)s THEN d.key ELSE decode('00', 'hex') || sha512(d.key) END AS held
    FROM unnest(%(keys)s::bytea[]) AS wanted (key)
    JOIN {schema}.dead_letters AS d ON d.key = wanted.key
    WHERE d.route_id = %(route_id)s AND d.partition_id = %(partition_id)s AND d.state IN ('parked', 'waiting')
) AS open
GROUP BY held;

-- name: parked_ahead
-- Events that a person parked before the sink reached them. The unique index on the coordinates finds them,
-- however many are open.
SELECT d.route_id, d.partition_id, d.kafka_offset, d.error
FROM {schema}.partitions AS p
CROSS JOIN {schema}.routes AS r
JOIN {schema}.dead_letters AS d
    ON d.route_id = r.route_id AND d.partition_id = p.partition_id AND d.kafka_offset >= p.reached_offset
WHERE p.partition_id = ANY (%(partition_ids)s) AND d.state = 'parked' AND d.error_class = %(error_class)s;

-- name: parked_above
-- Counts no further than the limit.
SELECT wanted.partition_id
FROM unnest(%(partition_ids)s::integer[]) AS wanted (partition_id)
CROSS JOIN LATERAL (
    SELECT count(*) AS parked
    FROM (
        SELECT FROM {schema}.dead_letters AS d
        WHERE d.partition_id = wanted.partition_id AND d.state = 'parked' AND d.created_at > now() - interval '1 hour'
        LIMIT %(limit)s + 1
    ) AS found
) AS counted
WHERE counted.parked > %(limit)s;

-- name: count_by_state
SELECT state, count(*) FROM {schema}.dead_letters WHERE state IN ('parked', 'waiting') GROUP BY state;

-- name: count_by_kind
SELECT cause_kind, count(*) FROM {schema}.dead_letters WHERE state = 'parked' GROUP BY cause_kind;
