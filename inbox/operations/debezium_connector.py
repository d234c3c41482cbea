"""The configuration of Debezium's connector that publishes the outbox as the relay does. This module is pure."""

import re
from collections.abc import Mapping

from inbox.settings import RelaySettings
from inbox.store.options import DatabaseOptions, OutboxPayload
from inbox.store.outbox.debezium import Capture, DatabaseAddress, database_address

PASSWORD = "${env:OUTBOX_CONNECTOR_PASSWORD}"  # noqa: S105 - a reference to a password

_STRING = "org.apache.kafka.connect.storage.StringConverter"

# The mapping of the outbox's columns. The value is the unchanged column: expanding JSON would turn 1.50 into 1.5.
_ROUTER = {
    "transforms": "outbox",
    "transforms.outbox.type": "io.debezium.transforms.outbox.EventRouter",
    "transforms.outbox.table.field.event.id": "event_id",
    "transforms.outbox.table.field.event.key": "aggregate_id",
    "transforms.outbox.table.field.payload": "payload",
    "transforms.outbox.table.fields.additional.placement": (
        "event_id:header:event_id,type:header:type,traceparent:header:traceparent"
    ),
    "transforms.outbox.route.by.field": "topic",
    "transforms.outbox.route.topic.replacement": "${routedByValue}",
    "transforms.outbox.table.op.invalid.behavior": "fatal",
}

# Without heartbeats a quiet outbox would keep the WAL of a busy database for ever.
_HEARTBEATS = {
    "heartbeat.interval.ms": "10000",
    "heartbeat.action.query": "SELECT pg_logical_emit_message(false, 'inbox-heartbeat', '')",
    "message.prefix.exclude.list": "inbox-heartbeat",
}

_VALUES: Mapping[OutboxPayload, Mapping[str, str]] = {
    OutboxPayload.JSON: {"value.converter": _STRING},
    OutboxPayload.BYTEA: {
        "value.converter": "io.debezium.converters.BinaryDataConverter",
        # heartbeats are not bytes
        "value.converter.delegate.converter.type": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter.delegate.converter.type.schemas.enable": "false",
    },
}


_HEARTBEAT_PREFIX = "__debezium-heartbeat"
"""The default of Debezium's `topic.heartbeat.prefix`. A dot and `topic.prefix` follow it."""


def heartbeat_topic(options: DatabaseOptions) -> str:
    """Return the topic into which the printed connector sends its heartbeats. Raises as `connector`."""
    return f"{_HEARTBEAT_PREFIX}.{capture_of(options).name}"


def capture_of(options: DatabaseOptions) -> Capture:
    """Return the objects that the connector finds in the database.

    Raises:
        StartupError: `[database] url` does not say where the database is.
    """
    return Capture(database_address(options).database, options.schema)


def connector(settings: RelaySettings) -> dict[str, object]:
    """Return name and configuration in the form that Kafka Connect's REST interface takes.

    Raises:
        StartupError: `[database] url` does not say where the database is.
    """
    address, schema = database_address(settings.database), settings.database.schema
    name = capture_of(settings.database).name
    config = {
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "tasks.max": "1",
        **_database(address, name),
        "plugin.name": "pgoutput",
        "publication.name": name,
        "publication.autocreate.mode": "disabled",
        "slot.name": name,
        "topic.prefix": name,
        "topic.heartbeat.prefix": _HEARTBEAT_PREFIX,
        "table.include.list": rf"{re.escape(schema)}\.outbox",
        # also after the slot was lost, so that no event is lost; repeated events keep their ids
        "snapshot.mode": "when_needed",
        "tombstones.on.delete": "false",
        "extended.headers.enabled": "false",
        **_HEARTBEATS,
        **_ROUTER,
        "key.converter": _STRING,
        "header.converter": _STRING,
        **_VALUES[settings.outbox.payload],
    }
    return {"name": name, "config": config}


def _database(address: DatabaseAddress, user: str) -> dict[str, str]:
    ssl = {"database.sslmode": address.sslmode, "database.sslrootcert": address.sslrootcert}
    return {
        "database.hostname": address.host,
        "database.port": str(address.port),
        "database.dbname": address.database,
        "database.user": user,
        "database.password": PASSWORD,
        **{key: value for key, value in ssl.items() if value},
    }
