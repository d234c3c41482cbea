"""The work of `inbox resume`: it binds the ledger to the log as it is now, and records what that cost."""

from collections.abc import Sequence
from dataclasses import dataclass

from inbox.errors import StartupError
from inbox.events import TopicPartition
from inbox.kafka.cluster import Cluster
from inbox.kafka.log.truncation import truncation_points
from inbox.operations.actions import Action, plan_token, record_action
from inbox.operations.operator import current_operator
from inbox.operations.resume.plan import Facts, RefusedError, Request, Step, plan
from inbox.settings import Settings
from inbox.sink.event_id import coordinates_id
from inbox.sink.guards.log_check import LogView, is_another_topic
from inbox.sink.guards.log_comparison import read_comparable
from inbox.store.inbox.ledger import KnownPartition
from inbox.store.postgres.connection import transaction
from inbox.store.store import Store, open_store


@dataclass(frozen=True, kw_only=True)
class Resumption:
    """The plan of a resume, executed or not. `elsewhere` lists topics that are still bound to another cluster.

    `stale` says that another plan was shown.
    """

    steps: Sequence[Step]
    executed: bool
    elsewhere: Sequence[str] = ()
    stale: bool = False

    @property
    def token(self) -> str:
        """Return what stands for the plan: where each partition is, where it continues, and with which consequence."""
        steps = [
            (str(step.address), step.successor.before.next_offset, step.successor.to_offset, step.successor.consequence)
            for step in self.steps
        ]
        return plan_token({"steps": steps})

    @property
    def costs(self) -> bool:
        return any(step.costs for step in self.steps)


def resume(
    settings: Settings, request: Request, *, accept_loss: bool, execute: bool, by: str | None, shown: str | None = None
) -> Resumption:
    """Plan how a topic continues, and with `execute` carry the plan out in one transaction.

    A plan that costs something is not carried out without `accept_loss`, and none but the one with the token `shown`,
    if that is given.

    Raises:
        RefusedError: the request makes no sense.
        StartupError: there is no schema, or nobody may read the topic.
        TryAgainError: the database or the brokers do not answer.
    """
    with open_store(settings.database, command="resume", doing="resuming", outbox=settings.outbox) as store:
        session = _ResumeSession(store, settings, request)
        if not execute:
            return Resumption(steps=plan(request, session.facts()), executed=False)
        with transaction(store.connection):
            session.resumptions.lock(request.topic)
            found = Resumption(steps=plan(request, session.facts()), executed=True)
            if shown not in (None, found.token):
                return Resumption(steps=found.steps, executed=False, stale=True)
            if found.costs and not accept_loss:
                return Resumption(steps=found.steps, executed=False)
            record_action(store, _action(request, found, by), {"partitions": len(found.steps)})
            return session.carry_out(found, by or current_operator(store.connection))


def _action(request: Request, found: Resumption, by: str | None) -> Action:
    steps = [
        {
            "topic": request.topic,
            "partition": step.address.partition,
            "from_offset": step.successor.before.next_offset,
            "to_offset": step.successor.to_offset,
            "consequence": step.successor.consequence,
        }
        for step in found.steps
    ]
    return Action(command="resume", plan={"new_topic": request.new_topic, "partitions": steps}, by=by)


class _ResumeSession:
    """The accessors with which one resume looks at the sink and changes it."""

    def __init__(self, store: Store, settings: Settings, request: Request) -> None:
        self._settings = settings
        self._topic = request.topic
        self._ledger = store.ledger
        self.resumptions = store.resumptions

    def facts(self) -> Facts:
        if not self._ledger.known([self._topic]):
            raise RefusedError(f"the ledger has no topic {self._topic}; see `inbox status` for those that it has")
        cluster = Cluster(self._settings.kafka)
        found = read_comparable(cluster, cluster.cluster_id(), [self._topic], self._ledger.known)
        if self._topic not in found:
            raise StartupError(f"the cluster has no topic {self._topic}; create it first")
        known, log = found[self._topic]
        return Facts(
            known=known,
            log=log,
            agrees_until=truncation_points(self._settings.kafka, _validated_places(known, log)),
            open_letters=self.resumptions.open_letters([each.partition_id for each in known]),
        )

    def carry_out(self, found: Resumption, by: str) -> Resumption:
        for step in found.steps:
            self.resumptions.continue_at(step.successor, requested_by=by)
            self._forget_coordinates(step)
        cluster_id = found.steps[0].successor.cluster_id
        elsewhere = self.resumptions.bind_cluster(cluster_id)
        return Resumption(steps=found.steps, executed=True, elsewhere=elsewhere)

    def _forget_coordinates(self, step: Step) -> None:
        """Forget the claims of coordinates whose events another log under the same topic id replaces.

        The new events would have the same ids.
        """
        successor = step.successor
        before, first = successor.before, step.differs_from
        if not successor.another_log or first is None or before.topic_id != successor.topic_id:
            return
        ids = (coordinates_id(before.address, before.topic_id, each) for each in range(first, before.next_offset))
        self.resumptions.forget_claims(before.partition_id, ids)


def _validated_places(known: Sequence[KnownPartition], log: LogView) -> dict[TopicPartition, tuple[int, int]]:
    return {
        each.address: (each.next_offset, each.leader_epoch)
        for each in known
        if each.leader_epoch is not None
        and each.cluster_id == log.cluster_id
        and not is_another_topic(each.topic_id, log.topic_id)
        and each.address in log.ends
        and each.next_offset >= log.starts[each.address]
    }
