"""The work of `inbox replay`: it sends the ledger back while the sink runs, and reports the outcome."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from inbox.events import TopicPartition
from inbox.kafka.cluster import Cluster
from inbox.operations.actions import Action, plan_token, record_action
from inbox.operations.operator import current_operator
from inbox.operations.replay.plan import AtTime, Facts, Plan, Request, plan
from inbox.operations.replay.preview import Counted, count
from inbox.settings import Settings
from inbox.sink.guards.log_check import LogView
from inbox.sink.guards.log_comparison import read_comparable
from inbox.store.inbox.ledger import KnownPartition
from inbox.store.inbox.replays import Replay, ReplayState
from inbox.store.options import DatabaseOptions
from inbox.store.postgres.connection import snapshot, transaction
from inbox.store.store import Store, open_store


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A replay's plan with the counted contents as far as they are known.

    `replay_id` is None if the plan was not executed. `token` stands for the plan; `stale` says that
    another one was shown.
    """

    plan: Plan
    counted: Counted
    replay_id: int | None = None
    token: str = ""
    stale: bool = False


def replay(
    settings: Settings,
    request: Request,
    *,
    execute: bool,
    by: str | None,
    count_seconds: float,
    per_second: int | None = None,
    shown: str | None = None,
) -> Outcome:
    """Plan a replay, and with `execute` begin it in one transaction.

    For at most `count_seconds` the ranges are read, to report what is in them. `per_second` is the
    most events that all workers settle of the ranges together. `shown` is the token of the plan
    that a person has seen; another one is not executed.

    Raises:
        StartupError: there is no schema, or nobody may read the topics.
        TryAgainError: the database or the brokers do not answer.
    """
    with open_store(settings.database, command="replay", doing="planning the replay", outbox=settings.outbox) as store:
        session = _ReplaySession(store, settings, request)
        session.read_logs()
        planned = plan(request, session.facts())
        counted = count(settings, store, planned.steps, route=request.route, seconds=count_seconds)
        if not execute or planned.refusals:
            return Outcome(plan=planned, counted=counted, token=_token(request, planned))
        # Again, because counting takes time; and before the lock, so that nobody waits for brokers while holding it.
        session.read_logs()
        with transaction(store.connection):
            session.replays.lock(request.topics)
            planned = plan(request, session.facts_locked())
            token = _token(request, planned)
            if shown not in (None, token):
                return Outcome(plan=planned, counted=counted, token=token, stale=True)
            replay_id = (
                None
                if planned.refusals
                else session.begin(planned, by or current_operator(store.connection), per_second)
            )
            if replay_id is not None:
                record_action(store, _action(request, planned, by, per_second), {"replay_id": replay_id})
        return Outcome(plan=planned, counted=counted, replay_id=replay_id, token=token)


def _token(request: Request, planned: Plan) -> str:
    """Return what stands for a plan: where each partition begins and, if a person named it, ends, and who owns it.

    An end that is where the ledger stands moves with every batch, and makes no other plan. A replay, a retry or
    another owner since then makes another one: each raises the owner epoch.
    """
    ranges = [
        (
            str(step.address),
            step.from_offset,
            None if request.until is None else step.until_offset,
            step.known.owner_epoch,
        )
        for step in planned.steps
    ]
    return plan_token({"mode": request.mode.value, "route": request.route, "ranges": ranges})


def _action(request: Request, planned: Plan, by: str | None, per_second: int | None) -> Action:
    ranges = [
        {
            "topic": step.address.topic,
            "partition": step.address.partition,
            "from_offset": step.range.from_offset,
            "until_offset": step.range.until_offset,
        }
        for step in planned.steps
    ]
    return Action(
        command="replay",
        plan={"mode": request.mode.value, "route": request.route, "ranges": ranges, "per_second": per_second},
        by=by,
    )


class _ReplaySession:
    """The accessors with which one replay looks at the sink and changes it."""

    def __init__(self, store: Store, settings: Settings, request: Request) -> None:
        self._request = request
        self._routes = {route.name: route.topics for route in settings.routes}
        self._without_claims = {route.name for route in settings.routes if not route.keeps_claims}
        self._registered = store.audit().routes()
        self._ledger = store.ledger
        self.replays = store.replays
        self._horizons = store.horizons
        self._cluster = Cluster(settings.kafka)
        self._rows: Sequence[KnownPartition] = ()
        self._logs: Mapping[str, LogView] = {}
        self._from_times: Mapping[TopicPartition, int] = {}
        self._until_times: Mapping[TopicPartition, int] = {}

    def read_logs(self) -> None:
        """Ask the brokers, and the ledger between the questions."""
        found = read_comparable(self._cluster, self._cluster.cluster_id(), self._request.topics, self._read_ledger)
        self._logs = {name: each.log for name, each in found.items()}
        self._from_times = self._at(self._request.start)
        self._until_times = self._at(self._request.until)

    def facts(self) -> Facts:
        """Return what `read_logs` found."""
        return self._facts(self._logs)

    def facts_locked(self) -> Facts:
        """Return the ledger as it is under its lock, beside the logs that `read_logs` found.

        The logs hold what the sink settled between the two reads, although they ended before it.
        """
        known = self._read_ledger(self._request.topics)
        return self._facts({name: log.reaching(known) for name, log in self._logs.items()})

    def _facts(self, logs: Mapping[str, LogView]) -> Facts:
        topics = self._request.topics
        return Facts(
            known=self._rows,
            logs=logs,
            routes=self._routes,
            registered=self._registered,
            from_times=self._from_times,
            until_times=self._until_times,
            running=self.replays.running(topics),
            horizons={each.partition_id: each.offset for each in self._horizons.read() if each.offset is not None},
            without_claims=self._without_claims,
        )

    def begin(self, planned: Plan, by: str, per_second: int | None) -> int:
        ranges, request = [step.range for step in planned.steps], self._request
        return self.replays.begin(
            ranges, mode=request.mode, route=request.route, requested_by=by, per_second=per_second
        )

    def _read_ledger(self, topics: Sequence[str]) -> Sequence[KnownPartition]:
        self._rows = self._ledger.known(topics)
        return self._rows

    def _at(self, bound: object) -> Mapping[TopicPartition, int]:
        if not isinstance(bound, AtTime):
            return {}
        return self._cluster.offsets_at([at for log in self._logs.values() for at in log.ends], bound.time)


def read_replays(options: DatabaseOptions, replay_id: int | None = None) -> list[Replay]:
    """Return the past replays, the newest last, or the one with `replay_id`.

    Raises:
        StartupError: there is no schema, or it is of another version.
        TryAgainError: the database does not answer.
    """
    with (
        open_store(options, command="replay", doing="reading the replays") as store,
        snapshot(store.connection),
    ):
        return store.replays.read(replay_id)


def cancel(options: DatabaseOptions, replay_id: int) -> Replay | None:
    """End a replay where it is, and return it, or None if it does not exist.

    The ledger continues at its next offset from before the replay.

    Raises:
        StartupError, TryAgainError: as `read_replays`.
    """
    with open_store(options, command="replay", doing="ending the replay") as store:
        replays = store.replays
        with transaction(store.connection):
            replays.lock(replays.topics_of(replay_id))
            for found in replays.read(replay_id):
                left = [each.partition_id for each in found.ranges if each.state is ReplayState.RUNNING]
                replays.end(replay_id, left, ReplayState.CANCELLED)
                action = Action(command="replay cancel", plan={"replay_id": replay_id})
                record_action(store, action, {"partitions": len(left)})
        return next(iter(replays.read(replay_id)), None)
