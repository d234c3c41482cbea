-- The events that handlers are processing. An event still noted after its session is gone ended the process.

-- name: deaths
-- A session that lives is not a death: its process may only be stopped, or may have lost the partition while busy.
-- Of another role's session only the process id may be visible. It counts where its role may write such notes,
-- because any login can have a process id or hold an advisory lock. An owner behind a pooler holds a lock instead.
-- A death among the suspects narrows them down to the events noted this time; any other death begins again.
UPDATE {schema}.handling AS h
SET deaths = CASE
        WHEN kafka_offset >= suspect_offset
            AND coalesce(until_offset, kafka_offset + 1) <= coalesce(suspect_until, suspect_offset + 1)
        THEN deaths + 1 ELSE 1
    END,
    suspect_offset = kafka_offset,
    suspect_until = until_offset,
    owner = NULL
WHERE h.partition_id = ANY (%(partition_ids)s) AND h.owner IS NOT NULL AND h.owner <> %(owner)s
    AND NOT EXISTS (
        SELECT FROM pg_stat_activity AS session
        WHERE session.pid = h.backend_pid AND coalesce(
            session.backend_start = h.backend_started,
            has_table_privilege(session.usesysid, '{schema}.handling'::regclass, 'UPDATE')
        )
    )
    AND NOT EXISTS (
        SELECT FROM pg_locks AS alive
        JOIN pg_stat_activity AS holder USING (pid)
        WHERE has_table_privilege(holder.usesysid, '{schema}.handling'::regclass, 'UPDATE')
            AND alive.locktype = 'advisory' AND alive.objsubid = 1 AND alive.granted
            AND alive.database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND (alive.classid::bigint << 32) | alive.objid::bigint = hashtextextended('kafka-inbox owner ' || h.owner, 0)
    );

-- name: found
SELECT route_id, partition_id, suspect_offset, coalesce(suspect_until, suspect_offset + 1), deaths
FROM {schema}.handling WHERE partition_id = ANY (%(partition_ids)s) AND deaths > 0;

-- name: in_hand
-- One note at a time. Events before the suspects are handed over again, and leave the deaths unchanged.
WITH put_down AS (
    UPDATE {schema}.handling SET owner = NULL
    WHERE owner = %(owner)s AND (partition_id, route_id) <> (%(partition_id)s, %(route_id)s)
)
INSERT INTO {schema}.handling AS h (
    partition_id, route_id, kafka_offset, until_offset, owner, backend_pid, backend_started
) VALUES (
    %(partition_id)s, %(route_id)s, %(kafka_offset)s, %(until_offset)s, %(owner)s,
    CASE WHEN %(alone)s THEN pg_backend_pid() END,
    (SELECT backend_start FROM pg_stat_activity WHERE %(alone)s AND pid = pg_backend_pid())
)
ON CONFLICT (partition_id, route_id) DO UPDATE
SET kafka_offset = excluded.kafka_offset,
    until_offset = excluded.until_offset,
    owner = excluded.owner,
    backend_pid = excluded.backend_pid,
    backend_started = excluded.backend_started,
    noted_at = clock_timestamp();

-- name: put_down
UPDATE {schema}.handling SET owner = NULL WHERE owner = %(owner)s;

-- name: forget
DELETE FROM {schema}.handling AS h
USING unnest(%(partition_ids)s, %(afters)s) AS settled (partition_id, after)
WHERE h.partition_id = settled.partition_id AND coalesce(h.suspect_offset, h.kafka_offset) < settled.after;
