-- What the relay has sent, and where it is in Kafka.

-- name: record
-- With the lease in one statement: nothing is recorded by a relay that lost it, and then no row comes back.
WITH mine AS (
    UPDATE {schema}.outbox_relay
    SET expires_at = clock_timestamp() + make_interval(secs => %(seconds)s), sent_below = %(sent_below)s
    WHERE epoch = %(epoch)s AND holder = %(holder)s
    RETURNING epoch
), recorded AS (
    INSERT INTO {schema}.outbox_sent (event_id, topic, partition, kafka_offset)
    SELECT sent.* FROM unnest(%(ids)s, %(topics)s, %(partitions)s, %(offsets)s) AS sent, mine
    ON CONFLICT (event_id) DO NOTHING
)
SELECT pg_current_xact_id()::text::bigint FROM mine;

-- name: prune
-- Both rows of an event in one statement: one that only its mark is gone from would be sent again.
WITH old AS (
    SELECT event_id FROM {schema}.outbox_sent WHERE sent_at < %(before)s ORDER BY sent_at LIMIT %(limit)s
), gone AS (
    DELETE FROM {schema}.outbox AS o USING old WHERE o.event_id = old.event_id
)
DELETE FROM {schema}.outbox_sent AS s USING old WHERE s.event_id = old.event_id;
