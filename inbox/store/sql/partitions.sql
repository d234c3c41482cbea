-- The ledger, and the one row that says which sink it belongs to.

-- name: lock_sink
-- Only one starting worker at a time reads and changes the owner of the schema.
SELECT name, group_id, cluster_id, routes_revision FROM {schema}.sink FOR UPDATE;

-- name: sink
SELECT name, group_id, cluster_id, routes_revision FROM {schema}.sink;

-- name: create_sink
INSERT INTO {schema}.sink (name, group_id) VALUES (%(name)s, %(group_id)s) ON CONFLICT DO NOTHING;

-- name: bind_cluster
UPDATE {schema}.sink SET cluster_id = %(cluster_id)s;

-- name: raise_routes_revision
UPDATE {schema}.sink SET routes_revision = routes_revision + 1 RETURNING routes_revision;

-- name: fence_all
-- After this no batch of an older set of routes commits: its fence waits for this transaction, then fails.
WITH locked AS (SELECT partition_id FROM {schema}.partitions ORDER BY partition_id FOR UPDATE)
UPDATE {schema}.partitions AS p SET owner_epoch = owner_epoch + 1
FROM locked WHERE p.partition_id = locked.partition_id;

-- name: routes
SELECT route_id, name, topics, identity, retired_at IS NOT NULL AS retired FROM {schema}.routes ORDER BY route_id;

-- name: add_route
INSERT INTO {schema}.routes (name, topics, identity) VALUES (%(name)s, %(topics)s, %(identity)s) RETURNING route_id;

-- name: change_route_topics
UPDATE {schema}.routes SET topics = %(topics)s WHERE route_id = %(route_id)s;

-- name: retire_route
UPDATE {schema}.routes SET retired_at = now() WHERE route_id = %(route_id)s;

-- name: revive_route
-- A route does not owe the offsets that the ledger passed while the route was retired.
WITH revived AS (UPDATE {schema}.routes SET retired_at = NULL WHERE route_id = %(route_id)s)
UPDATE {schema}.route_starts AS s SET from_offset = p.reached_offset
FROM {schema}.partitions AS p WHERE s.partition_id = p.partition_id AND s.route_id = %(route_id)s;

-- name: start_route
-- A new route owes an ending from where the ledger is now, or will be again once a replay has ended.
INSERT INTO {schema}.route_starts (route_id, partition_id, from_offset)
SELECT %(route_id)s, partition_id, reached_offset FROM {schema}.partitions WHERE topic = ANY (%(topics)s)
ON CONFLICT DO NOTHING;

-- name: known_partitions
SELECT partition_id, cluster_id, topic, topic_id, partition, next_offset, leader_epoch, owner_epoch
FROM {schema}.partitions WHERE topic = ANY (%(topics)s);

-- name: add_partition
WITH added AS (
    INSERT INTO {schema}.partitions (cluster_id, topic, topic_id, partition, start_offset, next_offset, reached_offset)
    VALUES (%(cluster_id)s, %(topic)s, %(topic_id)s, %(partition)s, %(offset)s, %(offset)s, %(offset)s)
    ON CONFLICT (topic, partition) DO NOTHING
    RETURNING partition_id
)
INSERT INTO {schema}.route_starts (route_id, partition_id, from_offset)
SELECT route_id, partition_id, %(offset)s
FROM added, {schema}.routes
WHERE %(topic)s = ANY (routes.topics) AND retired_at IS NULL;

-- name: unmoved
-- Partitions in which the last owner settled nothing since its session began. Behind a pooler nobody knows when
-- that was.
SELECT topic, partition, next_offset FROM {schema}.partitions
WHERE topic = ANY (%(topics)s) AND owner_started > updated_at;

-- name: acquire
-- The fencing token: the worker that raised owner_epoch last owns the partition.
WITH wanted AS (
    SELECT partition_id
    FROM {schema}.partitions JOIN unnest(%(topics)s::text[], %(partitions)s::integer[]) AS w (topic, partition)
        USING (topic, partition)
    ORDER BY partition_id
    FOR UPDATE OF partitions
)
UPDATE {schema}.partitions AS p
SET owner = %(owner)s,
    owner_epoch = owner_epoch + 1,
    owner_pid = CASE WHEN %(alone)s THEN pg_backend_pid() END,
    owner_started = (SELECT backend_start FROM pg_stat_activity WHERE %(alone)s AND pid = pg_backend_pid())
