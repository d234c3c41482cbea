"""Find everything that the start of a worker needs, and wait for servers that do not answer yet."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from inbox.bootstrap.deadly_batch import refuse_deadly_batch
from inbox.bootstrap.permissions import require_kafka_rights, require_rights
from inbox.bootstrap.retry import StopSignal, retry_until, run_until_stopped
from inbox.bootstrap.routes import load_handlers, table_routes
from inbox.bootstrap.topics import find_topics, register_sink
from inbox.errors import StartupError
from inbox.handlers import LoadedHandler
from inbox.kafka.cluster import Cluster, TopicView
from inbox.log_lines import log
from inbox.settings import Settings
from inbox.store.inbox.registration import Registration
from inbox.store.postgres.connection import Connection, connect, startup_errors
from inbox.store.postgres.pooler import require_sessions
from inbox.store.privileges.check import hidden_owners_remedy
from inbox.store.privileges.sink import OF_SINK
from inbox.store.schema.compatibility import require_current
from inbox.store.store import Store
from inbox.store.tables.durability import losable_of_schema
from inbox.store.tables.writer import TableWriter


@dataclass(frozen=True)
class StartupState:
    """The result of a successful start: handlers and writers by route, topics by name."""

    handlers: Mapping[str, LoadedHandler]
    writers: Mapping[str, TableWriter]
    cluster: Cluster
    topics: Mapping[str, TopicView]
    registration: Registration


def prepare(settings: Settings, stop: StopSignal) -> StartupState | None:
    """Find everything that a start needs; return None if `stop` was set before all was found.

    Raises:
        StartupError: something is missing or wrong; waiting would not fix it.
        TryAgainError: the database or the brokers did not answer within `[database] start_timeout`.
        HaltError: the log no longer fits the ledger.
    """
    # Imported on this thread: a handler's package may need the main thread for its import.
    handlers = load_handlers(settings.routes)
    seconds = settings.database.start_timeout_seconds
    return run_until_stopped(lambda: retry_until(lambda: _find(settings, handlers), seconds, stop), stop)


def _find(settings: Settings, handlers: Mapping[str, LoadedHandler]) -> StartupState:
    connection = connect(settings.database)
    with closing(connection), startup_errors("preparing the database"):
        require_current(connection, settings.database.schema, settings.outbox)
        store = Store(connection, settings.database.schema)
        require_rights(connection, settings)
        require_logged(connection, settings.database.schema)
        if handlers:
            require_sessions(connection)
        writers = {route.name: TableWriter(connection, target) for route, target in table_routes(settings.routes)}
        cluster = Cluster(settings.kafka)
        cluster_id = cluster.cluster_id()
        topics = find_topics(cluster, settings.routes)
        if (schemas := settings.needed_schemas) is not None:
            schemas.require()
        require_kafka_rights(cluster, topics)
        registration = register_sink(store, settings, cluster, cluster_id, topics)
        refuse_deadly_batch(store.ledger, settings, cluster, topics)
        _warn_of_hidden_owners(store, sorted(topics))
    return StartupState(handlers, writers, cluster, topics, registration)


def _warn_of_hidden_owners(store: Store, topics: Sequence[str]) -> None:
    if roles := store.ledger.hidden_owners(topics):
        log().warning("owners-hidden", roles=roles, remedy=hidden_owners_remedy(store.connection, roles))


def require_logged(connection: Connection, schema: str) -> None:
    """Raise StartupError with one line for each of the inbox's tables that a crash of the server empties."""
    if problems := losable_of_schema(connection, schema, [*OF_SINK, "outbox"]):
        raise StartupError("\n".join(problems))
