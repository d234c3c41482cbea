"""What the sink's role may do, asked before it has to."""

from collections.abc import Mapping, Sequence
from typing import LiteralString

from psycopg import sql

from inbox.store.database import SinkConnection
from inbox.store.options import TableTarget
from inbox.store.table_names import (
    EXISTING_VERSION_TABLE,
    GENERATION_SLOTS,
    OUTBOX_VERSION_TABLE,
    VERSION_TABLE,
    table_of,
)
from inbox.store.table_rights import lacking_of_target, lacking_usage

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
    "resumptions": ("SELECT", "INSERT"),
    VERSION_TABLE: ("SELECT",),
}

# What ON CONFLICT compares, it reads.
OF_PUBLISHER = ("SELECT", "INSERT")

# What a status tells of the outbox; without it a notice says so.
OF_READER: Mapping[str, tuple[str, ...]] = {"outbox_sent": ("SELECT",), "outbox_relay": ("SELECT",)}

# Nobody but the sink can where Debezium publishes.
OF_PRUNER: Mapping[str, tuple[str, ...]] = {"outbox": ("SELECT", "DELETE"), "outbox_sent": ("SELECT", "DELETE")}

OF_RELAY: Mapping[str, tuple[str, ...]] = {
    OUTBOX_VERSION_TABLE: ("SELECT",),
    "outbox": ("SELECT", "DELETE"),
    "outbox_sent": ("SELECT", "INSERT", "DELETE"),
    "outbox_relay": ("SELECT", "INSERT", "UPDATE"),
}

OF_EXISTING_RELAY: Mapping[str, tuple[str, ...]] = {
    EXISTING_VERSION_TABLE: ("SELECT",),
    "relay_leases": ("SELECT", "INSERT", "UPDATE"),
}

# By the catalog: to_regclass refuses who may not look into the schema, and would hide all the other rights.
_MAY: LiteralString = """
SELECT has_table_privilege(c.oid, %s) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE nspname = %s AND relname = %s
"""


def missing_rights(
    connection: SinkConnection,
    schema: str,
    targets: Sequence[TableTarget],
    *,
    version: str | None = None,
    publishes: bool = False,
    prunes_outbox: bool = False,
) -> list[str]:
    """Return one line for each right that the sink lacks, with the GRANT that gives it.

    `version` is the table that has the revision of what `[outbox]` names.
    """
    wanted = _pairs(OF_SINK)
    wanted += [(version, "SELECT")] if version is not None else []
    wanted += _pairs({"outbox": OF_PUBLISHER}) if publishes else []
    wanted += [each for each in _pairs(OF_PRUNER) if each not in wanted] if prunes_outbox else []
    role = role_of(connection)
    of_targets = (line for target in targets for line in lacking_of_target(connection, target, role))
    return list(dict.fromkeys([*_lacking(connection, "sink", schema, wanted), *of_targets]))


def missing_relay_rights(connection: SinkConnection, schema: str) -> list[str]:
    """One line for each right that a relay lacks, with the GRANT that mends it."""
    return _lacking(connection, "relay", schema, _pairs(OF_RELAY))


def missing_lease_rights(connection: SinkConnection, schema: str) -> list[str]:
    """As `missing_relay_rights`, in the inbox's schema, where the outbox is a table of the user's."""
    return _lacking(connection, "relay", schema, _pairs(OF_EXISTING_RELAY))


def role_of(connection: SinkConnection) -> str:
    """Return the role whose rights count, as a GRANT names it: not always the one that logged in."""
    row = connection.execute("SELECT quote_ident(current_user)").fetchone()
    return str(row[0]) if row else connection.info.user


def hidden_owners_remedy(connection: SinkConnection, roles: Sequence[str]) -> str:
    """Return the sentence about other roles of this sink's workers, with the GRANTs of which one suffices."""
    me, others = role_of(connection), ", ".join(roles)
    return (
        f"workers of this sink are connected as {others}, whose sessions {me} can neither see nor end: the locks of "
        "one that is stopped hold up the next owner of its partitions. "
        f"GRANT pg_read_all_stats, pg_signal_backend TO {me}, or GRANT {others} TO {me}"
    )


def _pairs(rights: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    return [(table, right) for table, each in rights.items() for right in each]


def _lacking(connection: SinkConnection, who: str, schema: str, wanted: Sequence[tuple[str, str]]) -> list[str]:
    role = role_of(connection)
    usage = lacking_usage(connection, schema, role, who)
    found = {(table, right): _may(connection, schema, table, right) for table, right in wanted}
    lines = [] if usage is None else [usage]
    if any(may is not None for may in found.values()):  # else nobody has migrated yet, which is another check's to say
        absent = dict.fromkeys(table for (table, _), may in found.items() if may is None)
        lines += [f"the table {_name(schema, table)} is gone; restore it from a backup" for table in absent]
    for (table, right), may in found.items():
        if may is False:
            name = _name(schema, table)
            lines.append(f"the {who}'s role lacks {right} on {name}; GRANT {right} ON {name} TO {role}")
    return lines


def _name(schema: str, table: str) -> str:
    return sql.Identifier(schema, table).as_string()


def _may(connection: SinkConnection, schema: str, table: str, right: str) -> bool | None:
    """Return whether the role has the right; None where there is no such table."""
    row = connection.execute(_MAY, (right, schema, table)).fetchone()
    return None if row is None else row[0] is not False
