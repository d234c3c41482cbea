"""The check of everything that a start needs, all in one go. It changes nothing anywhere."""

from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import partial

from inbox.bootstrap.permissions import require_kafka_rights, require_rights
from inbox.bootstrap.routes import handler_routes, load_handler_of, table_routes
from inbox.bootstrap.startup import require_logged
from inbox.bootstrap.static_member import advice_on_instance
from inbox.bootstrap.topics import first_offsets, no_topic, sink_identity, unordered_truncates, wanted_topics
from inbox.errors import InboxError, StartupError
from inbox.handlers import ENTRY_POINT_GROUP
from inbox.kafka.cluster import Cluster, TopicView
from inbox.kafka.consumer_properties import require_consumer
from inbox.kafka.registry.schemas import SchemaRegistry
from inbox.operations.check.checks import CheckResult, Checks, SkippedCheckError, Verdict
from inbox.operations.check.drift import advice_on_drift, advice_on_values, tells_drift
from inbox.operations.check.id_advice import advice_on_coordinates, advice_on_keys
from inbox.operations.check.outbox import check_capture_topics, check_existing, check_publishing, require_capture
from inbox.operations.check.outbox_schemas import check_encoding
from inbox.operations.check.role_advice import advice_on_retention, advice_on_role
from inbox.operations.check.schemas import compare_schemas, has_schema
from inbox.plugins.entry_points import offered_by
from inbox.reading.formats.of_route import require_decoders
from inbox.settings import Settings
from inbox.sink.guards.log_comparison import read_comparable
from inbox.sink.routes import Route
from inbox.store.inbox.ledger import Ledger
from inbox.store.options import RelayKind, TableMode, TableTarget
from inbox.store.postgres.connection import Connection
from inbox.store.privileges.check import hidden_owners_remedy
from inbox.store.schema.compatibility import current_revision, head_revision, require_current
from inbox.store.store import Store
from inbox.store.tables.durability import advice_on_server, advice_on_target
from inbox.store.tables.lookup import located
from inbox.store.tables.search_path import open_schemas
from inbox.store.tables.updates import advice_on_updates
from inbox.store.tables.writer import TableWriter

_OVERWRITING = frozenset({TableMode.UPSERT, TableMode.NEWEST, TableMode.MERGE, TableMode.UPDATE})


def check(settings: Settings) -> list[CheckResult]:
    """Return the findings that a start would meet, in the order in which it would ask.

    The settings have been read already, which is the first question.
    """
    checks = _SinkChecks(settings)
    with closing(checks):
        checks.run()
    return checks.findings


def _of_open_schema(schema: str, role: str) -> str:
    who = "every role" if role == "PUBLIC" else f"the role {role}"
    return (
        f"{who} may create in the schema {schema} of the search path, and what it makes there may run with the rights "
        f"of this sink's role where handlers and triggers name no schema; REVOKE CREATE ON SCHEMA {schema} FROM {role}"
    )


