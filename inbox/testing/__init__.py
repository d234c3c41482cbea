"""Test handlers and routes as the sink will run them: on a real Kafka and a real PostgreSQL.

The pytest fixtures are in `inbox.testing.plugin`, which pytest loads by itself once `kafka-inbox[testing]`
is installed.
"""

from inbox.testing.contract import HandlerContract
from inbox.testing.sink import ParkedEvent, SinkUnderTest

__all__ = ["HandlerContract", "ParkedEvent", "SinkUnderTest"]
