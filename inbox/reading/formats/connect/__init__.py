"""Read what Kafka Connect's JsonConverter writes with a schema."""