FROM wanted
WHERE p.partition_id = wanted.partition_id
RETURNING p.partition_id, p.topic, p.partition, p.next_offset, p.owner, p.owner_epoch, p.topic_id, p.leader_epoch,
    p.reached_offset,
    (SELECT max(until_offset) FROM {schema}.settled_ranges AS s WHERE s.partition_id = p.partition_id);

-- name: sign
UPDATE {schema}.partitions
SET owner_pid = CASE WHEN %(alone)s THEN pg_backend_pid() END,
    owner_started = (SELECT backend_start FROM pg_stat_activity WHERE %(alone)s AND pid = pg_backend_pid())
WHERE owner = %(owner)s AND owner_pid IS DISTINCT FROM CASE WHEN %(alone)s THEN pg_backend_pid() END;

-- name: open_sessions
SELECT DISTINCT session.pid, session.backend_start
FROM {schema}.partitions AS p
JOIN unnest(%(topics)s::text[], %(partitions)s::integer[]) AS w (topic, partition) USING (topic, partition)
JOIN pg_stat_activity AS session ON session.pid = p.owner_pid AND session.backend_start = p.owner_started
WHERE p.owner IS DISTINCT FROM %(owner)s AND session.xact_start IS NOT NULL AND session.pid <> pg_backend_pid();

-- name: hidden_owners
-- Without the rights for it, PostgreSQL shows of another role's session only the process id and the role.
SELECT DISTINCT session.usename::text
FROM {schema}.partitions AS p
JOIN pg_stat_activity AS session
    ON session.pid = p.owner_pid AND coalesce(session.backend_start = p.owner_started, true)
WHERE p.topic = ANY (%(topics)s) AND NOT pg_has_role(session.usesysid, 'USAGE')
    AND NOT (pg_has_role('pg_read_all_stats', 'USAGE') AND pg_has_role('pg_signal_backend', 'USAGE'))
ORDER BY 1;

-- name: look
SELECT partition_id, topic, partition, next_offset, owner, owner_epoch, topic_id, leader_epoch, reached_offset,
    (SELECT max(until_offset) FROM {schema}.settled_ranges AS s WHERE s.partition_id = p.partition_id)
FROM {schema}.partitions AS p WHERE topic = ANY (%(topics)s);

