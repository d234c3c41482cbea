"""The work of `inbox hold` and `inbox release`: a person stops a running sink from taking records of some topics."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from inbox.operations.actions import Action, record_action
from inbox.operations.operator import current_operator
from inbox.settings import Settings
from inbox.settings.problems import hint
from inbox.store.inbox.control.holds import Hold
from inbox.store.postgres.connection import snapshot, transaction
from inbox.store.store import Store, open_store


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request to hold or release a route's topics, a topic, or some partitions of it; with neither: everything."""

    route: str | None = None
    topic: str | None = None
    partitions: tuple[int, ...] | None = None

    @property
    def asked(self) -> str:
        """Return what was asked for, in words."""
        if self.route is not None:
            return f"route {self.route}"
        if self.topic is None:
            return "anything"
        return self.topic if self.partitions is None else f"{self.topic}:{','.join(map(str, self.partitions))}"


@dataclass(frozen=True, kw_only=True)
class HeldTopic:
    """A topic of a plan, with the routes that take it: all of them are held, since they share a transaction."""

    topic: str
    partitions: tuple[int, ...] | None
    routes: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Holding:
    """The plan of a hold, executed or not.

    `more_routes` are held although another one was asked for. `others` are holds in force on the same
    topics. `hold_ids` is empty unless the plan was executed.
    """

    request: Request
    topics: Sequence[HeldTopic]
    others: Sequence[Hold]
    more_routes: Sequence[str] = ()
    hold_ids: Sequence[int] = ()
    refusal: str | None = None


@dataclass(frozen=True, kw_only=True)
class Releasing:
    """The plan of a release, executed or not. `left` are holds in force that touch the same topics and stay."""

    request: Request
    holds: Sequence[Hold]
    left: Sequence[Hold]
    released: Sequence[int] = field(default=())
    executed: bool = False


def hold(
    settings: Settings,
    request: Request,
    *,
    reason: str,
    lasts: timedelta | None,
    shared: bool,
    execute: bool,
    by: str | None,
) -> Holding:
    """Plan a hold, and with `execute` begin it in one transaction; the sink follows within seconds.

    `shared` agrees to the other routes of the same topics being held too.

    Raises:
        StartupError: there is no schema, or it is of another version.
        TryAgainError: the database does not answer.
    """
    with open_store(settings.database, command="hold", doing="holding", outbox=settings.outbox) as store:
        planned = _plan(settings, store, request)
        if planned.refusal is not None or not execute or (planned.more_routes and not shared):
            return planned
        with transaction(store.connection):
            by = by or current_operator(store.connection)
            ids = [
                store.holds.begin(
                    each.topic, each.partitions, route=request.route, reason=reason, requested_by=by, lasts=lasts
                )
                for each in planned.topics
            ]
            record_action(store, _action("hold", request, by, reason=reason, lasts=lasts), {"holds": ids})
    return Holding(
        request=request,
        topics=planned.topics,
        others=planned.others,
        more_routes=planned.more_routes,
        hold_ids=ids,
    )


def release(settings: Settings, request: Request, *, execute: bool, by: str | None) -> Releasing:
    """Plan a release, and with `execute` end the holds in one transaction; the sink follows within seconds.

    Raises:
        StartupError, TryAgainError: as `hold`.
    """
    with open_store(settings.database, command="release", doing="releasing", outbox=settings.outbox) as store:
        in_force = store.holds.in_force()
        chosen = chosen_holds(request, in_force)
        released: Sequence[int] = ()
        if execute and chosen:
            with transaction(store.connection):
                by = by or current_operator(store.connection)
                released = store.holds.release([each.hold_id for each in chosen], released_by=by)
                if released:
                    record_action(store, _action("release", request, by), {"holds": list(released)})
    topics = {each.topic for each in chosen} | ({request.topic} if request.topic is not None else set())
    left = [each for each in in_force if each not in chosen and each.topic in topics]
    return Releasing(request=request, holds=chosen, left=left, released=released, executed=execute)


def read_holds(store: Store) -> list[Hold]:
    """Return the holds in force, the oldest first."""
    with snapshot(store.connection):
        return store.holds.in_force()


def chosen_holds(request: Request, in_force: Sequence[Hold]) -> list[Hold]:
    """Return the holds that a release ends: those of the route, or on the topic and no partition beside the asked."""
    if request.route is not None:
        return [each for each in in_force if each.route == request.route]
    if request.topic is None:
        return list(in_force)
    asked = request.partitions
    return [
        each
        for each in in_force
        if each.topic == request.topic
        and (asked is None or (each.partitions is not None and set(each.partitions) <= set(asked)))
    ]


def _plan(settings: Settings, store: Store, request: Request) -> Holding:
    routes = {route.name: route.topics for route in settings.routes}
    refusal = _refusal(routes, store, request)
    wanted = () if refusal is not None else _topics(routes, request)
    topics = [
        HeldTopic(
            topic=topic,
            partitions=request.partitions,
            routes=[name for name, theirs in routes.items() if topic in theirs],
        )
        for topic in wanted
    ]
    more = {name for each in topics for name in each.routes if request.route is not None and name != request.route}
    others = [each for each in store.holds.in_force() if each.topic in wanted]
    return Holding(request=request, topics=topics, others=others, more_routes=sorted(more), refusal=refusal)


def _topics(routes: dict[str, tuple[str, ...]], request: Request) -> Sequence[str]:
    return routes[request.route] if request.route is not None else [str(request.topic)]


def _refusal(routes: dict[str, tuple[str, ...]], store: Store, request: Request) -> str | None:
    if request.route is not None:
        return None if request.route in routes else f"there is no route {request.route}{hint(request.route, routes)}"
    topic = str(request.topic)
    topics = sorted({each for theirs in routes.values() for each in theirs})
    if topic not in topics:
        return f"no route takes the topic {topic}{hint(topic, topics)}"
    known = sorted(each.address.partition for each in store.ledger.known([topic]))
    if known and (absent := sorted(set(request.partitions or ()) - set(known))):
        return f"{topic} has no partition {', '.join(map(str, absent))}; it has {known[0]} to {known[-1]}"
    return None


def _action(
    command: str, request: Request, by: str, *, reason: str | None = None, lasts: timedelta | None = None
) -> Action:
    plan = {
        "route": request.route,
        "topic": request.topic,
        "partitions": None if request.partitions is None else list(request.partitions),
        "reason": reason,
        "seconds": None if lasts is None else lasts.total_seconds(),
    }
    return Action(command=command, plan=plan, by=by)
