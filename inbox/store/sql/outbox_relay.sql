-- The active relay: a lease by the database's clock, and the epoch that fences the previous relay.

-- name: take
INSERT INTO {schema}.outbox_relay AS relay (epoch, holder, expires_at)
VALUES (1, %(holder)s, clock_timestamp() + make_interval(secs => %(seconds)s))
ON CONFLICT (singleton) DO UPDATE
SET epoch = relay.epoch + 1, holder = excluded.holder, expires_at = excluded.expires_at
WHERE relay.holder IS NULL OR relay.holder = excluded.holder OR relay.expires_at < clock_timestamp()
RETURNING relay.epoch, relay.sent_below;

-- name: release
UPDATE {schema}.outbox_relay SET holder = NULL, expires_at = clock_timestamp()
WHERE epoch = %(epoch)s AND holder = %(holder)s;
