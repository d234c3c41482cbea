"""The inbox's tables in one schema, bound once to one connection."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cached_property

from inbox.store.inbox.audit_queries import AuditQueries
from inbox.store.inbox.claims import ClaimStore
from inbox.store.inbox.control.actions import Actions
from inbox.store.inbox.control.budgets import Budgets
from inbox.store.inbox.control.holds import Holds
from inbox.store.inbox.dead_letter_queries import DeadLetterQueries
from inbox.store.inbox.dead_letters import DeadLetters
from inbox.store.inbox.generations import Generations
from inbox.store.inbox.horizon import Horizons
from inbox.store.inbox.ledger import Ledger
from inbox.store.inbox.registration import Register
from inbox.store.inbox.replays import Replays
from inbox.store.inbox.resumptions import Resumptions
from inbox.store.inbox.retention import Retention
from inbox.store.inbox.settled_ranges import SettledRanges
from inbox.store.inbox.unknown_members import UnknownMemberCounts
from inbox.store.options import DatabaseOptions, OutboxOptions
from inbox.store.postgres.connection import Connection, connect, startup_errors
from inbox.store.postgres.session_settings import UNHURRIED
from inbox.store.schema.compatibility import require_current


class Store:
    """The inbox's tables in one schema, on one connection. The caller owns the transaction."""

    def __init__(self, connection: Connection, schema: str) -> None:
        self.connection = connection
        self.schema = schema

    @cached_property
    def ledger(self) -> Ledger:
        return Ledger(self.connection, self.schema)

    @cached_property
    def claims(self) -> ClaimStore:
        return ClaimStore(self.connection, self.schema)

    @cached_property
    def dead_letters(self) -> DeadLetters:
        return DeadLetters(self.connection, self.schema)

    @cached_property
    def dead_letter_queries(self) -> DeadLetterQueries:
        return DeadLetterQueries(self.connection, self.schema)

    @cached_property
    def replays(self) -> Replays:
        return Replays(self.connection, self.schema)

    @cached_property
    def generations(self) -> Generations:
        return Generations(self.connection, self.schema)

    @cached_property
    def horizons(self) -> Horizons:
        return Horizons(self.connection, self.schema)

    @cached_property
    def retention(self) -> Retention:
        return Retention(self.connection, self.schema)

    @cached_property
    def register(self) -> Register:
        return Register(self.connection, self.schema)

    @cached_property
    def resumptions(self) -> Resumptions:
        return Resumptions(self.connection, self.schema)

    @cached_property
    def actions(self) -> Actions:
        return Actions(self.connection, self.schema)

    @cached_property
    def holds(self) -> Holds:
        return Holds(self.connection, self.schema)

    @cached_property
    def budgets(self) -> Budgets:
        return Budgets(self.connection, self.schema)

    @cached_property
    def settled_ranges(self) -> SettledRanges:
        return SettledRanges(self.connection, self.schema)

    @cached_property
    def unknown_members(self) -> UnknownMemberCounts:
        return UnknownMemberCounts(self.connection, self.schema)

    def audit(self, *, bits: int = 0) -> AuditQueries:
        """Return the reads of an audit, in chunks of `2 ** bits` offsets."""
        return AuditQueries(self.connection, self.schema, bits=bits)

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


@contextmanager
def open_store(
    options: DatabaseOptions, *, command: str, doing: str, outbox: OutboxOptions | None = None, unhurried: bool = False
) -> Iterator[Store]:
    """Connect for a command of a person, and require a schema that this version can use.

    `doing` names the attempt in errors. With `unhurried` a statement may take any time.

    Raises:
        StartupError: the connection is refused, or there is no schema, or it is of another version.
        TryAgainError: the database does not answer.
    """
    connection = connect(options, application_name=f"inbox {command}", settings=UNHURRIED if unhurried else None)
    with closing(connection), startup_errors(doing):
        require_current(connection, options.schema, outbox)
        yield Store(connection, options.schema)
