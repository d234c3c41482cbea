"""Records as Kafka Connect's JsonConverter writes them."""

import json
from typing import Any

DECIMAL = "org.apache.kafka.connect.data.Decimal"


def schema(kind: str, name: str | None = None, **more: Any) -> dict[str, Any]:
    """Return a schema in the order in which JsonConverter writes its members."""
    named = {} if name is None else {"name": name, "version": 1}
    return {"type": kind, "optional": True, **named, **more}


def decimal(scale: int) -> dict[str, Any]:
    return schema("bytes", DECIMAL, parameters={"scale": str(scale), "connect.decimal.precision": "10"})


def struct(**fields: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "struct",
        "fields": [{**each, "field": name} for name, each in fields.items()],
        "optional": False,
        "name": "shop.public.orders.Value",
    }


def record(schema: Any, payload: Any) -> bytes:
    """Return the bytes; a text that begins with `raw:` is a payload's JSON as it is."""
    text = payload[4:] if isinstance(payload, str) and payload.startswith("raw:") else json.dumps(payload)
    return f'{{"schema":{json.dumps(schema, separators=(",", ":"))},"payload":{text}}}'.encode()
