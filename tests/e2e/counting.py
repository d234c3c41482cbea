"""The handler of the replay's proof: how often each event took effect stands in its table."""

from collections.abc import Sequence

import inbox
from inbox import Event, Transaction

TABLES = """
CREATE TABLE effects (partition integer, kafka_offset bigint, times integer, PRIMARY KEY (partition, kafka_offset));
"""

COUNT = """
INSERT INTO effects (partition, kafka_offset, times)
SELECT partition, kafka_offset, 1 FROM unnest(%s::integer[], %s::bigint[]) AS event (partition, kafka_offset)
ON CONFLICT (partition, kafka_offset) DO UPDATE SET times = effects.times + 1
"""


@inbox.handler(batch=True)
def count(events: Sequence[Event], tx: Transaction) -> None:
    tx.execute(COUNT, ([event.partition for event in events], [event.offset for event in events]))
