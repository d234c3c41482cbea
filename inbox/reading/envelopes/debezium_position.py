"""Name a change by its place in the source's log, so that a connector that repeats it gives it the same name.

After a crash a connector reads its source again from the last offset that Kafka Connect stored. What
it then repeats has the same place in the log, but another `ts_ms` of the envelope, which is the time
of reading. In `source`, `version`, `sequence` of PostgreSQL (its first part comes from the
connector's own offset) and `xmin` may differ too. The fields below are those that each connector
takes from the log itself (`SourceInfo` and `...SourceInfoStructMaker` of each connector):

- PostgreSQL: `lsn` is the place of the row change in the write-ahead log, `txId` its transaction.
  The rows of one COPY may share an `lsn`, and so do the delete and the create of a changed key;
  the record's key and the operation tell them apart.
- MySQL and MariaDB: a row of an event of a binlog file.
- SQL Server and Db2: the LSN of the change and of the commit; SQL Server numbers the changes of one LSN.
- Oracle: a row of LogMiner (`scn`, `rs_id`, `ssn`), or the position of an LCR of XStream.
"""

from collections.abc import Callable, Mapping
from operator import attrgetter, itemgetter
from typing import Annotated, Any

import msgspec

from inbox.errors import EventError

_FIELDS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "postgresql": (("lsn", "txId"),),
    "mysql": (("file", "pos", "row"),),
    "mariadb": (("file", "pos", "row"),),
    "sqlserver": (("change_lsn", "commit_lsn", "event_serial_no"),),
    "db2": (("change_lsn", "commit_lsn"),),
    "oracle": (("scn", "lcr_position"), ("scn", "rs_id", "ssn")),
}
"""The fields that are a place in the log, by connector; the first set whose fields are all present counts."""

_TABLE = ("connector", "name", "server_id", "db", "schema", "table")

_ABSENT = {"postgresql": "server_id", "sqlserver": "server_id", "mysql": "schema", "mariadb": "schema"}
"""The part of the table's name that a connector never gives."""


Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""A whole number that C keeps."""


class SourceFields(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The fields of `source` of the connectors for PostgreSQL, MySQL, MariaDB, SQL Server and Db2.

    See `SourceInfo` and `...SourceInfoStructMaker` of each connector.
    """

    connector: str
    name: str | None = None
    version: str | None = None
    ts_ms: Int64 | None = None
    ts_us: Int64 | None = None
    ts_ns: Int64 | None = None
    snapshot: str | bool | None = None
    sequence: str | None = None
    db: str | None = None
    schema: str | None = None
    table: str | None = None
    server_id: Int64 | None = None
    # PostgreSQL
    txId: Int64 | None = None  # noqa: N815 - as the connector calls it
    lsn: Int64 | None = None
    xmin: Int64 | None = None
    # MySQL and MariaDB
    gtid: str | None = None
    file: str | None = None
    pos: Int64 | None = None
    row: Int64 | None = None
    thread: Int64 | None = None
    query: str | None = None
    # SQL Server and Db2
    change_lsn: str | None = None
    commit_lsn: str | None = None
    event_serial_no: Int64 | None = None


_Values = Callable[[Any], tuple[Any, ...]]


def _usual(connector: str, absent: str) -> tuple[_Values, _Values, str, str]:
    names = [name for name in (*_TABLE, *_FIELDS[connector][0]) if name != absent]
    return itemgetter(*names), attrgetter(*names), absent, "".join(f"\n{name}=%s" for name in names)


_USUAL = {connector: _usual(connector, absent) for connector, absent in _ABSENT.items()}
"""How the fields of a usual source are taken from a mapping and from `SourceFields`, the name that it lacks, and the
text of the position."""

_OF_SNAPSHOTS = ("lsn", "scn", "file", "pos", "change_lsn", "commit_lsn", "ts_ms", "ts_us", "ts_ns")
"""A row that a snapshot reads has no place of its own: it has that of the snapshot, and its time."""


def position_of(source: Any, op: str) -> str:
    """Return the place of a change in the log of its source, with the table and the operation.

    Raises:
        EventError: the source does not say where the change is.
    """
    if not isinstance(source, dict):
        raise EventError('no event id: the change event has no object "source", which event_id = "debezium" reads')
    if op != "r" and (usual := _usual_position(source, op)) is not None:
        return usual
    fields = _of_snapshot(source) if op == "r" else _of_change(source)
    get = source.get
    return "\n".join([op, *[f"{name}={value}" for name in (*_TABLE, *fields) if (value := get(name)) is not None]])


def position_of_fields(source: SourceFields, op: str) -> str:
    """Return the place of a change as `position_of` does, and raise as it does."""
    usual = _USUAL.get(source.connector) if op != "r" else None
    if usual is not None:
        _, values_of, absent, text = usual
        values = values_of(source)
        if None not in values and getattr(source, absent) is None:
            return op + text % values
    return position_of(msgspec.structs.asdict(source), op)


def _usual_position(source: Mapping[str, Any], op: str) -> str | None:
    """Return the position of a change whose source has the usual fields, by one look and one text; otherwise None."""
    connector = source.get("connector")
    if type(connector) is not str or (usual := _USUAL.get(connector)) is None:
        return None
    values_of, _, absent, text = usual
    try:
        values = values_of(source)
    except KeyError:
        return None
    return None if None in values or source.get(absent) is not None else op + text % values


def names_changes(source: Any, op: str) -> bool:
    """Return whether a change event has a position, and its connector is one whose later changes have one too.

    A row that a snapshot reads has a position whatever the connector.
    """
    try:
        position_of(source, op)
    except EventError:
        return False
    return _ways(source) is not None


def _of_snapshot(source: Mapping[str, Any]) -> tuple[str, ...]:
    found = tuple(name for name in _OF_SNAPSHOTS if source.get(name) is not None)
    if found:
        return found
    raise EventError(f'no event id: the "source" of a row read by a snapshot has none of {", ".join(_OF_SNAPSHOTS)}')


def _ways(source: Mapping[str, Any]) -> tuple[tuple[str, ...], ...] | None:
    connector = source.get("connector")
    return _FIELDS.get(connector) if isinstance(connector, str) else None


def _of_change(source: Mapping[str, Any]) -> tuple[str, ...]:
    ways = _ways(source)
    if ways is None:
        raise EventError(
            'no event id: event_id = "debezium" knows the log positions of the connectors '
            f'{", ".join(_FIELDS)}, and the "source" of this change names another; '
            'take the id from a header or a column, or set event_id = "coordinates"'
        )
    for fields in ways:
        if None not in [source.get(name) for name in fields]:
            return fields
    expected = " or ".join(", ".join(fields) for fields in ways)
    raise EventError(f'no event id: the "source" of the change lacks its place in the log; expected {expected}')
