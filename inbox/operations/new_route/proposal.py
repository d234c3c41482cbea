"""The table and the route that fit the events of a topic."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from inbox.errors import StartupError
from inbox.operations.samples.columns import MOST_COLUMNS, ProposedColumn, columns_of, snake_case
from inbox.operations.samples.identity import EventIdChoice, RowKey, SampledEvent, event_id_of, row_key_of
from inbox.operations.samples.kinds import Member, members_of
from inbox.operations.samples.shape import Shape
from inbox.reading.options import Envelope
from inbox.store.options import TableMode, Tombstones

NO_KEY_TYPES = frozenset({"jsonb", "bytea", "double precision"})
"""Types of which no key is made."""


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A table and a route.

    Attributes:
        columns: those of the table; the key's come first.
        key: the names of the key's columns.
        tombstones: None where the route's default is right.
        notes: what a person should know about the whole, without any value.
    """

    topic: str
    table: str
    shape: Shape
    columns: Sequence[ProposedColumn]
    key: Sequence[str]
    mode: TableMode
    tombstones: Tombstones | None
    event_id: EventIdChoice
    notes: Sequence[str]


def table_name(topic: str, envelope: Envelope) -> str:
    """Return the name of a table for a topic: of Debezium's, the table whose changes it has."""
    last = topic.rpartition(".")[2] if envelope is Envelope.DEBEZIUM else topic
    return f"public.{snake_case(last)[:50]}"


def proposal_of(
    topic: str,
    table: str | None,
    shape: Shape,
    events: Sequence[SampledEvent],
    of_schema: Mapping[str, Member] = MappingProxyType({}),
) -> Proposal:
    """Return the table and the route for the events of a sample, and for the members of a schema.

    Raises:
        StartupError: no event has a member.
    """
    rows = [event.row for event in events if event.row is not None]
    typed = shape.format.has_decoded_rows
    members = _joined(of_schema, members_of(rows, typed=typed))
    if not members:
        raise StartupError(f'topic {topic}: no event of the sample has a member; fill a column from "$value"')
    notes: list[str] = []
    found = columns_of(list(members.values())[:MOST_COLUMNS], len(rows), typed=typed)
    if len(members) > MOST_COLUMNS:
        notes.append(f"the events have {len(members)} members, and the first {MOST_COLUMNS} have columns")
    by_member = {column.member: column for column in found}
    row_key = _usable(row_key_of(events, topic), by_member, notes)
    key = [by_member[name].name for name in row_key.members] if row_key else []
    deletes = any(event.row is None for event in events)
    return Proposal(
        topic=topic,
        table=table or table_name(topic, shape.envelope),
        shape=shape,
        columns=sorted(found, key=lambda each: each.name not in key),
        key=key,
        mode=TableMode.UPSERT if key else TableMode.APPEND,
        tombstones=_tombstones(row_key, shape.envelope, deletes=deletes, notes=notes),
        event_id=event_id_of(events, shape.envelope),
        notes=[*_of_key(row_key), *notes],
    )


def _joined(of_schema: Mapping[str, Member], seen: Mapping[str, Member]) -> dict[str, Member]:
    """Return the members of the schema and of the sample, those in both with what each says of them."""
    joined = {
        name: replace(each, declared=of_schema[name].declared) if name in of_schema else each
        for name, each in seen.items()
    }
    return {name: each for name, each in {**of_schema, **joined}.items() if name.isprintable() and name}


def _usable(found: RowKey | None, columns: dict[str, ProposedColumn], notes: list[str]) -> RowKey | None:
    """Return the key if each of its members can be part of one."""
    if found is None:
        return None
    for name in found.members:
        if name not in columns or columns[name].type in NO_KEY_TYPES:
            notes.append("the record's key has a member that cannot be part of a key")
            return None
    return found


def _of_key(found: RowKey | None) -> list[str]:
    if found is None:
        return [
            "no key was found: mode append adds a row for each event; with a key, make it PRIMARY KEY and mode upsert"
        ]
    return [f"key: {found.why}"]


def _tombstones(found: RowKey | None, envelope: Envelope, *, deletes: bool, notes: list[str]) -> Tombstones | None:
    """Return what becomes of deletes, and note what is not certain."""
    if found is not None and (found.in_record or envelope is Envelope.DEBEZIUM):
        return None if envelope is Envelope.DEBEZIUM else Tombstones.DELETE
    if not deletes:
        return None
    notes.append("there are deletes, which name no row without a key: they are ignored")
    return Tombstones.IGNORE
