-- How operators steer a running sink, and the record of what they did: its plans and results name no payload.

-- name: begin_action
INSERT INTO {schema}.actions (requested_by, command, plan)
VALUES (%(requested_by)s, %(command)s, %(plan)s::jsonb) RETURNING action_id;

-- name: end_action
UPDATE {schema}.actions SET result = %(result)s::jsonb, ended_at = clock_timestamp()
WHERE action_id = %(action_id)s;

-- name: note_action
UPDATE {schema}.actions SET result = %(result)s::jsonb WHERE action_id = %(action_id)s;

-- name: last_actions
SELECT action_id, requested_by, database_user, command, plan, result, created_at, ended_at
FROM (
    SELECT * FROM {schema}.actions
    WHERE %(since)s::timestamptz IS NULL OR created_at >= %(since)s::timestamptz
    ORDER BY action_id DESC LIMIT %(limit)s
) AS newest
ORDER BY action_id;

-- name: hold
INSERT INTO {schema}.holds (route, topic, partitions, reason, requested_by, held_until)
VALUES (%(route)s, %(topic)s, %(partitions)s, %(reason)s, %(requested_by)s, now() + %(seconds)s * interval '1 second')
RETURNING hold_id;

-- name: holds_in_force
-- A hold with a time ends by itself, by the clock of this server.
SELECT hold_id, route, topic, partitions, reason, requested_by, created_at, held_until
FROM {schema}.holds
WHERE released_at IS NULL AND (held_until IS NULL OR held_until > now()) ORDER BY hold_id;

-- name: release
UPDATE {schema}.holds SET released_at = now(), released_by = %(released_by)s
WHERE hold_id = ANY (%(hold_ids)s) AND released_at IS NULL AND (held_until IS NULL OR held_until > now())
RETURNING hold_id;

-- name: take_turn
-- One statement for all workers, one after the other: each takes its events from the time at which the budget is free
-- again. A budget that was not used saves up half a second. A clock that was set back costs a minute at most.
INSERT INTO {schema}.pace AS p (budget, free_at)
VALUES (%(budget)s, clock_timestamp() + %(seconds)s * interval '1 second')
ON CONFLICT (budget) DO UPDATE SET free_at = %(seconds)s * interval '1 second'
    + least(greatest(p.free_at, clock_timestamp() - interval '0.5 seconds'), clock_timestamp() + interval '1 minute')
RETURNING extract(epoch FROM p.free_at - clock_timestamp()) - %(seconds)s;
