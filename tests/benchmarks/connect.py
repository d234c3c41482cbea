"""Kafka Connect with the Debezium JDBC sink, set up for speed, as a peer to compare with."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from inbox.dev.local.kafka_jars import JarSet
from tests.benchmarks.orders import CONNECT_SCHEMA
from tests.jars import pins
from tests.support.connect import ConnectWorker, connect_jars

CONNECT = connect_jars("4.4.0", jackson="2.21.7", annotations="2.21", megabytes=36, pinned="connect-4.4.0")

JDBC_SINK = JarSet(
    "Debezium JDBC sink 3.5.0.Final",
    ("io.debezium:debezium-connector-jdbc:3.5.0.Final",),
    megabytes=60,
    pins=pins("jdbc-sink"),
)

AVRO_CONVERTER = JarSet(
    "Apicurio converter 2.6.13.Final",
    ("io.apicurio:apicurio-registry-utils-converter:2.6.13.Final",),
    megabytes=27,
    pins=pins("avro-converter"),
)
"""Confluent's converter is not in Maven Central. This one reads what Confluent's serializers write."""

HEAP = "-Xmx1g"


@dataclass(frozen=True)
class JdbcSink:
    """The connector: its topic, its table `orders` in the database of the URL, and how many tasks it has.

    `by_event`: the table's key is the id in the header `event_id`, as the sink recognises duplicates; otherwise it is
    the order's own. `unnest` writes a batch by one statement that takes an array for each column; `reduction_buffer`
    keeps of several changes of one row only the last. `schema_in_records`: each value is an envelope of schema and
    payload, which every version of Connect can read. `registry_url`: the values are in Avro, with their schema in that
    registry.
    """

    topic: str
    database_url: str
    tasks: int
    by_event: bool = False
    unnest: bool = True
    reduction_buffer: bool = True
    schema_in_records: bool = False
    registry_url: str | None = None

    def properties(self) -> dict[str, str]:
        database = urlsplit(self.database_url)
        # stringtype: the server takes a text for the column's own type, so that nothing is converted in the JVM.
        options = "reWriteBatchedInserts=true&stringtype=unspecified"
        key = ("record_header", "event_id") if self.by_event else ("record_value", "order_id")
        return {
            # its group goes by the name, and a round must not begin where the one before ended
            "name": f"orders-{uuid.uuid4().hex}",
            "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
            "tasks.max": str(self.tasks),
            "topics": self.topic,
            "connection.url": f"jdbc:postgresql://{database.hostname}:{database.port}{database.path}?{options}",
            "connection.username": unquote(database.username or ""),
            "connection.password": unquote(database.password or ""),
            "insert.mode": "upsert",
            "primary.key.mode": key[0],
            "primary.key.fields": key[1],
            "collection.name.format": "orders",
            "schema.evolution": "none",
            "batch.size": "5000",
            "use.reduction.buffer": str(self.reduction_buffer).lower(),
            "dialect.postgres.unnest.insert.enabled": str(self.unnest).lower(),
            "header.converter": "org.apache.kafka.connect.storage.StringConverter",
            "key.converter": "org.apache.kafka.connect.storage.StringConverter",
            **self._converter(),
        }

    def _converter(self) -> dict[str, str]:
        if self.registry_url is not None:
            return {
                "value.converter": "io.apicurio.registry.utils.converter.AvroConverter",
                "value.converter.apicurio.registry.url": self.registry_url,
                "value.converter.apicurio.registry.as-confluent": "true",
                "value.converter.apicurio.registry.use-id": "contentId",
            }
        schema = {} if self.schema_in_records else {"value.converter.schema.content": json.dumps(CONNECT_SCHEMA)}
        return {
            "value.converter": "org.apache.kafka.connect.json.JsonConverter",
            "value.converter.schemas.enable": "true",
            **schema,
        }


def jdbc_worker(bootstrap_servers: str, connector: Mapping[str, str]) -> ConnectWorker:
    """A standalone worker with one connector."""
    settings = {
        "bootstrap.servers": bootstrap_servers,
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "consumer.auto.offset.reset": "earliest",
        "consumer.max.poll.records": "5000",
        "consumer.max.partition.fetch.bytes": str(8 * 1024 * 1024),
        "consumer.isolation.level": "read_committed",
    }
    return ConnectWorker([JDBC_SINK, AVRO_CONVERTER], settings, connector=connector, jvm=[HEAP], jars=CONNECT)