-- name: fence
-- The last statement before COMMIT: compare-and-set of every partition of the batch, in one order for all workers.
-- A partition that does not come back belongs to another worker, or a replay sent it back.
-- Endings count once: an offset below reached_offset was counted when it was settled first. The part above it goes
-- into progress, from exactly where the previous row ends, whatever a resume or a replay did to next_offset: so
-- the rows tile. If the previous row ends elsewhere, somebody moved the ledger by hand. A new row then begins at
-- what this batch settles, so that the hole stays visible.
WITH mine AS (
    SELECT * FROM unnest(
        %(partition_ids)s, %(owner_epochs)s, %(befores)s, %(afters)s,
        %(applied)s, %(duplicate)s, %(filtered)s, %(dead_lettered)s, %(leader_epochs)s
    ) AS m (partition_id, owner_epoch, before, after, applied, duplicate, filtered, dead_lettered, leader_epoch)
), locked AS (
    SELECT mine.*, p.reached_offset, mine.after > p.reached_offset AS above,
        coalesce(
            p.progress_since < clock_timestamp() - interval '1 minute' OR last.until_offset <> mine.before, true
        ) AS begins
    FROM {schema}.partitions AS p JOIN mine USING (partition_id)
    LEFT JOIN {schema}.progress AS last ON last.partition_id = p.partition_id AND last.from_offset = p.progress_from
    ORDER BY p.partition_id FOR UPDATE OF p
), moved AS (
    UPDATE {schema}.partitions AS p
    SET next_offset = mine.after,
        leader_epoch = mine.leader_epoch,
        reached_offset = greatest(mine.reached_offset, mine.after),
        progress_from = CASE WHEN above AND begins THEN greatest(mine.before, mine.reached_offset)
            ELSE p.progress_from END,
        progress_since = CASE WHEN above AND begins THEN clock_timestamp() ELSE p.progress_since END,
        applied = p.applied + CASE WHEN above THEN mine.applied ELSE 0 END,
        duplicate = p.duplicate + CASE WHEN above THEN mine.duplicate ELSE 0 END,
        filtered = p.filtered + CASE WHEN above THEN mine.filtered ELSE 0 END,
        dead_lettered = p.dead_lettered + CASE WHEN above THEN mine.dead_lettered ELSE 0 END,
        updated_at = clock_timestamp()
    FROM locked AS mine
    WHERE p.partition_id = mine.partition_id
        AND p.owner = %(owner)s
        AND p.owner_epoch = mine.owner_epoch
        AND p.next_offset = mine.before
        AND (SELECT routes_revision FROM {schema}.sink) = %(routes_revision)s
        AND (SELECT generation FROM {schema}.sink) = %(generation)s
    RETURNING p.partition_id, p.progress_from, mine.above, mine.after,
        mine.applied, mine.duplicate, mine.filtered, mine.dead_lettered
), noted AS (
    INSERT INTO {schema}.progress AS row (
        partition_id, from_offset, until_offset, applied, duplicate, filtered, dead_lettered
    )
    SELECT partition_id, progress_from, after, applied, duplicate, filtered, dead_lettered
    FROM moved WHERE above
    ON CONFLICT (partition_id, from_offset) DO UPDATE
    SET until_offset = excluded.until_offset,
        applied = row.applied + excluded.applied,
        duplicate = row.duplicate + excluded.duplicate,
        filtered = row.filtered + excluded.filtered,
        dead_lettered = row.dead_lettered + excluded.dead_lettered,
        until_time = clock_timestamp()
)
-- Fails, by a cast that says why, where fewer than %(required)s partitions moved: nothing behind it in its pipeline
-- is executed then.
SELECT array_agg(partition_id), pg_current_xact_id()::text,
    CASE WHEN count(*) < %(required)s
        THEN format('kafka-inbox: %%s of %%s partitions are as the batch left them', count(*), %(required)s)::integer
    END
FROM moved;

-- name: lock
-- Until the end of the transaction no batch of the partition passes its fence, and nobody acquires it. A
-- transaction that parks an event refers to the row by its foreign key. It need not be waited for: its fence is
-- still to come.
SELECT partition_id FROM {schema}.partitions WHERE partition_id = %(partition_id)s FOR NO KEY UPDATE;

-- name: lock_owned
-- As lock, as long as this worker owns the partition; the transaction's id shows that it is the same one.
SELECT pg_current_xact_id()::text FROM {schema}.partitions
WHERE partition_id = %(partition_id)s AND owner = %(owner)s FOR NO KEY UPDATE;

-- name: raise_epoch
-- The owner stays; the work that it does with its earlier knowledge is fenced.
UPDATE {schema}.partitions SET owner_epoch = owner_epoch + 1 WHERE partition_id = %(partition_id)s
RETURNING pg_current_xact_id()::text;

-- name: revisions
SELECT routes_revision, generation FROM {schema}.sink;

-- name: count_other_payloads
UPDATE {schema}.partitions SET same_id_other_payload = same_id_other_payload + %(count)s
WHERE partition_id = %(partition_id)s;

-- name: status
SELECT topic, partition, next_offset, owner, owner_epoch, updated_at, applied, duplicate, filtered, dead_lettered,
    same_id_other_payload, partition_id, topic_id
FROM {schema}.partitions ORDER BY topic, partition;

-- name: rates
-- Offsets per second in the last minutes, by the history's youngest rows. A row without endings was passed over by
-- a resume.
SELECT p.topic, p.partition, sum(r.until_offset - r.from_offset) / greatest(1, extract(epoch FROM now() - min(r.from_time)))
FROM {schema}.partitions AS p
CROSS JOIN LATERAL (
    SELECT * FROM {schema}.progress WHERE progress.partition_id = p.partition_id
    ORDER BY from_offset DESC LIMIT 6
) AS r
WHERE r.until_time > now() - %(within)s::interval AND r.applied + r.duplicate + r.filtered + r.dead_lettered > 0
GROUP BY 1, 2;

