"""Everything that a start needs, looked at all at once; nothing is changed anywhere."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from inbox.app.binding import first_offsets, no_topic, sink_identity, wanted_topics
from inbox.app.connector import capture_of
from inbox.app.start import handler_routes, require_kafka_rights, require_rights, table_routes
from inbox.errors import InboxError, StartupError, TryAgainError
from inbox.handlers import load_handler
from inbox.kafka.cluster import Cluster, TopicView
from inbox.settings import Settings
from inbox.store.database import SinkConnection, connect, refuse_changes, starting
from inbox.store.ledger import Ledger
from inbox.store.migrations import require_current
from inbox.store.options import RelayKind, TableTarget
from inbox.store.registration import Register
from inbox.store.tables import TableWriter

_BROKER_SECONDS = 5.0


class Verdict(StrEnum):
    """What became of a check."""

    OK = "ok"
    FAILED = "failed"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True)
class Finding:
    """One check. A problem is a sentence with its remedy; where nothing could be checked, it says why."""

    subject: str
    verdict: Verdict
    problems: Sequence[str] = ()


def check(settings: Settings) -> list[Finding]:
    """What a start would find, in the order in which it would ask; reading the settings was the first."""
    examination = _Examination(settings)
    with closing(examination):
        examination.run()
    return examination.findings


class _UnaskedError(Exception):
    """A question that makes no sense after what an earlier one found."""


class _Examination:
    """What was found so far, and what later questions need of the earlier ones."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connection: SinkConnection | None = None
        self._migrated = False
        self._cluster: Cluster | None = None
        self._cluster_id = ""
        self._topics: dict[str, TopicView] = {}
        self.findings = [Finding("configuration", Verdict.OK)]

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def run(self) -> None:
        settings = self._settings
        for route, name in handler_routes(settings.routes):
            self._ask(f"handler of route {route.name}", partial(load_handler, name))
        self._ask("database", self._connect, when_away="start the server, or correct [database] url")
        self._ask(f"schema {settings.database.schema}", self._find_schema)
        self._ask("rights in the database", lambda: require_rights(self._database(), settings))
        if settings.outbox is not None and settings.outbox.relay is RelayKind.DEBEZIUM:
            self._ask("change data capture", self._find_capture)
        for route, target in table_routes(settings.routes):
            self._ask(f"table of route {route.name}", partial(self._find_table, target))
        self._ask("brokers", self._reach_brokers, when_away="start them, or correct [kafka] bootstrap.servers")
        for topic in wanted_topics(settings.routes):
            self._ask(f"topic {topic}", partial(self._find_topic, topic))
        self._ask("rights in Kafka", lambda: require_kafka_rights(self._brokers(), self._topics))
        self._ask("ledger", self._compare_ledger)

    def _ask(self, subject: str, question: Callable[[], object], *, when_away: str = "try again later") -> None:
        """`when_away` is the remedy where a server does not answer, which an outage's own text lacks."""
        try:
            with starting("asking the database"):
                question()
        except _UnaskedError as error:
            finding = Finding(subject, Verdict.NOT_CHECKED, [str(error)])
        except TryAgainError as error:
            finding = Finding(subject, Verdict.FAILED, [f"{error}; {when_away}"])
        except InboxError as error:
            finding = Finding(subject, Verdict.FAILED, str(error).splitlines())
        else:
            finding = Finding(subject, Verdict.OK)
        self.findings.append(finding)

    def _connect(self) -> None:
        self._connection = connect(self._settings.database, application_name="inbox check")
        refuse_changes(self._connection)

    def _database(self) -> SinkConnection:
        if self._connection is None:
            raise _UnaskedError("the database cannot be asked")
        return self._connection

    def _find_schema(self) -> None:
        require_current(self._database(), self._settings.database.schema, self._settings.outbox)
        self._migrated = True

    def _find_capture(self) -> None:
        connection = self._database()
        if not self._migrated:
            raise _UnaskedError("the schema holds no outbox of this version")
        if problems := capture_of(self._settings.database).problems(connection):
            raise StartupError("\n".join(problems))

    def _find_table(self, target: TableTarget) -> None:
        TableWriter(self._database(), target)

    def _reach_brokers(self) -> None:
        cluster = Cluster(self._settings.kafka, timeout_seconds=_BROKER_SECONDS)
        self._cluster_id = cluster.cluster_id()
        self._cluster = cluster

    def _brokers(self) -> Cluster:
        if self._cluster is None:
            raise _UnaskedError("the brokers cannot be asked")
        return self._cluster

    def _find_topic(self, name: str) -> None:
        found = self._brokers().topics([name])
        if name not in found:
            raise StartupError(no_topic(name))
        self._topics.update(found)

    def _compare_ledger(self) -> None:
        connection, cluster = self._database(), self._brokers()
        if not self._migrated:
            raise _UnaskedError("the schema holds no ledger of this version")
        problems = list(self._misfits(connection, cluster))
        if problems:
            raise StartupError("\n".join(problems))

    def _misfits(self, connection: SinkConnection, cluster: Cluster) -> Iterator[str]:
        """Whose the ledger is, and for each topic whether the log is still the one that it speaks of."""
        schema, settings = self._settings.database.schema, self._settings
        identity = sink_identity(settings, self._cluster_id)
        questions: list[Callable[[], object]] = [lambda: Register(schema).review(connection, identity)]
        for view in self._topics.values():
            known = Ledger(schema).known(connection, [view.name])
            questions.append(partial(first_offsets, known, view, cluster, self._cluster_id, settings.sink.start))
        for question in questions:
            try:
                question()
            except InboxError as error:
                yield str(error)
