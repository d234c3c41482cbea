"""The work of `inbox adopt`: it makes claims for events that took effect before the inbox did.

The ids come from a table of the user's.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from inbox.bootstrap.topics import find_topics, register_sink
from inbox.errors import StartupError
from inbox.kafka.cluster import Cluster
from inbox.operations.actions import Action, recorded
from inbox.reading.payload_hash import UNKNOWN_PAYLOAD
from inbox.settings import Settings
from inbox.sink.event_id import as_id, namespace_of
from inbox.sink.routes import Route
from inbox.store.inbox.adoption import AdoptableTable, RowCount
from inbox.store.inbox.claims import ADOPTED, Claims
from inbox.store.postgres.connection import connect
from inbox.store.postgres.session_settings import UNHURRIED
from inbox.store.store import Store, open_store

_IDS_AT_ONCE = 5000
"""The claims of one transaction. An interrupted adoption that is run again passes over claims that exist."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request to make claims for the ids in a column of a table.

    `topic` is needed if the route has several. `source` is the events' ce_source if ids are unique
    within a source.
    """

    route: str
    table: str
    column: str
    topic: str | None = None
    source: str | None = None


@dataclass(frozen=True, kw_only=True)
class Adoption:
    """The plan of an adoption, executed or not.

    Of the `ids` different ids `claimed` had a claim before. The others are `adopted`.
    """

    request: Request
    rows: RowCount
    ids: int
    claimed: int
    executed: bool

    @property
    def adopted(self) -> int:
        return self.ids - self.claimed

    @property
    def duplicates(self) -> int:
        """Return the number of rows that have the id of another row."""
        return self.rows.rows - self.rows.nulls - self.rows.empty - self.ids


Watch = Callable[[int, int], None]
"""A function that is called with the number of ids done and the most that there can be."""


def adopt(settings: Settings, request: Request, *, execute: bool, watch: Watch) -> Adoption:
    """Count what the table has, and with `execute` claim it.

    `execute` first does what the first start of the sink does, so that the database knows the route
    and the partitions have their first offsets.

    Raises:
        StartupError: no such route, table or column; or with `execute` whatever a start would refuse.
        TryAgainError: the database or, with `execute`, the brokers do not answer.
    """
    route = _route(settings, request)
    namespace = namespace_of(request.source or _topic(route, request))
    reading = connect(settings.database, application_name="inbox adopt", settings=UNHURRIED)
    with closing(reading), open_store(settings.database, command="adopt", doing="adopting") as store:
        table = AdoptableTable(reading, request.table, request.column)
        rows = table.count()
        route_id = _registered(settings, store, route) if execute else store.audit().routes().get(route.name)
        done = claimed = 0
        with _recorded(store, request, execute=execute) as result:
            for texts in table.ids(_IDS_AT_ONCE):
                ids = list(dict.fromkeys(as_id(text, namespace) for text in texts))
                claimed += _claimed_before(store, route_id, ids, execute=execute)
                done += len(ids)
                result.update(ids=done, claimed=claimed, adopted=done - claimed)
                watch(done, rows.rows - rows.nulls - rows.empty)
    return Adoption(request=request, rows=rows, ids=done, claimed=claimed, executed=execute)


@contextmanager
def _recorded(store: Store, request: Request, *, execute: bool) -> Iterator[dict[str, Any]]:
    if not execute:
        yield {}
        return
    plan = {
        "route": request.route,
        "table": request.table,
        "event_id_column": request.column,
        "topic": request.topic,
        "source": request.source,
    }
    with recorded(lambda: store, Action(command="adopt", plan=plan)) as result:
        yield result


def _claimed_before(store: Store, route_id: int | None, ids: Sequence[bytes], *, execute: bool) -> int:
    """Return how many of the ids have a claim; with `execute` claim the others.

    `route_id` is None if no sink has started yet.
    """
    if route_id is None:
        return 0
    if not execute:
        return store.claims.count_claimed(route_id, ids)
    nowhere = [0] * len(ids)
    claims = Claims(ids, nowhere, [UNKNOWN_PAYLOAD] * len(ids), [ADOPTED] * len(ids))
    return store.claims.in_current_generation(lambda: _claim(store, route_id, claims))


def _claim(store: Store, route_id: int, claims: Claims) -> int:
    """Claim the ids in one transaction, and return how many had a claim."""
    connection = store.connection
    connection.begin()
    try:
        store.claims.follow()
        claimed = len(store.claims.claim(route_id, claims))
        store.claims.require_current()
        connection.execute("COMMIT")
    except BaseException:
        if not connection.closed:
            connection.rollback()
        raise
    return claimed


def _route(settings: Settings, request: Request) -> Route:
    routes = {route.name: route for route in settings.routes}
    if request.route not in routes:
        raise StartupError(f"there is no route {request.route}; the configuration has {', '.join(routes)}")
    route = routes[request.route]
    if not route.keeps_claims:
        raise StartupError(
            f'route {route.name} has event_id = "coordinates": it keeps no claims, and no column holds the coordinates '
            'of an event; start behind what was applied instead, with [sink] start = "group" or a time'
        )
    return route


def _topic(route: Route, request: Request) -> str:
    if request.topic is None and len(route.topics) > 1:
        raise StartupError(
            f"route {route.name} has the topics {', '.join(route.topics)}, and a text is an id within its topic; name "
            "one with --topic"
        )
    topic = request.topic or next(iter(route.topics))
    if topic not in route.topics:
        raise StartupError(f"route {route.name} has no topic {topic}; it has {', '.join(route.topics)}")
    return topic


def _registered(settings: Settings, store: Store, route: Route) -> int:
    cluster = Cluster(settings.kafka)
    topics = find_topics(cluster, settings.routes)
    return register_sink(store, settings, cluster, cluster.cluster_id(), topics).route_ids[route.name]
