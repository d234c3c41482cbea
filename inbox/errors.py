"""The project's errors, each named by what happens next.

InboxError
├─ StartupError    wrong configuration or nothing to start with: says how to fix it, exit 3
├─ EventError      this event can never succeed: it is isolated and parked, the sink continues
├─ TryAgainError   an outage, not the event's fault: roll back, pause, back off; never a dead letter
│  ├─ SmallerBatchError   the same events may succeed with fewer at a time
│  └─ UnprovenError       the same events are judged again, beside those that came meanwhile
│     └─ UnconfirmedError   immediately, because the database may have changed between two tries
└─ HaltError       continuing could lose or repeat an event: exit 4
   ├─ OrderHaltError   because an event cannot be applied and order = "halt"
   ├─ LostOffsetError   because the log no longer has what the ledger expects
   └─ UnreadableError  because the log has something that nobody can read, or a gap without a reason

Being fenced is an answer, not an error, so it is a return value.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum


class Guess(Enum):
    """The party at fault for a refused statement as its code alone suggests, before there is evidence."""

    VALUE = "the event's, for certain"
    EVENT = "the event's, unless every event fails"
    DATABASE = "the database's, unless this event fails alone"
    NO_PARTITION = "the table's, unless events behind it find their partition"
    SERVER = "the server's, whatever fails beside it"


@dataclass(frozen=True)
class Refusal:
    """A statement that the database refused: who seems to be at fault, its SQLSTATE, and what it names.

    `reason` is the label of `inbox_retries_total` if the refusal turns out to be an outage.
    """

    guess: Guess
    state: str
    reason: str
    table: str | None = None
    column: str | None = None
    constraint: str | None = None


class FailureKind(Enum):
    """The kind of a dead letter's cause, one of few, for metrics and for `[failures] retry_on`."""

    HANDLER = "handler"
    CONSTRAINT = "constraint"
    VALUE = "value"
    RAISED = "raised"
    STATEMENT = "statement"
    EVENT = "event"
    PROCESS = "process"
    BY_HAND = "by_hand"


class InboxError(Exception):
    """The root of the project's errors; raise one of the four below it.

    The text is for the person on call: what happened, to which thing, and after a semicolon what to
    do now. It never holds a payload or a secret.

    Attributes:
        refusal: the refused statement of an event, or None.
    """

    refusal: Refusal | None = None


class StartupError(InboxError):
    """The sink cannot start as configured. The text says what to change."""


class EventError(InboxError):
    """The error of an event that can never succeed. Handlers may raise it to park the event immediately.

    Attributes:
        failure_kind: the kind of the cause, where neither a SQLSTATE nor the code that raised the error
            tells it.
        index: the index of the event at fault among those of a batch handler; None where it is not known, so that
            the events are tried in groups to find it.
    """

    failure_kind: FailureKind | None = None
    index: int | None = None


class TryAgainError(InboxError):
    """An outage: something that the event needs is away. The batch is rolled back and tried again, without limit.

    Handlers may raise it, with just a text, when a service they depend on does not answer.

    Attributes:
        away: what is away: `handler`, `database` or `kafka`.
        reason: the kind of failure, one of few, for metrics. A change of it is reported once.
        alert: whether a person should look, because waiting alone may not fix it.
    """

    # These defaults are also needed: a handler may raise a subclass whose __init__ does not call this one.
    away: str = "handler"
    reason: str = "handler"
    alert: bool = False

    def __init__(self, *text: object, away: str = "handler", reason: str = "handler", alert: bool = False) -> None:
        super().__init__(*text)
        self.away = away
        self.reason = reason
        self.alert = alert


class SmallerBatchError(TryAgainError):
    """The transaction took too long or deadlocked. The same events may succeed with fewer at a time.

    Attributes:
        one_by_one: whether each event is tried alone, because one of them may end every transaction
            it is in.
    """

    one_by_one: bool = False


class UnprovenError(TryAgainError):
    """A failure of events with nothing to show that they are at fault. They are tried again beside later events."""


class UnconfirmedError(UnprovenError):
    """A failure beside successes that may be of another state of the database. The batch is settled once more."""


class HaltError(InboxError):
    """A state in which continuing could lose or repeat an event. A person has to decide."""


class OrderHaltError(HaltError):
    """An event that cannot be applied under `order = "halt"`. What is before it is settled, then the sink stops."""

    def __init__(self, *text: object, partition_id: int, offset: int) -> None:
        super().__init__(*text)
        self.partition_id = partition_id
        self.offset = offset


class LostOffsetError(HaltError):
    """The log no longer has what the ledger expects next.

    Attributes:
        at: the topic and the partition, or None if librdkafka did not report them.
        agrees_until: the offset up to which a truncated log is the one that was settled (KIP-320),
            or None.
    """

    def __init__(self, *text: object, agrees_until: int | None = None) -> None:
        super().__init__(*text)
        self.at: tuple[str, int] | None = None
        self.agrees_until = agrees_until


class UnreadableError(HaltError):
    """The log has something that cannot be read at an offset, or a gap without a reason.

    Attributes:
        at: the topic and the partition, or None if librdkafka did not report them.
        offset: the first offset that could not be read.
        gap: the first offset behind a gap without a reason, or None if a record cannot be read.
    """

    def __init__(
        self, *text: object, at: tuple[str, int] | None = None, offset: int = -1, gap: int | None = None
    ) -> None:
        super().__init__(*text)
        self.at = at
        self.offset = offset
        self.gap = gap


@contextmanager
def refusals_as_outages(*, away: str, reason: str) -> Iterator[None]:
    """Raise TryAgainError where a server refuses what a start needs: after the start this is an outage like any other.

    Raises:
        TryAgainError: the body raised StartupError.
    """
    try:
        yield
    except StartupError as error:
        raise TryAgainError(str(error), away=away, reason=reason, alert=True) from error


def error_text(error: BaseException) -> str:
    """Return the text of any error, even if its class fails to produce one."""
    try:
        text = str(error)
    except Exception as failure:  # noqa: BLE001 - whatever that class does
        return f"{type(error).__name__} (its text is not available: {type(failure).__name__})"
    if isinstance(error, Exception):
        return text or type(error).__name__
    # The 0 of a SystemExit says nothing without the class name.
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def forget_frames(error: BaseException) -> None:
    """Release the frames in which an error, its causes and its context were raised, with all that they hold.

    A kept error would hold the events of its batch until the garbage collector comes round: a frame
    refers to its callers, and one of these to the error.
    """
    links: list[BaseException | None] = [error]
    seen: set[int] = set()
    while links:
        link = links.pop()
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        link.__traceback__ = None
        links += [link.__cause__, link.__context__, *(link.exceptions if isinstance(link, BaseExceptionGroup) else ())]
