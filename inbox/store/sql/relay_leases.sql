-- The active relay of a table of the user's: a lease by the database's clock, and the epoch that fences the
-- previous relay. inbox.store.outbox.external_table composes the statements that mark the table, with the columns'
-- names.

-- name: take
INSERT INTO {schema}.relay_leases AS lease (outbox_table, epoch, holder, expires_at)
VALUES (%(table)s, 1, %(holder)s, clock_timestamp() + make_interval(secs => %(seconds)s))
ON CONFLICT (outbox_table) DO UPDATE
SET epoch = lease.epoch + 1, holder = excluded.holder, expires_at = excluded.expires_at
WHERE lease.holder IS NULL OR lease.holder = excluded.holder OR lease.expires_at < clock_timestamp()
RETURNING lease.epoch;

-- name: release
UPDATE {schema}.relay_leases SET holder = NULL, expires_at = clock_timestamp()
WHERE outbox_table = %(table)s AND epoch = %(epoch)s AND holder = %(holder)s;
