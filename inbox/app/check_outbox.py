"""What publishing needs: a producer, and topics that keep what they are given."""

from contextlib import closing
from functools import partial

from inbox.app.connector import capture_of
from inbox.app.examination import BROKER_SECONDS, Examination, Finding, UnaskedError, Verdict
from inbox.errors import StartupError
from inbox.kafka.options import KafkaOptions
from inbox.kafka.producer import EventProducer
from inbox.kafka.publishing import PublishingTopics, batch_bytes, judged
from inbox.settings import RelaySettings
from inbox.store.database import SinkConnection
from inbox.store.migrations import require_outbox
from inbox.store.options import DatabaseOptions, RelayKind
from inbox.store.outbox_relay import waiting_topics
from inbox.store.rights import missing_relay_rights


def check_relay(settings: RelaySettings) -> list[Finding]:
    """What the start of a relay would find, where the configuration has no sink."""
    with closing(Examination(settings.database, settings.kafka)) as examination:
        examination.find_database()
        examination.ask(f"outbox in {settings.database.schema}", lambda: _require_outbox(examination, settings))
        if settings.outbox.relay is RelayKind.DEBEZIUM:
            examination.ask("change data capture", lambda: _find_capture(examination, settings))
        else:
            examination.ask("rights in the database", lambda: _require_rights(examination, settings.database.schema))
        examination.find_brokers()
        check_publishing(examination, settings.database.schema, settings.kafka)
    return examination.findings


def check_publishing(examination: Examination, schema: str, kafka: KafkaOptions, *topics: str) -> None:
    """The producer, and each topic that events wait for or that is named."""
    examination.ask("producer", lambda: EventProducer(kafka, lambda *_: None).discard())
    found: dict[str, int] = dict.fromkeys(topics, 0)
    examination.ask("topics of the outbox", lambda: found.update(waiting_topics(examination.database(), schema)))
    for topic, largest in sorted(found.items()):
        subject = f"publishing to {topic}"
        examination.ask(subject, partial(_judge, examination, subject, topic, largest, kafka))


def _judge(examination: Examination, subject: str, topic: str, largest: int, kafka: KafkaOptions) -> None:
    examination.cluster()
    terms = PublishingTopics(kafka, timeout_seconds=BROKER_SECONDS).terms(topic)
    remarks = judged(terms, batch_bytes=batch_bytes(kafka), largest_bytes=largest)
    if stops := [remark.text for remark in remarks if remark.stops]:
        raise StartupError("\n".join(stops))
    if remarks:
        examination.findings.append(Finding(subject, Verdict.ADVICE, [remark.text for remark in remarks]))


def require_capture(connection: SinkConnection, options: DatabaseOptions) -> None:
    """Raises StartupError with one line for each thing that the connector lacks in the database."""
    if problems := capture_of(options).problems(connection):
        raise StartupError("\n".join(problems))


def _require_outbox(examination: Examination, settings: RelaySettings) -> None:
    require_outbox(examination.database(), settings.database.schema, settings.outbox)


def _find_capture(examination: Examination, settings: RelaySettings) -> None:
    try:
        _require_outbox(examination, settings)
    except StartupError:
        raise UnaskedError("the schema holds no outbox of this version") from None
    require_capture(examination.database(), settings.database)


def _require_rights(examination: Examination, schema: str) -> None:
    if problems := missing_relay_rights(examination.database(), schema):
        raise StartupError("\n".join(problems))
