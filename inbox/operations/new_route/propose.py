"""Look at a topic, propose a table and a route, and write both where that was asked for."""

import tomllib
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from inbox.errors import InboxError, StartupError
from inbox.operations.actions import Action, record_where_kept
from inbox.operations.new_route.proposal import Proposal, proposal_of
from inbox.operations.new_route.proposal_text import route_text, table_text
from inbox.operations.new_route.source import Naming, Source, source_of
from inbox.operations.private_file import write_private
from inbox.operations.samples.kinds import Member
from inbox.operations.samples.log_sample import sample_of
from inbox.operations.samples.route_schemas import row_path
from inbox.operations.samples.sample_reader import SampleReader
from inbox.operations.samples.schema_members import members_of_schema
from inbox.settings.model import ServerSettings
from inbox.store.options import DatabaseOptions
from inbox.store.postgres.connection import connect, startup_errors
from inbox.store.store import Store
from inbox.store.tables.ddl.creation import define, owner_of


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request for a table and a route.

    Attributes:
        sample: how many records to read.
        named: the schema that a person named.
        table: the table's name, if it is not the topic's.
    """

    topic: str
    sample: int
    named: Naming = field(default_factory=Naming)
    table: str | None = None


@dataclass(frozen=True, kw_only=True)
class Proposed:
    """A proposal as text.

    Attributes:
        table_sql: the CREATE TABLE.
        route_toml: the block `[[routes]]`.
        sampled, unreadable: how many events were looked at, and how many of them could not be read.
        total: how many offsets the log has.
    """

    proposal: Proposal
    table_sql: str
    route_toml: str
    sampled: int
    unreadable: int
    total: int


def propose(settings: ServerSettings, request: Request) -> Proposed:
    """Return a table and a route for the topic.

    Raises:
        StartupError: the topic is unknown or empty, or its records are nothing that a route reads.
        TryAgainError: a server does not answer.
    """
    kafka = replace(settings.kafka, group_id=settings.kafka.group_id or "kafka-inbox")
    sample = sample_of(kafka, request.topic, request.sample)
    source = source_of(request.topic, sample.records, settings.schemas, request.named)
    reader = SampleReader(source.options, source.shape.envelope)
    events = reader.events(sample.records)
    proposal = proposal_of(request.topic, request.table, source.shape, events, _members(source))
    if reader.unreadable:
        note = f"{reader.unreadable} of {len(sample.records)} events cannot be read so, and become dead letters"
        proposal = replace(proposal, notes=[*proposal.notes, note])
    return Proposed(
        proposal=proposal,
        table_sql=table_text(proposal),
        route_toml=route_text(proposal),
        sampled=len(sample.records),
        unreadable=reader.unreadable,
        total=sample.total,
    )


def _members(source: Source) -> Mapping[str, Member]:
    """Return the members of the rows that the schema names."""
    fields = source.fields
    if fields is None or not fields.names(path := row_path(source.shape.envelope, fields)):
        return {}
    return members_of_schema(fields, path)


def existing_owner(settings: ServerSettings, table: str) -> str | None:
    """Return the owner of a table that exists already; None where it does not, or where no database can be asked."""
    if settings.database is None:
        return None
    try:
        with closing(connect(settings.database, read_only=True)) as connection:
            return owner_of(connection, table)
    except InboxError:
        return None


def require_new(settings: ServerSettings, table: str) -> None:
    """Raise StartupError if the table exists already."""
    if (owner := existing_owner(settings, table)) is not None:
        raise StartupError(
            f'the table "{table}" exists already and belongs to {owner}; name another one with --table, or keep it: '
            "write the route with columns_by_name = true, and see what it lacks with inbox table plan"
        )


def execute(database: DatabaseOptions, file: Path, found: Proposed) -> None:
    """Create the table and append the route to the configuration, or do neither.

    Raises:
        StartupError: the table exists, the role may not create it, or the file takes no such block.
    """
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    extended = f"{text.rstrip()}\n\n{found.route_toml}" if text.strip() else found.route_toml
    _require_new_route(text, extended, file, found.proposal.table)
    with closing(connect(database)) as connection, startup_errors("creating the table"):
        store, table = Store(connection, database.schema), found.proposal.table

        def record_and_write() -> None:
            record_where_kept(store, Action(command="new route", plan={"table": table}), {"tables": 1})
            _write(file, extended)

        define(connection, [found.table_sql], record_and_write)


def _require_new_route(text: str, extended: str, file: Path, name: str) -> None:
    try:
        routes = tomllib.loads(text).get("routes", [])
        tomllib.loads(extended)
    except (tomllib.TOMLDecodeError, TypeError):
        raise StartupError(f"a [[routes]] block cannot be appended to {file}; add the printed block by hand") from None
    names = [each.get("name") or each.get("handler") or each.get("table", {}).get("name") for each in routes]
    if name in names:
        raise StartupError(f'{file} has a route named "{name}" already; choose another table with --table')


def _write(file: Path, text: str) -> None:
    try:
        mode = file.stat().st_mode if file.exists() else None
        write_private(file, text.encode())
        if mode is not None:
            file.chmod(mode)
    except OSError as error:
        raise StartupError(f"{file} cannot be written: {error.strerror}; no table was created") from None
