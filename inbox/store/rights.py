"""What the sink's role may do, asked before it has to."""

from collections.abc import Mapping, Sequence
from typing import LiteralString

from inbox.store.database import SinkConnection
from inbox.store.options import TableMode, TableTarget, Tombstones
from inbox.store.table_names import GENERATION_SLOTS, table_of

OF_SINK: Mapping[str, tuple[str, ...]] = {
    "sink": ("SELECT", "INSERT", "UPDATE"),
    "routes": ("SELECT", "INSERT", "UPDATE"),
    "partitions": ("SELECT", "INSERT", "UPDATE"),
    "progress": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "route_starts": ("SELECT", "INSERT", "UPDATE"),
    "processed": ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE"),
    **{table_of(generation): ("SELECT", "INSERT", "DELETE", "TRUNCATE") for generation in range(1, GENERATION_SLOTS)},
    "generations": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "generation_filters": ("SELECT", "INSERT", "DELETE"),
    "dead_letters": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "handling": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "replays": ("SELECT", "INSERT", "UPDATE"),
    "replay_ranges": ("SELECT", "INSERT", "UPDATE"),
}

# What ON CONFLICT compares, it reads.
OF_PUBLISHER = ("SELECT", "INSERT")

# What a status tells of the outbox; without it a notice says so.
OF_READER: Mapping[str, tuple[str, ...]] = {"outbox_sent": ("SELECT",), "outbox_relay": ("SELECT",)}

# Nobody but the sink can where Debezium publishes.
OF_PRUNER: Mapping[str, tuple[str, ...]] = {"outbox": ("SELECT", "DELETE"), "outbox_sent": ("SELECT", "DELETE")}

OF_RELAY: Mapping[str, tuple[str, ...]] = {
    "outbox": ("SELECT", "DELETE"),
    "outbox_sent": ("SELECT", "INSERT", "DELETE"),
    "outbox_relay": ("SELECT", "INSERT", "UPDATE"),
}

OF_EXISTING_RELAY: Mapping[str, tuple[str, ...]] = {"relay_leases": ("SELECT", "INSERT", "UPDATE")}

_MAY: LiteralString = "SELECT has_table_privilege(to_regclass(%s), %s)"


def missing_rights(
    connection: SinkConnection,
    schema: str,
    targets: Sequence[TableTarget],
    *,
    publishes: bool = False,
    prunes_outbox: bool = False,
) -> list[str]:
    """One line for each right that the sink lacks, with the GRANT that mends it."""
    wanted = _wanted(schema, OF_SINK)
    wanted += _wanted(schema, {"outbox": OF_PUBLISHER}) if publishes else []
    wanted += [each for each in _wanted(schema, OF_PRUNER) if each not in wanted] if prunes_outbox else []
    wanted += [(target.name, right) for target in targets for right in _of_target(target)]
    return _lacking(connection, "sink", wanted)


def missing_relay_rights(connection: SinkConnection, schema: str) -> list[str]:
    """One line for each right that a relay lacks, with the GRANT that mends it."""
    return _lacking(connection, "relay", _wanted(schema, OF_RELAY))


def missing_lease_rights(connection: SinkConnection, schema: str) -> list[str]:
    """As `missing_relay_rights`, in the inbox's schema, where the outbox is a table of the user's."""
    return _lacking(connection, "relay", _wanted(schema, OF_EXISTING_RELAY))


def _wanted(schema: str, rights: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    return [(f'"{schema}"."{table}"', right) for table, each in rights.items() for right in each]


def _lacking(connection: SinkConnection, who: str, wanted: Sequence[tuple[str, str]]) -> list[str]:
    return [
        f"the {who}'s role lacks {right} on {table}; GRANT {right} ON {table} TO {connection.info.user}"
        for table, right in wanted
        if not _may(connection, table, right)
    ]


def _of_target(target: TableTarget) -> list[str]:
    rights = ["INSERT"]
    if target.mode in (TableMode.UPSERT, TableMode.NEWEST):
        rights += ["SELECT", "UPDATE"]
    if target.tombstones is Tombstones.DELETE:
        # A DELETE that looks rows up reads them, and takes its locks in the order of the key.
        rights += ["SELECT", "UPDATE", "DELETE"]
    return list(dict.fromkeys(rights))


def _may(connection: SinkConnection, table: str, right: str) -> bool:
    row = connection.execute(_MAY, (table, right)).fetchone()
    return row is None or row[0] is not False
