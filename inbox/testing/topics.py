"""Create topics for tests, one for each."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic


@contextmanager
def topic(bootstrap_servers: str) -> Iterator[str]:
    """Yield the name of a new topic with one partition; delete it afterwards."""
    admin, name = AdminClient({"bootstrap.servers": bootstrap_servers}), f"inbox-test-{secrets.token_hex(5)}"
    admin.create_topics([NewTopic(name, 1, 1)], operation_timeout=10)[name].result(20)
    try:
        yield name
    finally:
        admin.delete_topics([name], operation_timeout=10)[name].result(20)
