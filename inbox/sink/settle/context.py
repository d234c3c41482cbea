"""Hold what the settling of a route's events works with."""

from collections import defaultdict
from dataclasses import dataclass, field

from inbox.failure_policy import FailureLimits
from inbox.sink.guards.row_waits import RowWaits
from inbox.sink.settle.effects import Effect
from inbox.sink.settle.fault.evidence import Evidence
from inbox.sink.settle.optimism import Optimism
from inbox.store.inbox.claims import ClaimStore
from inbox.store.postgres.batch_transaction import BatchTransaction
from inbox.store.postgres.connection import Connection
from inbox.store.postgres.handler_session import HandlerSession


@dataclass(frozen=True)
class BoundRoute:
    """A route as this run knows it: its name, its id in the database and its effect.

    Without `keeps_claims` the ledger alone says which events took effect.
    """

    name: str
    route_id: int
    effect: Effect
    handlers: bool
    keeps_claims: bool = True


@dataclass(frozen=True, slots=True)
class RouteOptimism:
    """The guesses about a route's next events: `claims` will be new, `effects` will succeed.

    For a table route also: the rows will be new (`rows`), and each occurs once in a part
    (`distinct`).
    """

    claims: Optimism = field(default_factory=Optimism)
    effects: Optimism = field(default_factory=Optimism)
    rows: Optimism = field(default_factory=Optimism)
    distinct: Optimism = field(default_factory=Optimism)


@dataclass(frozen=True, slots=True)
class SettleContext:
    """The tools of an attempt.

    `parks` is False where no event becomes a dead letter: a trial is rolled back, and a retry has dead letters
    already. `row_waits` decides whether an event waits for a missing row; if it is None, no event waits.
    """

    connection: Connection
    session: HandlerSession
    transaction: BatchTransaction
    claims: ClaimStore
    limits: FailureLimits
    parks: bool = True
    row_waits: RowWaits | None = None
    evidence: Evidence = field(default_factory=lambda: Evidence(judges=False))
    optimism: defaultdict[int, RouteOptimism] = field(default_factory=lambda: defaultdict(RouteOptimism))
    """The guesses by route id."""
