"""The check of what publishing needs: a producer, and topics that keep the records sent to them."""

from contextlib import closing
from functools import partial

from inbox.bootstrap.relay import require_relay_rights
from inbox.errors import StartupError
from inbox.kafka.options import KafkaOptions
from inbox.kafka.producer import EventProducer
from inbox.kafka.topic_limits import PublishingTopics, UnknownLimitsError, batch_bytes, judged
from inbox.operations.check.checks import BROKER_SECONDS, CheckResult, Checks, SkippedCheckError, Verdict
from inbox.operations.check.outbox_schemas import check_encoding
from inbox.operations.debezium_connector import capture_of, heartbeat_topic
from inbox.settings import RelaySettings
from inbox.store.options import DatabaseOptions, OutboxOptions, RelayKind
from inbox.store.outbox.external_table import waiting_topics as existing_topics
from inbox.store.outbox.external_table_check import external_shape_of
from inbox.store.outbox.relay_queries import waiting_topics
from inbox.store.postgres.connection import Connection
from inbox.store.schema.compatibility import require_outbox


def check_relay(settings: RelaySettings) -> list[CheckResult]:
    """Return the findings that the start of a relay would meet, for a configuration without a sink."""
    with closing(Checks(settings.database, settings.kafka)) as checks:
        checks.find_database()
        checks.ask(f"outbox in {settings.database.schema}", lambda: _require_outbox(checks, settings))
        captured = settings.outbox.relay is RelayKind.DEBEZIUM
        if captured:
            checks.ask("change data capture", lambda: _find_capture(checks, settings))
        else:
            check_existing(checks, settings.outbox)
            checks.ask("rights in the database", lambda: require_relay_rights(checks.database(), settings))
        checks.find_brokers()
        checks.advise_on_transport()
        if captured:
            check_capture_topics(checks, settings.database, settings.kafka, settings.outbox)
        else:
            topics = check_publishing(checks, settings.database.schema, settings.kafka, settings.outbox)
            check_encoding(checks, settings.encoding, topics)
    return checks.findings


def check_existing(checks: Checks, outbox: OutboxOptions) -> None:
    """Check that an external table fits what `[outbox]` says of it, if there is one."""
    if (existing := outbox.existing) is None:
        return
    subject = f"table {existing.table}"

    def question() -> None:
        if advice := external_shape_of(checks.database(), existing).advice():
            checks.findings.append(CheckResult(subject, Verdict.ADVICE, advice))

    checks.ask(subject, question)


def check_publishing(
    checks: Checks, schema: str, kafka: KafkaOptions, outbox: OutboxOptions, *topics: str
) -> list[str]:
    """Check the producer, and each topic that is named or for which events wait; return these."""
    checks.ask("producer", lambda: EventProducer(kafka, lambda *_: None).discard())
    return _check_topics(checks, schema, kafka, outbox, *topics)


def check_capture_topics(checks: Checks, database: DatabaseOptions, kafka: KafkaOptions, outbox: OutboxOptions) -> None:
    """Check the topics of the printed connector: that of its heartbeats, and those of the events.

    Kafka Connect sends as a user of its own, whose rights cannot be asked for here.
    """
    checks.ask("heartbeat topic", lambda: _find_heartbeats(checks, heartbeat_topic(database), kafka))
    _check_topics(checks, database.schema, kafka, outbox)


def _check_topics(checks: Checks, schema: str, kafka: KafkaOptions, outbox: OutboxOptions, *topics: str) -> list[str]:
    found: dict[str, int] = dict.fromkeys(topics, 0)

    def question() -> None:
        connection = checks.database()
        _require_this_version(connection, schema, outbox)
        found.update(_topics(connection, schema, outbox))

    checks.ask("topics of the outbox", question)
    ours = outbox.relay is RelayKind.INBOX
    for topic, largest in sorted(found.items()):
        subject = f"publishing to {topic}"
        checks.ask(subject, partial(_judge, checks, subject, topic, largest, kafka, ours=ours))
    return sorted(found)


def _require_this_version(connection: Connection, schema: str, outbox: OutboxOptions) -> None:
    """Raise if the schema holds no outbox of this version.

    An earlier question reports what is wrong with the schema. A query would only say that a table
    does not exist.
    """
    if outbox.existing is not None:
        return
    try:
        require_outbox(connection, schema, outbox)
    except StartupError:
        raise SkippedCheckError("the schema holds no outbox of this version") from None


def _find_heartbeats(checks: Checks, topic: str, kafka: KafkaOptions) -> None:
    cluster = checks.cluster()
    if topic not in cluster.topics([topic]):
        if cluster.creates_topics():
            return
        raise StartupError(
            f"the cluster has no topic {topic} (or this user may not see it), and the brokers do not create it: the "
            "connector would stall at its first heartbeat, and publish events again out of order after a restart; "
            f"create it: kafka-topics --create --partitions 1 --topic {topic}"
        )
    _judge(checks, "heartbeat topic", topic, 0, kafka, ours=False, advises=False)


def _topics(connection: Connection, schema: str, outbox: OutboxOptions) -> dict[str, int]:
    if outbox.existing is None:
        return waiting_topics(connection, schema)
    try:
        shape = external_shape_of(connection, outbox.existing)
    except StartupError:
        raise SkippedCheckError("the table does not fit") from None
    return existing_topics(connection, shape, outbox.existing)


def _judge(
    checks: Checks,
    subject: str,
    topic: str,
    largest: int,
    kafka: KafkaOptions,
    *,
    ours: bool,
    advises: bool = True,
) -> None:
    """Compare a topic's configuration with what publishing to it needs.

    `ours`: a producer of this configuration sends to the topic. `advises`: report also what does
    not stop the producer.
    """
    checks.cluster()
    try:
        terms = PublishingTopics(kafka, timeout_seconds=BROKER_SECONDS).limits(topic, by_this_user=ours)
    except UnknownLimitsError as unknown:
        if advises:
            checks.findings.append(CheckResult(subject, Verdict.ADVICE, [str(unknown)]))
        return
    remarks = judged(terms, batch_bytes=batch_bytes(kafka) if ours else 0, largest_bytes=largest)
    if stops := [remark.text for remark in remarks if remark.stops]:
        raise StartupError("\n".join(stops))
    if remarks and advises:
        checks.findings.append(CheckResult(subject, Verdict.ADVICE, [remark.text for remark in remarks]))


def require_capture(connection: Connection, options: DatabaseOptions) -> None:
    """Raise StartupError with one line for each thing that the connector lacks in the database."""
    if problems := capture_of(options).problems(connection):
        raise StartupError("\n".join(problems))


def _require_outbox(checks: Checks, settings: RelaySettings) -> None:
    require_outbox(checks.database(), settings.database.schema, settings.outbox)


def _find_capture(checks: Checks, settings: RelaySettings) -> None:
    try:
        _require_outbox(checks, settings)
    except StartupError:
        raise SkippedCheckError("the schema holds no outbox of this version") from None
    require_capture(checks.database(), settings.database)
