"""The rights that a start needs, in PostgreSQL and in Kafka."""

from collections.abc import Iterable

from inbox.bootstrap.routes import handler_routes, table_routes
from inbox.errors import StartupError
from inbox.kafka.cluster import Cluster
from inbox.settings import Settings
from inbox.store.options import RelayKind
from inbox.store.postgres.connection import Connection
from inbox.store.privileges.check import missing_rights
from inbox.store.schema.revisions import history_of


def require_rights(connection: Connection, settings: Settings) -> None:
    """Raise StartupError with one line for each right that is missing."""
    targets = [target for _, target in table_routes(settings.routes)]
    has_outbox = settings.outbox is not None and settings.outbox.existing is None
    publishes = has_outbox and (any(handler_routes(settings.routes)) or settings.failures.copy_to is not None)
    prunes = has_outbox and settings.outbox is not None and settings.outbox.relay is RelayKind.DEBEZIUM
    schema = settings.database.schema
    version = history_of(settings.outbox).version_table if settings.outbox is not None else None
    if problems := missing_rights(
        connection, schema, targets, version=version, publishes=publishes, prunes_outbox=prunes
    ):
        raise StartupError("\n".join(problems))


def require_kafka_rights(cluster: Cluster, topics: Iterable[str]) -> None:
    """Raise StartupError with one line for each topic, and the group, that this user may not read."""
    if problems := cluster.missing_rights(sorted(topics)):
        raise StartupError("\n".join(problems))
