"""Kafka Connect with the Debezium JDBC sink, set up for speed, as a peer to compare with."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from inbox.dev.kafka_jars import LOG4J_VERSION, JarSet, downloaded
from inbox.dev.kafka_local import LOG4J, QUIET, java
from inbox.dev.kafka_settings import as_properties
from inbox.dev.ports import LOOPBACK, free_port
from inbox.dev.supervised import Supervised
from tests.benchmarks.orders import CONNECT_SCHEMA

# 4.2 is the first whose JSON converter takes the schema from its configuration (KIP-1054). Before, every record has to
# carry it, in an envelope that is three times as large as the event.
_JACKSON = "2.19.2"
CONNECT = JarSet(
    "Apache Kafka Connect 4.2.0",
    (
        "org.apache.kafka:connect-runtime:4.2.0",
        "org.apache.kafka:kafka-clients:4.2.0",
        "org.apache.kafka:connect-json:4.2.0",
        # named, or the resolver picks versions that the REST server does not start with
        "jakarta.ws.rs:jakarta.ws.rs-api:3.1.0",
        "jakarta.servlet:jakarta.servlet-api:6.0.0",
        "jakarta.annotation:jakarta.annotation-api:2.1.1",
        f"com.fasterxml.jackson.core:jackson-annotations:{_JACKSON}",
        f"com.fasterxml.jackson.core:jackson-core:{_JACKSON}",
        f"com.fasterxml.jackson.core:jackson-databind:{_JACKSON}",
        f"com.fasterxml.jackson.datatype:jackson-datatype-jdk8:{_JACKSON}",
        f"com.fasterxml.jackson.datatype:jackson-datatype-jsr310:{_JACKSON}",
        f"com.fasterxml.jackson.module:jackson-module-blackbird:{_JACKSON}",
        f"org.apache.logging.log4j:log4j-slf4j-impl:{LOG4J_VERSION}",
        f"org.apache.logging.log4j:log4j-core:{LOG4J_VERSION}",
    ),
    megabytes=37,
)
JDBC_SINK = JarSet("Debezium JDBC sink 3.3.1.Final", ("io.debezium:debezium-connector-jdbc:3.3.1.Final",), megabytes=42)

HEAP = "-Xmx1g"


@dataclass(frozen=True)
class JdbcSink:
    """The connector: its topic, its table `orders` in the database of the URL, and how many tasks it has.

    `schema_in_records`: each value is an envelope of schema and payload, which every version of Connect can read.
    """

    topic: str
    database_url: str
    tasks: int
    schema_in_records: bool

    def properties(self) -> dict[str, str]:
        database = urlsplit(self.database_url)
        # stringtype: the server takes a text for the column's own type, so that nothing is converted in the JVM.
        options = "reWriteBatchedInserts=true&stringtype=unspecified"
        schema = {} if self.schema_in_records else {"value.converter.schema.content": json.dumps(CONNECT_SCHEMA)}
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
            "value.converter": "org.apache.kafka.connect.json.JsonConverter",
            "value.converter.schemas.enable": "true",
            **schema,
        }


class KafkaConnect:
    """A standalone worker with one connector; ends with this process."""

    def __init__(self, bootstrap_servers: str, connector: Mapping[str, str]) -> None:
        self._jars = downloaded(CONNECT, print)
        # Jackson finds its modules as services, which fails where worker and plugin have each their own.
        plugin = [jar for jar in downloaded(JDBC_SINK, print) if not jar.name.startswith("jackson-")]
        self._process = Supervised("connect")
        directory = self._process.directory
        (directory / "plugins" / "jdbc").mkdir(parents=True)
        for jar in plugin:
            (directory / "plugins" / "jdbc" / jar.name).symlink_to(jar)
        (directory / "log4j2.properties").write_text(LOG4J)
        (directory / "worker.properties").write_text(as_properties(self._worker(bootstrap_servers, directory)))
        (directory / "connector.properties").write_text(as_properties(dict(connector)))

    def start(self) -> int:
        """The JVM's process id."""
        command = [str(java()), HEAP, *QUIET, "-Dlog4j2.configurationFile=log4j2.properties"]
        command += ["-cp", ":".join(map(str, self._jars)), "org.apache.kafka.connect.cli.ConnectStandalone"]
        return self._process.start([*command, "worker.properties", "connector.properties"])

    def log(self) -> str:
        return self._process.log.read_text(errors="replace")

    def close(self) -> None:
        self._process.close()

    def _worker(self, bootstrap_servers: str, directory: Path) -> dict[str, str]:
        return {
            "bootstrap.servers": bootstrap_servers,
            "key.converter": "org.apache.kafka.connect.storage.StringConverter",
            "value.converter": "org.apache.kafka.connect.json.JsonConverter",
            "offset.storage.file.filename": str(directory / "offsets"),
            "plugin.path": str(directory / "plugins"),
            "listeners": f"http://{LOOPBACK}:{free_port()}",
            "consumer.auto.offset.reset": "earliest",
            "consumer.max.poll.records": "5000",
            "consumer.max.partition.fetch.bytes": str(8 * 1024 * 1024),
            "consumer.isolation.level": "read_committed",
        }
