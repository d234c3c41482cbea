-- Events to publish; nothing here is ever updated.

-- name: publish
-- The id of an event that was published before is left alone: a retry or a replay publishes it once.
INSERT INTO {schema}.outbox (event_id, topic, aggregate_id, type, payload)
VALUES (%(event_id)s, %(topic)s, %(key)s, %(type)s, %(payload)s)
ON CONFLICT (event_id) DO NOTHING;
