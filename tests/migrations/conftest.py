from collections.abc import Iterator

import pytest

from inbox.dev.backends import Servers
from tests.databases import create_database, drop_database
from tests.kafka_topics import unique_name


@pytest.fixture
def empty_database_url(servers: Servers) -> Iterator[str]:
    """The URL of a database of this test alone, in which nobody has migrated."""
    name = unique_name("empty")
    yield create_database(servers.database_url, name)
    drop_database(servers.database_url, name)