-- name: since_start
-- What routes without claims settled: by the ledger here, beside it in `settled_ranges`.
SELECT s.partition_id, s.route_id, s.from_offset, p.reached_offset
FROM {schema}.route_starts AS s
JOIN {schema}.partitions AS p USING (partition_id)
JOIN {schema}.routes AS r USING (route_id)
WHERE s.partition_id = ANY (%(partition_ids)s) AND r.identity = 'coordinates' AND r.retired_at IS NULL
    AND split_part(p.topic, '#', 1) = ANY (r.topics) AND s.from_offset < p.reached_offset;

-- name: passed_over
-- By a resume in the same log. What was settled of it nevertheless, before or later, is in `settled_ranges`.
SELECT partition_id, from_offset, to_offset FROM {schema}.resumptions
WHERE partition_id = ANY (%(partition_ids)s) AND to_offset > from_offset
    AND from_topic_id IS NOT DISTINCT FROM to_topic_id AND from_cluster_id = to_cluster_id;

-- name: settled_ranges
SELECT partition_id, route_id, from_offset, until_offset
FROM {schema}.settled_ranges WHERE partition_id = ANY (%(partition_ids)s);

-- name: add_settled
-- Batches settle one after the other: each extends the range that ends where it begins.
WITH extended AS (
    UPDATE {schema}.settled_ranges SET until_offset = greatest(until_offset, %(stop)s)
    WHERE partition_id = %(partition_id)s AND route_id = %(route_id)s
        AND from_offset <= %(start)s AND until_offset >= %(start)s
    RETURNING 1
)
INSERT INTO {schema}.settled_ranges AS s (route_id, partition_id, from_offset, until_offset)
SELECT %(route_id)s, %(partition_id)s, %(start)s, %(stop)s WHERE NOT EXISTS (SELECT FROM extended)
ON CONFLICT (route_id, partition_id, from_offset) DO UPDATE
SET until_offset = greatest(s.until_offset, excluded.until_offset);

-- name: partitions_of_route
SELECT partition_id FROM {schema}.route_starts JOIN {schema}.partitions USING (partition_id)
WHERE route_id = %(route_id)s AND topic = ANY (%(topics)s);

-- name: restart_route
-- What the ledger passed while a route without claims did not take the topic is not settled by it.
UPDATE {schema}.route_starts AS s SET from_offset = p.reached_offset
FROM {schema}.partitions AS p, {schema}.routes AS r
WHERE s.partition_id = p.partition_id AND s.route_id = r.route_id
    AND r.route_id = %(route_id)s AND r.identity = 'coordinates' AND p.topic = ANY (%(topics)s);

-- name: routes_without_claims
SELECT route_id FROM {schema}.routes WHERE identity = 'coordinates';

-- name: count_members
-- Names and counts, and no value. Each partition has its own rows, which its owner alone writes.
UPDATE {schema}.unknown_members AS m SET events = m.events + u.events, last_seen_at = now()
FROM unnest(%(partition_ids)s::integer[], %(members)s::text[], %(events)s::bigint[])
    AS u (partition_id, member, events)
WHERE m.route_id = %(route_id)s AND m.partition_id = u.partition_id AND m.member = u.member
RETURNING m.partition_id, m.member;

-- name: members_of_route
SELECT DISTINCT member FROM {schema}.unknown_members WHERE route_id = %(route_id)s;

-- name: add_members
INSERT INTO {schema}.unknown_members AS m (route_id, partition_id, member, events)
SELECT %(route_id)s, u.partition_id, u.member, u.events
FROM unnest(%(partition_ids)s::integer[], %(members)s::text[], %(events)s::bigint[])
    AS u (partition_id, member, events)
ON CONFLICT (route_id, partition_id, member)
DO UPDATE SET events = m.events + excluded.events, last_seen_at = now();

-- name: unknown_members
SELECT r.name, m.member, sum(m.events)::bigint, min(m.first_seen_at), max(m.last_seen_at)
FROM {schema}.unknown_members AS m JOIN {schema}.routes AS r USING (route_id)
GROUP BY r.name, m.member ORDER BY r.name, sum(m.events) DESC, m.member;
