-- The replays, and the ranges of each, one per partition at most.

-- name: active
SELECT r.partition_id, p.replay_id, r.until_offset, route.name, p.mode = 'force', p.per_second
FROM {schema}.replay_ranges AS r
JOIN {schema}.replays AS p USING (replay_id)
LEFT JOIN {schema}.routes AS route USING (route_id)
WHERE r.partition_id = ANY (%(partition_ids)s) AND r.state = 'running';

-- name: lock_partitions
-- Until the end of the transaction no batch of the topics passes its fence, and no worker acquires a partition of
-- them.
SELECT partition_id FROM {schema}.partitions WHERE topic = ANY (%(topics)s) ORDER BY partition_id FOR NO KEY UPDATE;

-- name: begin
INSERT INTO {schema}.replays (mode, route_id, requested_by, per_second)
VALUES (
    %(mode)s, (SELECT route_id FROM {schema}.routes WHERE name = %(route)s), %(requested_by)s, %(per_second)s
)
RETURNING replay_id;

-- name: go_back
-- The owner of the partition is fenced, and continues where the row says now.
WITH back AS (
    INSERT INTO {schema}.replay_ranges (
        replay_id, partition_id, from_offset, until_offset, next_offset, ledger_offset, ledger_epoch
    )
    SELECT %(replay_id)s, partition_id, %(from_offset)s, %(until_offset)s, %(from_offset)s, next_offset, leader_epoch
    FROM {schema}.partitions WHERE partition_id = %(partition_id)s
)
UPDATE {schema}.partitions
SET next_offset = %(from_offset)s, leader_epoch = NULL, owner_epoch = owner_epoch + 1, updated_at = clock_timestamp()
WHERE partition_id = %(partition_id)s;

-- name: note
UPDATE {schema}.replay_ranges
SET next_offset = %(after)s,
    applied = applied + %(applied)s::bigint,
    duplicate = duplicate + %(duplicate)s::bigint,
    filtered = filtered + %(filtered)s::bigint,
    dead_lettered = dead_lettered + %(dead_lettered)s::bigint,
    updated_at = clock_timestamp()
WHERE replay_id = %(replay_id)s AND partition_id = %(partition_id)s AND state = 'running';

-- name: lock
-- The ranges of a replay end one after the other, so that the last one to end knows it.
SELECT replay_id FROM {schema}.replays WHERE replay_id = %(replay_id)s FOR NO KEY UPDATE;

-- name: end_range
-- The offsets between the range and the ledger's earlier next offset were settled before: the sink continues from
-- that offset.
WITH ended AS (
    UPDATE {schema}.replay_ranges SET state = %(state)s, updated_at = clock_timestamp()
    WHERE replay_id = %(replay_id)s AND partition_id = %(partition_id)s AND state = 'running'
    RETURNING partition_id, ledger_offset, ledger_epoch
)
UPDATE {schema}.partitions AS p
SET next_offset = ended.ledger_offset, leader_epoch = ended.ledger_epoch, owner_epoch = owner_epoch + 1,
    updated_at = clock_timestamp()
FROM ended WHERE p.partition_id = ended.partition_id;

-- name: end_replay
-- Ends the replay once none of its ranges runs; it is settled only if all of them are.
UPDATE {schema}.replays AS p
SET ended_at = clock_timestamp(),
    state = coalesce(
        (SELECT min(r.state) FROM {schema}.replay_ranges AS r WHERE r.replay_id = p.replay_id AND r.state <> 'settled'),
        'settled'
    )
WHERE p.replay_id = %(replay_id)s AND p.state = 'running' AND NOT EXISTS (
    SELECT FROM {schema}.replay_ranges AS r WHERE r.replay_id = p.replay_id AND r.state = 'running'
);

-- name: supersede
-- A resume decides again where the partition continues.
UPDATE {schema}.replay_ranges SET state = 'superseded', updated_at = clock_timestamp()
WHERE partition_id = %(partition_id)s AND state = 'running'
RETURNING replay_id;

-- name: running
SELECT r.partition_id, r.replay_id, r.from_offset, r.until_offset, r.next_offset
FROM {schema}.replay_ranges AS r JOIN {schema}.partitions AS p USING (partition_id)
WHERE p.topic = ANY (%(topics)s) AND r.state = 'running';

-- name: topics_of
SELECT DISTINCT p.topic FROM {schema}.replay_ranges AS r JOIN {schema}.partitions AS p USING (partition_id)
WHERE r.replay_id = %(replay_id)s;

-- name: replays
-- The newest last; `replay_id` null returns all of them.
SELECT p.replay_id, p.mode, route.name, p.requested_by, p.state, p.created_at, p.ended_at,
    split_part(l.topic, '#', 1), l.partition, r.from_offset, r.until_offset, r.next_offset, r.ledger_offset, r.state,
    r.applied, r.duplicate, r.filtered, r.dead_lettered, r.partition_id, p.per_second
FROM {schema}.replays AS p
JOIN {schema}.replay_ranges AS r USING (replay_id)
JOIN {schema}.partitions AS l USING (partition_id)
LEFT JOIN {schema}.routes AS route USING (route_id)
WHERE %(replay_id)s::integer IS NULL OR p.replay_id = %(replay_id)s
ORDER BY p.replay_id, l.topic, l.partition;

-- name: newest
SELECT max(replay_id) FROM {schema}.replays;
