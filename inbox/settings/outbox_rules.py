"""What the keys of `[outbox]` have to do with each other: all but a few are of one kind of outbox alone."""

from inbox.settings.document import OutboxSection
from inbox.settings.problems import Path
from inbox.settings.review import Review
from inbox.store.options import RelayKind

_PATH: Path = ("outbox",)


def review_outbox(subject: Review, section: OutboxSection) -> None:
    """Notes what does not fit the table, which is one of the user's where `table` names it."""
    if section.table is None:
        if not subject.is_broken((*_PATH, "table")):
            _review_own(subject, section)
    else:
        _review_existing(subject, section)


def _review_own(subject: Review, section: OutboxSection) -> None:
    if section.columns is not None:
        subject.blame((*_PATH, "columns"), "says what the columns of a table are called, and [outbox] names no table")
    if section.topic is not None:
        subject.blame((*_PATH, "topic"), "is for a table of yours; the inbox's own outbox has a column for it")


def _review_existing(subject: Review, section: OutboxSection) -> None:
    if section.relay is RelayKind.DEBEZIUM:
        subject.blame(
            (*_PATH, "relay"),
            "the connector is for the inbox's own outbox, which nobody updates; a table of yours goes with relay = "
            '"inbox", or with a connector that you write yourself',
        )
    if "payload" in section.model_fields_set:
        subject.blame((*_PATH, "payload"), "the table has its type already; leave it out")
    column = None if section.columns is None else section.columns.topic
    if section.topic is not None and column is not None:
        subject.blame((*_PATH, "topic"), "[outbox.columns] has a topic too, for that of each event; keep one")
    if section.topic is None and column is None and not subject.is_broken_within(_PATH):
        subject.blame(
            (*_PATH, "topic"), "missing; name the topic of all events, or under [outbox.columns] the column that has it"
        )
