"""From the outbox to Kafka: one relay active, every event sent at least once, in order, under its own id."""
