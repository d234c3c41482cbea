-- What is forgotten beside claims: old history, dead letters that are resolved, events of the outbox that were sent. In
-- portions, so that no transaction is long.

-- name: old_progress
SELECT count(*), min(from_time) FROM {schema}.progress WHERE until_time < now() - %(older_than)s::interval;

-- name: forget_progress
-- The oldest first, so that what is left tiles.
WITH old AS (
    SELECT partition_id, from_offset FROM {schema}.progress
    WHERE until_time < now() - %(older_than)s::interval ORDER BY until_time LIMIT %(limit)s
)
DELETE FROM {schema}.progress AS p USING old
WHERE p.partition_id = old.partition_id AND p.from_offset = old.from_offset;

-- name: old_letters
SELECT count(*), min(resolved_at) FROM {schema}.dead_letters
WHERE state IN ('retried', 'discarded') AND resolved_at < now() - %(older_than)s::interval;

-- name: forget_letters
DELETE FROM {schema}.dead_letters WHERE dead_letter_id IN (
    SELECT dead_letter_id FROM {schema}.dead_letters
    WHERE state IN ('retried', 'discarded') AND resolved_at < now() - %(older_than)s::interval LIMIT %(limit)s
);
