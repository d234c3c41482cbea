"""Debezium's change events, as its PostgreSQL connector writes them without a schema."""

import json
from typing import Any

from inbox.events import Record
from tests.support.records import record

KEY = b'{"id":1}'


def change(op: str, *, lsn: int = 1, ts_ms: int = 5, **members: Any) -> bytes:
    """Return the value of a change event, as compact as Kafka Connect writes it.

    `members` are `before` and `after`, or replace any other member.
    """
    source = {
        "version": "3.3.1.Final", "connector": "postgresql", "name": "shop", "ts_ms": 4, "snapshot": "false",
        "db": "shop", "sequence": f'["{lsn - 1}","{lsn}"]', "schema": "public", "table": "orders", "txId": 7,
        "lsn": lsn, "xmin": None,
    }  # fmt: skip
    event = {"before": None, "after": None, "source": source, "transaction": None, "op": op, "ts_ms": ts_ms}
    return json.dumps({**event, **members}, separators=(",", ":")).encode()


def changed(
    op: str, row: dict[str, Any] | None = None, *, key: bytes | None = KEY, offset: int = 0, **said: Any
) -> Record:
    """Return the record of a change of a row, {"id": 1} unless said otherwise."""
    return record(offset, key=key, value=change(op, **{"before" if op == "d" else "after": row or {"id": 1}, **said}))


def moved(offset: int, old: dict[str, Any], new: dict[str, Any], *, lsn: int) -> list[Record]:
    """Return the records of an update that changed the key `id`: a delete, its tombstone, and a create."""
    gone, here = (json.dumps({"id": row["id"]}).encode() for row in (old, new))
    return [
        changed("d", old, key=gone, offset=offset, lsn=lsn),
        record(offset + 1, key=gone, value=None),
        changed("c", new, key=here, offset=offset + 2, lsn=lsn),
    ]
