"""What can go wrong, named by what happens next.

InboxError
├─ StartupError    wrong configuration or nothing to start with: says how to fix it, exit 3
├─ EventError      this event can never succeed: it is isolated and parked, the sink continues
├─ TryAgainError   an outage, not the event's fault: roll back, pause, back off; never a dead letter
│  ├─ SmallerBatchError   the same events may succeed with fewer at a time
│  └─ UnprovenError       the same events are judged again, beside those that came meanwhile
└─ HaltError       continuing could lose or repeat an event: exit 4
   ├─ LostPlaceError   because the log no longer has what the ledger expects
   └─ UnreadableError  because the log has something there that nobody can read, or a gap without a reason

Being fenced is an answer, not an error, so it is a return value.
"""

from dataclasses import dataclass
from enum import Enum


class Guess(Enum):
    """Whose fault a refused statement seems to be by its code alone, before there is evidence."""

    VALUE = "the event's, for certain"
    EVENT = "the event's, unless every event fails"
    DATABASE = "the database's, unless this event fails alone"
    NO_PARTITION = "the table's, unless events behind it find their partition"
    SERVER = "the server's, whatever fails beside it"


@dataclass(frozen=True)
class Refusal:
    """A statement that the database refused: whose fault it seems to be, its SQLSTATE, and what it names.

    `reason` is the label of `inbox_retries_total` where it turns out to be an outage.
    """

    guess: Guess
    state: str
    reason: str
    table: str | None = None
    column: str | None = None
    constraint: str | None = None


class InboxError(Exception):
    """Root of the tree; raise one of the four below.

    The text is for the person on call: what happened, to which thing, and after a semicolon what
    to do now. It never holds a payload or a secret.

    Attributes:
        refusal: the statement of an event that the database refused, where one was.
    """

    refusal: Refusal | None = None


class StartupError(InboxError):
    """The sink cannot start as configured; the text says what to change."""


class EventError(InboxError):
    """This event can never succeed. Handlers may raise it to send the event to the dead letters at once."""


class TryAgainError(InboxError):
    """Something the event needs is away. The batch is rolled back and tried again, without end.

    Handlers may raise it when a service they depend on does not answer: its text is all they give.

    Attributes:
        away: whose outage it is: `handler`, `database` or `kafka`.
        reason: the kind of failure, one of few, for metrics; a change of it is reported once.
        alert: waiting alone may not fix it, a person should look.
    """

    # Here too, since a handler may raise a subclass whose __init__ does not call this one.
    away: str = "handler"
    reason: str = "handler"
    alert: bool = False

    def __init__(self, *text: object, away: str = "handler", reason: str = "handler", alert: bool = False) -> None:
        super().__init__(*text)
        self.away = away
        self.reason = reason
        self.alert = alert


class SmallerBatchError(TryAgainError):
    """The transaction took too long, or deadlocked with another: the same events may succeed with fewer at a time.

    Attributes:
        one_by_one: one of them may end every transaction that it is in, so that each is tried alone.
    """

    one_by_one: bool = False


class UnprovenError(TryAgainError):
    """Events fail, and nothing shows that it is their fault: they are tried again beside those that came meanwhile."""


class HaltError(InboxError):
    """Continuing could lose or repeat an event; a person has to decide."""


class OrderHaltError(HaltError):
    """An event cannot be applied where `order = "halt"`: what is before it is settled, then the sink stops."""

    def __init__(self, *text: object, partition_id: int, offset: int) -> None:
        super().__init__(*text)
        self.partition_id = partition_id
        self.offset = offset


class LostPlaceError(HaltError):
    """The log no longer has what the ledger expects next.

    Attributes:
        at: the topic and the partition; None where librdkafka did not say.
        agrees_until: where a truncated log ceases to be the one that was settled (KIP-320), if that is why.
    """

    def __init__(self, *text: object, agrees_until: int | None = None) -> None:
        super().__init__(*text)
        self.at: tuple[str, int] | None = None
        self.agrees_until = agrees_until


class UnreadableError(HaltError):
    """An offset of the log holds something that cannot be read, or nothing although the log has no reason for a gap.

    Attributes:
        at: the topic and the partition; None where librdkafka did not say.
        offset: the first offset that could not be read.
        gap: the first offset behind a gap without a reason; None where something stands there that cannot be read.
    """

    def __init__(
        self, *text: object, at: tuple[str, int] | None = None, offset: int = -1, gap: int | None = None
    ) -> None:
        super().__init__(*text)
        self.at = at
        self.offset = offset
        self.gap = gap


def error_text(error: BaseException) -> str:
    """Return what an error says, whatever its class does: the class of a stranger's error may fail to say anything."""
    try:
        text = str(error)
    except Exception as failure:  # noqa: BLE001 - whatever that class does
        return f"{type(error).__name__} (its text cannot be had: {type(failure).__name__})"
    if isinstance(error, Exception):
        return text or type(error).__name__
    # The 0 of a SystemExit says nothing by itself.
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
