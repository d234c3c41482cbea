"""FastStream's subscriber of batches on the orders, run by the interpreter that has its packages.

It writes a batch in one transaction, and commits the offsets afterwards; it keeps no claims.
"""

import asyncio
import json
import logging
import sys
import uuid
from typing import Any

import psycopg
from faststream import AckPolicy, FastStream
from faststream.confluent import KafkaBroker, KafkaMessage

from tests.benchmarks.loops import UPSERT


async def decode(message: KafkaMessage) -> list[dict[str, Any]]:
    """Return the values of a batch; FastStream's own decoder reads each record's headers once more."""
    return [json.loads(value) for value in message.body]


async def main() -> None:
    bootstrap_servers, topic, database_url, batch = sys.argv[1:]
    broker = KafkaBroker(bootstrap_servers, apply_types=False, log_level=logging.WARNING)
    async with await psycopg.AsyncConnection.connect(database_url) as connection:

        @broker.subscriber(
            topic,
            batch=True,
            max_records=int(batch),
            polling_interval=0.5,
            group_id=f"{topic}-faststream-{uuid.uuid4().hex}",
            auto_offset_reset="earliest",
            ack_policy=AckPolicy.NACK_ON_ERROR,
            decoder=decode,
        )
        async def write(rows: list[dict[str, Any]]) -> None:
            async with connection.transaction(), connection.cursor() as cursor:
                await cursor.executemany(UPSERT.encode(), rows)

        await FastStream(broker).run(log_level=logging.WARNING)


if __name__ == "__main__":
    asyncio.run(main())
