-- The changes of `inbox resume` to the ledger, and the record of them.

-- name: lock_topic
-- Until the end of the transaction no batch of the topic passes its fence, and no worker starts.
SELECT partition_id FROM {schema}.partitions WHERE topic = %(topic)s ORDER BY partition_id FOR NO KEY UPDATE;

-- name: open_letters
SELECT partition_id, count(*) FROM {schema}.dead_letters
WHERE partition_id = ANY (%(partition_ids)s) AND state IN ('parked', 'waiting')
GROUP BY partition_id;

-- name: move
-- In the same log: the owner of the partition is fenced, and continues where the row says now. Offsets that are
-- passed over have their own row of progress, without endings.
WITH before AS (
    SELECT partition_id, reached_offset FROM {schema}.partitions
    WHERE partition_id = %(partition_id)s FOR NO KEY UPDATE
), passed_over AS (
    INSERT INTO {schema}.progress (partition_id, from_offset, until_offset)
    SELECT partition_id, reached_offset, %(to_offset)s FROM before WHERE %(to_offset)s > reached_offset
)
UPDATE {schema}.partitions AS p
SET next_offset = %(to_offset)s, reached_offset = greatest(before.reached_offset, %(to_offset)s),
    progress_from = NULL, progress_since = NULL, leader_epoch = NULL, topic_id = %(topic_id)s,
    owner_epoch = owner_epoch + 1, updated_at = clock_timestamp()
FROM before WHERE p.partition_id = before.partition_id;

-- name: set_aside
-- A topic in Kafka has no # in its name, so only a reader of the table finds the row again. Its dead letters,
-- claims and counts stay with it: its offsets are not those of the current log.
UPDATE {schema}.partitions
SET topic = topic || '#' || partition_id, owner_epoch = owner_epoch + 1, updated_at = clock_timestamp()
WHERE partition_id = %(partition_id)s;

-- name: succeed
-- The row of the current log. Its owner is the previous one, which finds itself fenced and follows.
WITH successor AS (
    INSERT INTO {schema}.partitions (
        cluster_id, topic, topic_id, partition, start_offset, next_offset, reached_offset,
        owner, owner_pid, owner_started, owner_epoch
    )
    SELECT %(cluster_id)s, %(topic)s, %(topic_id)s, partition, %(to_offset)s, %(to_offset)s, %(to_offset)s,
        owner, owner_pid, owner_started, owner_epoch
    FROM {schema}.partitions WHERE partition_id = %(partition_id)s
    RETURNING partition_id
), started AS (
    INSERT INTO {schema}.route_starts (route_id, partition_id, from_offset)
    SELECT route_id, successor.partition_id, %(to_offset)s
    FROM successor, {schema}.routes
    WHERE %(topic)s = ANY (routes.topics) AND retired_at IS NULL
)
SELECT partition_id FROM successor;

-- name: forget_claims
SELECT {schema}.forget_claims(%(ids)s::uuid[], %(partition_id)s::integer);

-- name: note
INSERT INTO {schema}.resumptions (
    partition_id, from_cluster_id, to_cluster_id, from_topic_id, to_topic_id, from_offset, to_offset, consequence,
    requested_by
) VALUES (
    %(partition_id)s, %(from_cluster_id)s, %(to_cluster_id)s, %(from_topic_id)s, %(to_topic_id)s, %(from_offset)s,
    %(to_offset)s, %(consequence)s, %(requested_by)s
);

-- name: bind_cluster
-- The sink may start on this cluster once no topic belongs to another one.
UPDATE {schema}.sink SET cluster_id = %(cluster_id)s
WHERE NOT EXISTS (
    SELECT FROM {schema}.partitions WHERE strpos(topic, '#') = 0 AND cluster_id <> %(cluster_id)s
);

-- name: topics_elsewhere
SELECT DISTINCT topic FROM {schema}.partitions
WHERE strpos(topic, '#') = 0 AND cluster_id <> %(cluster_id)s ORDER BY topic;
