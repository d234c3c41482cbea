-- The rows that the relay has sent, with their coordinates in Kafka.

-- name: record
-- Checks the lease in the same statement: a relay that lost it records nothing, and gets no row back.
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
