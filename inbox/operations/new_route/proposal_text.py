"""Write a proposal: the CREATE TABLE, and the block of `inbox.toml`."""

from typing import Any

import tomlkit

from inbox.documents import pointer_to
from inbox.operations.new_route.proposal import Proposal
from inbox.operations.samples.columns import ProposedColumn
from inbox.reading.options import Envelope, Format, KeyFormat
from inbox.store.tables.ddl.creation import NewColumn, create_table


def table_text(proposal: Proposal) -> str:
    """Return the CREATE TABLE; what is not certain stands in comments."""
    columns = [NewColumn(each.name, each.type, each.notes) for each in proposal.columns]
    return create_table(proposal.table, columns, proposal.key)


def route_text(proposal: Proposal) -> str:
    """Return the block `[[routes]]`."""
    document = tomlkit.document()
    for note in (f"recognised by: {proposal.shape.why}", f"event_id: {proposal.event_id.why}", *proposal.notes):
        document.add(tomlkit.comment(note))
    routes = tomlkit.aot()
    routes.append(_route(proposal))
    document.add("routes", routes)
    return tomlkit.dumps(document)


def _route(proposal: Proposal) -> Any:
    route = tomlkit.table()
    route.add("topic", proposal.topic)
    shape = proposal.shape
    if shape.format is not Format.JSON:
        route.add("format", shape.format.value)
    if shape.schema_file is not None:
        route.add("schema_file", shape.schema_file)
    if shape.message is not None:
        route.add("message", shape.message)
    if shape.key_format is not KeyFormat.TEXT:
        route.add("key_format", shape.key_format.value)
    if shape.envelope is not Envelope.NONE:
        route.add("envelope", shape.envelope.value)
    route.add("event_id", proposal.event_id.rule)
    route.add("table", _table(proposal))
    return route


def _table(proposal: Proposal) -> Any:
    table = tomlkit.table()
    table.add("name", proposal.table)
    table.add("mode", proposal.mode.value)
    if proposal.key:
        table.add("key", list(proposal.key))
    if proposal.tombstones is not None:
        table.add("tombstones", proposal.tombstones.value)
    columns = tomlkit.table()
    for column in proposal.columns:
        columns.add(column.name, _source(column))
    table.add("columns", columns)
    return table


def _source(column: ProposedColumn) -> Any:
    pointer = pointer_to(column.member)
    if column.reading is None:
        return pointer
    source = tomlkit.inline_table()
    source.update({"from": pointer, "as": column.reading.value})
    return source
