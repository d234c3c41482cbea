"""The forms in which a connector writes its records, and what a route says of each."""

from collections.abc import Mapping
from dataclasses import dataclass, field

_JSON = {
    "key.converter": "org.apache.kafka.connect.json.JsonConverter",
    "value.converter": "org.apache.kafka.connect.json.JsonConverter",
}


@dataclass(frozen=True, kw_only=True)
class Form:
    """A form of records.

    Attributes:
        schema: each record has its schema.
        route: lines of `[[routes]]` (TOML).
        table: lines of `[routes.table]`.
        row: the pointer to the row in what the route reads.
        key: the source of the key.
        truncates: truncates arrive.
        whole_rows: a large value that an update left as it was has to be sent too (REPLICA IDENTITY FULL).
        most_operations: the most that a test does, or None.
        converters: those of the connector.
    """

    schema: bool
    route: str
    table: str = ""
    row: str = ""
    key: str = "/id"
    truncates: bool = True
    whole_rows: bool = False
    most_operations: int | None = None
    converters: Mapping[str, str] = field(default_factory=dict)


_CHANGES = 'envelope = "debezium"\nevent_id = "debezium"\ntruncates = "apply"'

WITHOUT_SCHEMA = Form(
    schema=False,
    route=_CHANGES,
    converters={**_JSON, "key.converter.schemas.enable": "false", "value.converter.schemas.enable": "false"},
)

WITH_SCHEMA = Form(
    schema=True,
    route=f'format = "connect-json"\nkey_format = "connect-json"\n{_CHANGES}',
    converters={**_JSON, "key.converter.schemas.enable": "true", "value.converter.schemas.enable": "true"},
)

CLOUD_EVENTS = Form(
    schema=False,
    # A delete is the tombstone behind it. Two changes at one place in the log have one id.
    route='envelope = "cloudevents"\nevent_id = "coordinates"\nwhen = "value == null || value.after != null"',
    table='tombstones = "delete"',
    row="/after",
    key="$key:/id",
    truncates=False,
    whole_rows=True,
    most_operations=500,
    converters={
        **_JSON,
        "key.converter.schemas.enable": "false",
        "value.converter": "io.debezium.converters.CloudEventsConverter",
        "value.converter.serializer.type": "json",
        "value.converter.data.serializer.type": "json",
        "value.converter.json.schemas.enable": "false",
    },
)

FORMS = {"without schema": WITHOUT_SCHEMA, "with schema": WITH_SCHEMA, "CloudEvents": CLOUD_EVENTS}
