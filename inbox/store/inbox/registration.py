"""The registration of a schema: one sink, its group, its cluster and its routes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from inbox.errors import HaltError, StartupError
from inbox.store.inbox.settled_ranges import SettledRanges
from inbox.store.postgres.connection import Connection, transaction
from inbox.store.sql import statements


class RouteIdentity(NamedTuple):
    """The parts of a route that the database remembers: the event id rule decides which claims belong to the route."""

    name: str
    topics: tuple[str, ...]
    event_id: str


@dataclass(frozen=True, kw_only=True)
class SinkIdentity:
    name: str
    group_id: str
    cluster_id: str
    routes: tuple[RouteIdentity, ...]
    retired_routes: tuple[str, ...]


@dataclass(frozen=True)
class Registration:
    """The facts of a registration that a worker needs: the ids of its routes, and the routes revision for the fence."""

    route_ids: dict[str, int]
    routes_revision: int


class _KnownRoute(NamedTuple):
    route_id: int
    name: str
    topics: tuple[str, ...]
    event_id: str
    retired: bool


class Register:
    """A register that binds a schema to a sink, for one starting worker at a time."""

    def __init__(self, connection: Connection, schema: str) -> None:
        self._connection = connection
        self._schema = schema
        self._sql = statements("partitions", schema)
        self._settled = SettledRanges(connection, schema)

    def bind(self, sink: SinkIdentity, add_partitions: Callable[[], None]) -> Registration:
        """Check or take the schema, record the routes, and add partitions seen first, in one locked transaction.

        Raises:
            StartupError: the schema belongs to another sink, or to this one with other routes.
            HaltError: the schema belongs to another Kafka cluster.
        """
        with transaction(self._connection):
            self._connection.execute(self._sql["create_sink"], {"name": sink.name, "group_id": sink.group_id})
            revision = self._check_sink(sink)
            known = self._known_routes()
            self._refuse_foreign(sink, known)
            if self._differs(sink, known):
                self._connection.execute(self._sql["fence_all"])
                self._note_routes(sink, known)
                raised = self._connection.execute(self._sql["raise_routes_revision"]).fetchone()
                revision = raised[0] if raised else revision
            add_partitions()
            ids = {route.name: route.route_id for route in self._known_routes()}
        return Registration({route.name: ids[route.name] for route in sink.routes}, revision)

    def review(self, sink: SinkIdentity) -> None:
        """Raise the errors of `bind` without changing anything.

        Raises:
            StartupError: as `bind`.
        """
        if (row := self._connection.execute(self._sql["sink"]).fetchone()) is not None:
            self._refuse_other_sink(row, sink)
        self._refuse_foreign(sink, self._known_routes())

    def bound_cluster(self) -> str:
        """Return the Kafka cluster that the schema belongs to; "" where no sink has started on it."""
        row = self._connection.execute(self._sql["sink"]).fetchone()
        return row[2] or "" if row else ""

    def _check_sink(self, sink: SinkIdentity) -> int:
        row = self._connection.execute(self._sql["lock_sink"]).fetchone()
        if row is None:
            raise StartupError(f'the schema "{self._schema}" lost its row in sink; run `inbox check`')
        self._refuse_other_sink(row, sink)
        _, _, cluster_id, revision = row
        if cluster_id is None:
            self._connection.execute(self._sql["bind_cluster"], {"cluster_id": sink.cluster_id})
        return int(revision)

    def _refuse_other_sink(self, row: tuple[Any, ...], sink: SinkIdentity) -> None:
        name, group_id, cluster_id, _ = row
        if (name, group_id) != (sink.name, sink.group_id):
            raise StartupError(
                f'the schema "{self._schema}" belongs to sink "{name}" of group "{group_id}", this is sink '
                f'"{sink.name}" of group "{sink.group_id}"; give each sink a [database] schema of its own'
            )
        if cluster_id not in (None, sink.cluster_id):
            raise HaltError(
                f'the ledger in schema "{self._schema}" is of Kafka cluster {cluster_id}, but the brokers are of '
                f"cluster {sink.cluster_id}; correct [kafka] bootstrap.servers, or, if the cluster was replaced, "
                "decide for each topic with `inbox resume --topic TOPIC --new-topic --accept-loss`"
            )

    def _known_routes(self) -> list[_KnownRoute]:
        rows = self._connection.execute(self._sql["routes"])
        return [_KnownRoute(row[0], row[1], tuple(row[2]), row[3], row[4]) for row in rows]

    def _refuse_foreign(self, sink: SinkIdentity, known: Sequence[_KnownRoute]) -> None:
        named = {route.name: route for route in sink.routes}
        for route in known:
            ours = named.get(route.name)
            if ours is None and not route.retired and route.name not in sink.retired_routes:
                raise StartupError(
                    f'the schema "{self._schema}" has a route "{route.name}" that this configuration lacks: another '
                    "sink's, or one that was renamed or removed; give each sink a schema of its own, or name it in "
                    "[sink] retired_routes if it was removed on purpose"
                )
            if ours is not None and ours.event_id != route.event_id:
                raise StartupError(
                    f'route "{route.name}" identified events by "{route.event_id}" until now and by '
                    f'"{ours.event_id}" here, so that earlier events would be applied again; restore event_id, or '
                    "give the route a new name and retire the old one"
                )

    def _differs(self, sink: SinkIdentity, known: Sequence[_KnownRoute]) -> bool:
        noted = {route.name: sorted(route.topics) for route in known}
        retiring = any(route.name in sink.retired_routes and not route.retired for route in known)
        back = {route.name for route in known if route.retired}
        return retiring or any(
            route.name in back or noted.get(route.name) != sorted(route.topics) for route in sink.routes
        )

    def _note_routes(self, sink: SinkIdentity, known: Sequence[_KnownRoute]) -> None:
        by_name = {route.name: route for route in known}
        for route in sink.routes:
            earlier = by_name.get(route.name)
            if earlier is not None and earlier.retired:
                self._connection.execute(self._sql["revive_route"], {"route_id": earlier.route_id})
            if earlier is None or sorted(earlier.topics) != sorted(route.topics):
                self._note_route(route, earlier)
        for name in sink.retired_routes:
            if name in by_name and not by_name[name].retired:
                self._settled.end(by_name[name].route_id, by_name[name].topics)
                self._connection.execute(self._sql["retire_route"], {"route_id": by_name[name].route_id})

    def _note_route(self, route: RouteIdentity, earlier: _KnownRoute | None) -> None:
        topics = sorted(route.topics)
        if earlier is None:
            added = {"name": route.name, "topics": topics, "identity": route.event_id}
            row = self._connection.execute(self._sql["add_route"], added).fetchone()
            route_id = row[0] if row else 0
        else:
            route_id = earlier.route_id
            self._settled.end(route_id, sorted({*earlier.topics}.difference(topics)))
            self._connection.execute(self._sql["change_route_topics"], {"route_id": route_id, "topics": topics})
            self._settled.begin_again(route_id, sorted({*topics}.difference(earlier.topics)))
        self._connection.execute(self._sql["start_route"], {"route_id": route_id, "topics": topics})
