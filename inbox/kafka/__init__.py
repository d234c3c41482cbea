"""The only importer of confluent_kafka; everything else is tested without librdkafka."""
