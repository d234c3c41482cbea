"""The formats in which the relay sends payloads: JSON of the outbox, written with a schema of the registry."""
