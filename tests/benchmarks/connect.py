"""Kafka Connect with the Debezium JDBC sink, set up for speed, as a peer to compare with."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from inbox.dev.local.kafka_jars import JarSet
from tests.benchmarks.orders import CONNECT_SCHEMA
from tests.jars import pins
from tests.support.connect import ConnectWorker

JDBC_SINK = JarSet(
    "Debezium JDBC sink 3.3.1.Final",
    ("io.debezium:debezium-connector-jdbc:3.3.1.Final",),
    megabytes=42,
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

    `schema_in_records`: each value is an envelope of schema and payload, which every version of Connect can read.
    `registry_url`: the values are in Avro, with their schema in that registry.
    """

    topic: str
    database_url: str
    tasks: int
    schema_in_records: bool = False
    registry_url: str | None = None

    def properties(self) -> dict[str, str]:
        database = urlsplit(self.database_url)
        # stringtype: the server takes a text for the column's own type, so that nothing is converted in the JVM.
        options = "reWriteBatchedInserts=true&stringtype=unspecified"
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
            "primary.key.mode": "record_value",
            "primary.key.fields": "order_id",
            "collection.name.format": "orders",
            "schema.evolution": "none",
            "batch.size": "5000",
            "use.reduction.buffer": "true",
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
    return ConnectWorker([JDBC_SINK, AVRO_CONVERTER], settings, connector=connector, jvm=[HEAP])
