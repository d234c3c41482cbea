"""The relay from the outbox to Kafka.

One relay is active. It sends every event at least once, in order, under the event's own id.
"""
