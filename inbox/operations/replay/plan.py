"""The plan of a replay and the reasons to refuse it: pure, decided from the ledger and the logs as they are."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from inbox.events import TopicPartition
from inbox.sink.guards.log_check import LogView, mismatches
from inbox.store.inbox.ledger import KnownPartition
from inbox.store.inbox.replays import Mode, Range, RunningRange


@dataclass(frozen=True)
class AtOffset:
    """A start or an end at this offset in each partition."""

    offset: int


@dataclass(frozen=True)
class AtTime:
    """A start or an end at the first offset of that time or later."""

    time: datetime


@dataclass(frozen=True)
class Earliest:
    """A start at the log start."""


@dataclass(frozen=True)
class ShiftedBy:
    """A start so many offsets from the ledger's next offset, back if negative, but not beyond the log start."""

    count: int


@dataclass(frozen=True)
class Listed:
    """A start at an offset for each of these partitions, and no others."""

    offsets: Mapping[TopicPartition, int]


Start = AtOffset | AtTime | Earliest | ShiftedBy | Listed
End = AtOffset | AtTime


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request to settle a range again. `until` is exclusive; None means the ledger's next offset.

    `partitions` is None for all of the topic. Both `topic` and `partitions` are None if the start
    lists partitions. `route` limits the replay to that route.
    """

    start: Start
    until: End | None = None
    topic: str | None = None
    partitions: tuple[int, ...] | None = None
    mode: Mode = Mode.SKIP_APPLIED
    route: str | None = None

    @property
    def topics(self) -> list[str]:
        """Return every topic that the request names."""
        if isinstance(self.start, Listed):
            return sorted({at.topic for at in self.start.offsets})
        return [self.topic] if self.topic is not None else []


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The ledger and the logs of the topics.

    `routes` are the topics of each configured route, `registered` the routes with which the sink
    was started. `from_times` and `until_times` are the offsets that the brokers gave for times.
    `without_claims` are the routes for which the ledger is the claim. `running` and `horizons` go by
    partition id: the replay that runs on a partition now, and the
    offset below which claims may have been removed.
    """

    known: Sequence[KnownPartition]
    logs: Mapping[str, LogView]
    routes: Mapping[str, Collection[str]]
    registered: Collection[str]
    from_times: Mapping[TopicPartition, int] = field(default_factory=dict)
    until_times: Mapping[TopicPartition, int] = field(default_factory=dict)
    running: Mapping[int, RunningRange] = field(default_factory=dict)
    horizons: Mapping[int, int] = field(default_factory=dict)
    without_claims: Collection[str] = ()


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step of the replay: the ledger of one partition goes back from `known.next_offset` to `from_offset`."""

    known: KnownPartition
    from_offset: int
    until_offset: int

    @property
    def address(self) -> TopicPartition:
        return self.known.address

    @property
    def range(self) -> Range:
        return Range(self.known.partition_id, self.from_offset, self.until_offset)

    @property
    def offsets(self) -> int:
        """Return the number of offsets that the step covers, with or without a record each."""
        return self.until_offset - self.from_offset

    @property
    def back(self) -> int:
        """Return the number of offsets that the sink goes back."""
        return self.known.next_offset - self.from_offset


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The plan of a replay. `refusals` are sentences, each with the choice; if there is one, nothing is done.

    `notes` are remarks beside the plan.
    """

    steps: Sequence[Step] = ()
    refusals: Sequence[str] = ()
    notes: Sequence[str] = ()


def plan(request: Request, facts: Facts) -> Plan:
    """Return a plan with a step for each requested partition that has anything to settle again."""
    refusals = [*_wrong_routes(request, facts), *_wrong_places(request, facts)]
    if refusals:
        return Plan(refusals=refusals)
    planned = [_planned(each, request, facts) for each in _chosen(request, facts)]
    refusals = [refusal for each in planned for refusal in each.refusals]
    steps = [step for each in planned for step in each.steps]
    notes = [note for each in planned for note in each.notes]
    if not refusals and not steps:
        return Plan(refusals=[f"{note}; choose an earlier start, or a later end" for note in notes])
    return Plan(steps=steps, refusals=refusals, notes=notes)


def _wrong_routes(request: Request, facts: Facts) -> Iterator[str]:
    if request.route is None:
        return
    if request.route not in facts.routes:
        yield f"the configuration has no route {request.route}; it has {', '.join(sorted(facts.routes))}"
        return
    if request.route not in facts.registered:
        yield f"the sink was never started with route {request.route}; start it, then replay what came before"
        return
    for topic in request.topics:
        if topic not in facts.routes[request.route]:
            its = ", ".join(sorted(facts.routes[request.route]))
            yield f"route {request.route} takes nothing from topic {topic}; it takes from {its}"


