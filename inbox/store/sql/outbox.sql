-- The events to publish; nothing here is ever updated.

-- name: publish
-- An event whose id was published before is skipped: a retry or a replay publishes it once.
INSERT INTO {schema}.outbox (event_id, topic, aggregate_id, type, payload)
VALUES (%(event_id)s, %(topic)s, %(key)s, %(type)s, %(payload)s)
ON CONFLICT (event_id) DO NOTHING;


-- name: read
-- Rows to send, from one snapshot and in order of position: first those in gaps, whose transactions committed
-- late, then those past the front, with `passed` for those sent before. The last row is the one that reaches the
-- wanted bytes. One row comes even where there is nothing to send, because it has the snapshot. A LATERAL with a
-- LIMIT is looked up row by row in an index, whatever the planner assumes about the tables' sizes.
WITH late AS (
    SELECT o.*, false AS passed
    FROM unnest(%(firsts)s::bigint[], %(lasts)s::bigint[]) AS gap (first, last)
    CROSS JOIN LATERAL (
        SELECT * FROM {schema}.outbox WHERE position BETWEEN gap.first AND gap.last ORDER BY position LIMIT %(limit)s
    ) AS o
    LEFT JOIN LATERAL (SELECT true AS sent FROM {schema}.outbox_sent WHERE event_id = o.event_id LIMIT 1) AS s ON true
    WHERE s.sent IS NULL
    ORDER BY o.position LIMIT %(limit)s
), next AS (
    SELECT o.*, s.sent IS NOT NULL AS passed
    FROM (SELECT * FROM {schema}.outbox WHERE position > %(front)s ORDER BY position LIMIT %(limit)s) AS o
    LEFT JOIN LATERAL (SELECT true AS sent FROM {schema}.outbox_sent WHERE event_id = o.event_id LIMIT 1) AS s ON true
), found AS (
    SELECT *, sum(octet_length(payload::text)) OVER (
        ORDER BY position ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ) AS bytes_before
    FROM (SELECT * FROM late UNION ALL SELECT * FROM next) AS o
)
SELECT o.position, o.event_id::text, o.topic, coalesce(o.aggregate_id, o.event_id::text), o.type, o.payload,
       o.traceparent, uuid_send(o.event_id), o.passed, pg_snapshot_xmin(now.snapshot)::text::bigint
FROM (SELECT pg_current_snapshot() AS snapshot) AS now
LEFT JOIN found AS o ON coalesce(o.bytes_before, 0) < %(bytes)s
ORDER BY o.position;

-- name: sweep
-- The next rows below the front, sent or not: the last of them, and the first that was not sent.
SELECT max(o.position), min(o.position) FILTER (WHERE s.sent IS NULL)
FROM (
    SELECT position, event_id FROM {schema}.outbox
    WHERE position > %(after)s AND position <= %(until)s ORDER BY position LIMIT %(limit)s
) AS o
LEFT JOIN LATERAL (SELECT true AS sent FROM {schema}.outbox_sent WHERE event_id = o.event_id LIMIT 1) AS s ON true;

-- name: last_position
SELECT coalesce(max(position), 0) FROM {schema}.outbox;

-- name: waiting
-- The number of events not sent yet, counted up to a limit, and the time of the oldest of them.
SELECT count(*), min(created_at) FROM (
    SELECT o.created_at
    FROM (
        SELECT event_id, created_at FROM {schema}.outbox
        WHERE position > coalesce((SELECT sent_below FROM {schema}.outbox_relay), 0) ORDER BY position
    ) AS o
    WHERE NOT EXISTS (SELECT FROM {schema}.outbox_sent AS s WHERE s.event_id = o.event_id) LIMIT 100000
) AS waiting;

-- name: waiting_topics
-- The topics of the newest events, each with the size of its largest.
SELECT topic, max(octet_length(payload::text))
FROM (SELECT topic, payload FROM {schema}.outbox ORDER BY position DESC LIMIT 10000) AS newest
GROUP BY topic;
