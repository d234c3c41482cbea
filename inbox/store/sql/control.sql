-- How operators steer a running sink, and the record of what they did: its plans and results name no payload.

-- name: begin_action
INSERT INTO {schema}.actions (requested_by, command, plan)
VALUES (%(requested_by)s, %(command)s, %(plan)s::jsonb) RETURNING action_id;

-- name: end_action
UPDATE {schema}.actions SET result = %(result)s::jsonb, ended_at = clock_timestamp()
WHERE action_id = %(action_id)s;

-- name: last_actions
SELECT action_id, requested_by, database_user, command, plan, result, created_at, ended_at
FROM (
    SELECT * FROM {schema}.actions
    WHERE %(since)s::timestamptz IS NULL OR created_at >= %(since)s::timestamptz
    ORDER BY action_id DESC LIMIT %(limit)s
) AS newest
ORDER BY action_id;