def _wrong_places(request: Request, facts: Facts) -> Iterator[str]:
    for topic in request.topics:
        of_topic = [each for each in facts.known if each.address.topic == topic]
        if not of_topic:
            yield f"the ledger has no topic {topic}; `inbox status` shows those that it has"
        elif topic not in facts.logs:
            yield f"the cluster has no topic {topic}; restore it, or correct --topic"
        else:
            yield from mismatches(of_topic, facts.logs[topic])
            yield from (
                f"{each.address}: the brokers do not name this partition yet; try again"
                for each in _chosen(request, facts)
                if each.address.topic == topic and each.address not in facts.logs[topic].starts
            )
            here = {each.address.partition for each in of_topic}
            for number in _numbers(request, topic):
                if number not in here:
                    there = ", ".join(map(str, sorted(here)))
                    yield f"the ledger has no partition {number} of {topic}; it has {there}"


def _numbers(request: Request, topic: str) -> Sequence[int]:
    if isinstance(request.start, Listed):
        return sorted(at.partition for at in request.start.offsets if at.topic == topic)
    return request.partitions or ()


def _chosen(request: Request, facts: Facts) -> list[KnownPartition]:
    known = sorted(facts.known, key=lambda each: each.address)
    if isinstance(request.start, Listed):
        return [each for each in known if each.address in request.start.offsets]
    of_topic = [each for each in known if each.address.topic == request.topic]
    return [each for each in of_topic if request.partitions is None or each.address.partition in request.partitions]


def _planned(known: KnownPartition, request: Request, facts: Facts) -> Plan:
    at, stands = known.address, known.next_offset
    log_start = facts.logs[at.topic].starts[at]
    start, until = _start(known, request, facts), _until(known, request, facts)
    if (refusal := _refusal(known, start, until, log_start, request, facts)) is not None:
        return Plan(refusals=[refusal])
    if start >= until:
        return Plan(notes=[f"{at}: there is nothing from {start} up to {until}, with the ledger at {stands}"])
    notes = []
    if isinstance(request.start, ShiftedBy) and stands + request.start.count < log_start:
        notes.append(f"{at}: the log begins at {log_start}, which is less far back than asked for")
    return Plan(steps=[Step(known=known, from_offset=start, until_offset=until)], notes=notes)


def _start(known: KnownPartition, request: Request, facts: Facts) -> int:
    log_start = facts.logs[known.address.topic].starts[known.address]
    match request.start:
        case AtOffset(offset):
            return offset
        case AtTime():
            # Offsets after the settled ones are not replayed.
            return min(facts.from_times[known.address], known.next_offset)
        case Earliest():
            return log_start
        case ShiftedBy(count):
            return max(known.next_offset + count, log_start)
        case Listed(offsets):
            return offsets[known.address]


def _until(known: KnownPartition, request: Request, facts: Facts) -> int:
    match request.until:
        case None:
            return known.next_offset
        case AtOffset(offset):
            return offset
        case AtTime():
            return min(facts.until_times[known.address], known.next_offset)


def _refusal(
    known: KnownPartition, start: int, until: int, log_start: int, request: Request, facts: Facts
) -> str | None:
    at, stands = known.address, known.next_offset
    if start < log_start:
        return (
            f"{at}: offset {start} is below the log start {log_start}: those events are no longer in Kafka; give "
            "--from-earliest to go back to the earliest available offset"
        )
    if start > stands:
        return (
            f"{at}: offset {start} is ahead of the ledger, which stands at {stands}: nothing there was settled yet; "
            f"give one below {stands}"
        )
    if until > stands:
        return (
            f"{at}: the end {until} is ahead of the ledger, which stands at {stands}: what follows is settled as it "
            "comes; leave the end out to replay everything up to there"
        )
    if request.mode is Mode.SHADOW or start >= until:
        return None
    return _overlap(known, facts) or _below_horizon(known, start, until, request, facts)


def _overlap(known: KnownPartition, facts: Facts) -> str | None:
    if (running := facts.running.get(known.partition_id)) is None:
        return None
    number = running.replay_id
    return (
        f"{known.address}: replay {number} covers {running.from_offset} up to {running.until_offset} and is at "
        f"{running.next_offset}; wait for it (`inbox replay list`), or end it with "
        f"`inbox replay cancel {number} --execute`"
    )


def _below_horizon(known: KnownPartition, start: int, until: int, request: Request, facts: Facts) -> str | None:
    horizon = facts.horizons.get(known.partition_id, 0)
    if request.mode is Mode.FORCE or start >= horizon or not _needs_claims(known, request, facts):
        return None
    some = "" if horizon >= until else f"begin at {horizon}, or, "
    return (
        f"{known.address}: offset {start} is below the horizon {horizon}: claims of events before it were removed, so "
        f"those would take effect twice; {some}to apply all of them again, use --mode force"
    )


def _needs_claims(known: KnownPartition, request: Request, facts: Facts) -> bool:
    """Return whether the replay concerns a route that knows its earlier events by their claims."""
    concerned = [
        name for name, topics in facts.routes.items() if request.route in (None, name) and known.address.topic in topics
    ]
    return not concerned or any(name not in facts.without_claims for name in concerned)
