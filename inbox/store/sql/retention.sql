-- Rows that are forgotten beside claims: old history, resolved dead letters, sent events of the outbox. They are
-- deleted in portions, so that no transaction is long.

-- name: old_progress
SELECT count(*), min(from_time) FROM {schema}.progress WHERE until_time < now() - %(older_than)s::interval;

-- name: forget_progress
SELECT {schema}.forget_progress(%(older_than)s::interval, %(limit)s::integer);

-- name: old_letters
SELECT count(*), min(resolved_at) FROM {schema}.dead_letters
WHERE state IN ('retried', 'discarded') AND resolved_at < now() - %(older_than)s::interval;

-- name: forget_letters
SELECT {schema}.forget_letters(%(older_than)s::interval, %(limit)s::integer);

-- name: old_payloads
SELECT count(*), min(resolved_at) FROM {schema}.dead_letters
WHERE state IN ('retried', 'discarded') AND redacted_at IS NULL AND resolved_at < now() - %(older_than)s::interval;

-- name: redact_letters
SELECT {schema}.redact_letters(%(older_than)s::interval, %(limit)s::integer);

-- name: kept
SELECT claims, progress, dead_letters FROM {schema}.retention;

-- name: note_round
UPDATE {schema}.pruning SET pruned_at = clock_timestamp(), pruned_by = session_user;

-- name: last_round
SELECT pruned_at, pruned_by FROM {schema}.pruning;

-- name: old_sent
SELECT count(*), min(sent_at) FROM {schema}.outbox_sent WHERE sent_at < now() - %(older_than)s::interval;

-- name: forget_sent
-- Deletes both rows of an event in one statement: an event that lost only its mark would be sent again.
WITH old AS (
    SELECT event_id FROM {schema}.outbox_sent WHERE sent_at < now() - %(older_than)s::interval
    ORDER BY sent_at LIMIT %(limit)s
), gone AS (
    DELETE FROM {schema}.outbox AS o USING old WHERE o.event_id = old.event_id
)
DELETE FROM {schema}.outbox_sent AS s USING old WHERE s.event_id = old.event_id;

-- name: old_created
SELECT count(*), min(created_at) FROM {schema}.outbox WHERE created_at < now() - %(older_than)s::interval;

-- name: forget_created
-- Where Debezium publishes nobody records what was sent. Existing marks are from an earlier relay.
WITH old AS (
    SELECT event_id
    FROM (SELECT event_id, created_at FROM {schema}.outbox ORDER BY position LIMIT %(limit)s) AS oldest
    WHERE created_at < now() - %(older_than)s::interval
), marks AS (
    DELETE FROM {schema}.outbox_sent AS s USING old WHERE s.event_id = old.event_id
)
DELETE FROM {schema}.outbox AS o USING old WHERE o.event_id = old.event_id;
