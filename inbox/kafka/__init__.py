"""The only package that imports confluent_kafka; the rest is tested without librdkafka."""
