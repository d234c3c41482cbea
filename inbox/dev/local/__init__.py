"""Kafka and PostgreSQL as processes of this machine."""