class _SinkChecks(Checks):
    """The checks of what a sink needs. Later questions need the findings of earlier ones."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.database, settings.kafka)
        self._settings = settings
        self._migrated = False
        self._topics: dict[str, TopicView] = {}
        self._units: list[str] = []
        self._writers: dict[str, TableWriter] = {}
        self._registry_failed = False

    def run(self) -> None:
        settings = self._settings
        for route, name in handler_routes(settings.routes):
            package = offered_by(ENTRY_POINT_GROUP, name)
            source = f" (from {package})" if package else ""
            self.ask(f"handler of route {route.name}{source}", partial(load_handler_of, route, name))
        self.find_database()
        self.ask(f"schema {settings.database.schema}", self._find_schema)
        self.ask("rights in the database", self._find_rights)
        self._advise_on_search_path()
        self._advise_on_role()
        self._advise_on_durability()
        self._advise_on_updates()
        if settings.outbox is not None and settings.outbox.relay is RelayKind.DEBEZIUM:
            self.ask("change data capture", self._find_capture)
        for route, target in table_routes(settings.routes):
            self.ask(f"table of route {route.name}", partial(self._find_table, route, target))
        self.advise("units of times", self._units)
        self._advise_on_drift()
        self._find_schemas()
        self.find_brokers()
        for topic in wanted_topics(settings.routes):
            self.ask(f"topic {topic}", partial(self._find_topic, topic))
        if problems := list(unordered_truncates(settings.routes, self._topics)):
            self.findings.append(CheckResult("order of truncates", Verdict.FAILED, problems))
        self.ask("rights in Kafka", lambda: require_kafka_rights(self.cluster(), self._topics))
        self.advise_on_transport()
        self._advise_on_values()
        self._advise_on_gaps()
        self._advise_on_instance()
        self._advise_on_owners()
        self._advise_on_keys()
        self.ask("ledger", self._compare_ledger)
        if settings.outbox is not None and settings.outbox.relay is RelayKind.INBOX:
            copies = [settings.failures.copy_to] if settings.failures.copy_to else []
            check_existing(self, settings.outbox)
            topics = check_publishing(self, settings.database.schema, settings.kafka, settings.outbox, *copies)
            check_encoding(self, settings.encoding, topics)
        if settings.outbox is not None and settings.outbox.relay is RelayKind.DEBEZIUM:
            check_capture_topics(self, settings.database, settings.kafka, settings.outbox)

    def _find_schemas(self) -> None:
        for route in self._settings.routes:
            if route.format.is_read_here:
                self.ask(f"format of route {route.name}", partial(require_decoders, route.format))
        with_schemas = [route for route in self._settings.routes if has_schema(route)]
        registry = self._settings.schemas
        if registry is not None and (with_schemas or self._settings.needed_schemas is not None):
            self.ask("schema registry", registry.require, when_away="start it, or correct [registry] url")
            self._registry_failed = self.findings[-1].verdict is Verdict.FAILED
        for route in with_schemas:
            if registry is not None or route.format.schema is not None:
                self.ask(f"schemas of route {route.name}", partial(self._compare_schemas, route, registry))

    def _compare_schemas(self, route: Route, registry: SchemaRegistry | None) -> None:
        if self._registry_failed and route.format.schema is None:
            raise SkippedCheckError("the schema registry cannot be reached")
        if advice := compare_schemas(route, registry, self._writers.get(route.name)):
            self.findings.append(CheckResult(f"schemas of route {route.name}", Verdict.ADVICE, advice))

    def reach_brokers(self) -> None:
        require_consumer(self._settings.kafka)
        super().reach_brokers()

    def _find_schema(self) -> None:
        require_current(self.database(), self._settings.database.schema, self._settings.outbox)
        self._migrated = True
        require_logged(self.database(), self._settings.database.schema)

    def _find_rights(self) -> None:
        connection = self.database()
        if not self._migrated and self._is_of_another_version(connection):
            raise SkippedCheckError("the tables of the inbox are not of this version")
        require_rights(connection, self._settings)

    def _is_of_another_version(self, connection: Connection) -> bool:
        try:
            return current_revision(connection, self._settings.database.schema) not in (None, head_revision())
        except InboxError:  # a right is missing, which the check of the rights reports
            return False

    def _advise_on_search_path(self) -> None:
        try:
            found = open_schemas(self.database())
        except (SkippedCheckError, InboxError):
            return  # the database is reported already
        if advice := [_of_open_schema(*each) for each in found]:
            self.findings.append(CheckResult("search path", Verdict.ADVICE, advice))

    def _advise_on_role(self) -> None:
        if not self._migrated:
            return
        connection, settings = self.database(), self._settings
        schema = settings.database.schema
        try:
            of_role = advice_on_role(connection, schema)
            of_retention = advice_on_retention(connection, schema, settings.retention)
        except InboxError:
            return  # the rights were checked already
        findings = {"rights beyond need": of_role, "retention": of_retention}
        self.findings.extend(
            CheckResult(subject, Verdict.ADVICE, advice) for subject, advice in findings.items() if advice
        )

    def _advise_on_durability(self) -> None:
        targets = [target.name for _, target in table_routes(self._settings.routes)]
        try:
            connection = self.database()
            advice = list(advice_on_server(connection))
            for name in dict.fromkeys(targets):
                advice += advice_on_target(connection, located(connection, name).as_string())
        except (SkippedCheckError, InboxError):
            return
        if advice:
            self.findings.append(CheckResult("what a crash may lose", Verdict.ADVICE, advice))

    def _advise_on_updates(self) -> None:
        names = [target.name for _, target in table_routes(self._settings.routes) if target.mode in _OVERWRITING]
        try:
            connection = self.database()
            advice = [
                line
                for name in dict.fromkeys(names)
                for line in advice_on_updates(connection, located(connection, name).as_string())
            ]
        except (SkippedCheckError, InboxError):
            return
        if advice:
            self.findings.append(CheckResult("updates of rows", Verdict.ADVICE, advice))

    def _advise_on_drift(self) -> None:
        """Advise on members that events had, and that fill no column."""
        if not self._migrated:
            return
        try:
            found = list(advice_on_drift(self.database(), self._settings))
        except InboxError:
            return  # a right is missing, which the check of the rights reports
        for route, advice in found:
            self.advise(f"drift of route {route}", [advice])

    def _advise_on_values(self) -> None:
        """Advise on columns that the newest events of a route do not fill or fit any more."""
        for route, target in table_routes(self._settings.routes):
            if not tells_drift(target) or route.name not in self._writers or set(route.topics) - self._topics.keys():
                continue
            with suppress(SkippedCheckError, InboxError):  # what is away, or not allowed, is reported already
                self.advise(
                    f"values of route {route.name}", advice_on_values(self.database(), self._settings, route, target)
                )

    def _find_capture(self) -> None:
        connection = self.database()
        if not self._migrated:
            raise SkippedCheckError("the schema holds no outbox of this version")
        require_capture(connection, self._settings.database)

    def _find_table(self, route: Route, target: TableTarget) -> None:
        writer = self._writers[route.name] = TableWriter(self.database(), target)
        self._units += [f"route {route.name}: {line}" for line in writer.advice()]

    def _find_topic(self, name: str) -> None:
        found = self.cluster().topics([name])
        if name not in found:
            raise StartupError(no_topic(name))
        self._topics.update(found)

    def _advise_on_gaps(self) -> None:
        """Advise if the user may not read a topic's configuration.

        The configuration says whether a gap in the log is due to compaction.
        """
        problems = []
        for name in self._topics:
            try:
                self.cluster().compacted([name])
            except StartupError:
                problems.append(
                    f"this user lacks DESCRIBE_CONFIGS on topic {name}, so a gap in its log is assumed to be "
                    "compaction, and accepted; grant it (kafka-acls --operation DescribeConfigs)"
                )
            except (InboxError, SkippedCheckError):
                return
        if problems:
            self.findings.append(CheckResult("gaps in the log", Verdict.ADVICE, problems))

    def _advise_on_instance(self) -> None:
        if advice := advice_on_instance(self._settings):
            self.findings.append(CheckResult("static membership", Verdict.ADVICE, advice))

    def _advise_on_owners(self) -> None:
        if not self._migrated:
            return
        connection, topics = self.database(), wanted_topics(self._settings.routes)
        try:
            roles = Ledger(connection, self._settings.database.schema).hidden_owners(topics)
        except InboxError:
            return  # the next question reports it
        if roles:
            problem = hidden_owners_remedy(connection, roles)
            self.findings.append(CheckResult("sessions of other workers", Verdict.ADVICE, [problem]))

    def _advise_on_keys(self) -> None:
        try:
            compacted = self.cluster().compacted(list(self._topics))
        except (InboxError, SkippedCheckError):
            compacted = set()
        if advice := [*advice_on_keys(self._settings, compacted), *advice_on_coordinates(self._settings)]:
            self.findings.append(CheckResult("ids of events", Verdict.ADVICE, advice))

    def _compare_ledger(self) -> None:
        connection, cluster = self.database(), self.cluster()
        if not self._migrated:
            raise SkippedCheckError("the schema holds no ledger of this version")
        problems = list(self._misfits(connection, cluster))
        if problems:
            raise StartupError("\n".join(problems))

    def _misfits(self, connection: Connection, cluster: Cluster) -> Iterator[str]:
        """Yield an error text if the ledger belongs to another sink, and for each topic with another log."""
        settings, store = self._settings, Store(connection, self._settings.database.schema)
        identity = sink_identity(settings, self.cluster_id)
        questions: list[Callable[[], object]] = [lambda: store.register.review(identity)]
        found = read_comparable(cluster, self.cluster_id, sorted(self._topics), store.ledger.known)
        questions += [partial(first_offsets, each, cluster, settings.sink.start) for each in found.values()]
        for question in questions:
            try:
                question()
            except InboxError as error:
                yield str(error)
