"""The outbox as the relay sees it: the rows to send, the marks of those that were sent, and the lease."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import LiteralString, NamedTuple

from psycopg import sql
from psycopg.types.numeric import Int8
from psycopg.types.string import ByteaBinaryLoader

from inbox.store.postgres import arrays
from inbox.store.postgres.async_statement import AsyncStatement
from inbox.store.postgres.connection import Connection
from inbox.store.postgres.errors import translating_errors
from inbox.store.sql import statements

_LOCK_SPACE = 0x696E626F << 32
"""The outbox's keys of advisory locks: from this number on, by its table's OID; the trigger outbox_wake repeats it."""

_OID: LiteralString = "SELECT to_regclass(%s)::oid::bigint"
_SETTINGS = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "jit": "off",
    "synchronous_commit": "off",
}
"""The settings of the relay's session.

A queue's statistics are always old. By its indexes each read costs what it returns, and planning it
again would cost more than an empty read. A scan that is off counts as so expensive that the server
would compile each plan with one (`jit`), for 0.1 s each time. Marks that a crash of the server
undoes are sent again, under the same ids.
"""


class OutboxRow(NamedTuple):
    """A row to send. `key` and `event_id` are texts, `identity` the id's 16 bytes, `value` as it is stored.

    `passed`: the row was sent before. `xmin` is the snapshot's.
    """

    position: int
    event_id: str
    topic: str
    key: str
    type: str
    value: bytes
    traceparent: str | None
    identity: bytes
    passed: bool
    xmin: int

    @property
    def size(self) -> int:
        """Return the size of the value in bytes."""
        return len(self.value)


@dataclass(frozen=True)
class OutboxReading:
    """The rows that one snapshot showed, in order of position; no transaction below `xmin` was running."""

    xmin: int
    rows: Sequence[OutboxRow]


class Delivery(NamedTuple):
    """A row that the brokers have, with its coordinates."""

    row: OutboxRow
    partition: int
    offset: int


class TakenLease(NamedTuple):
    """A lease that was taken; every row up to `sent_below` had been sent or rolled back by then."""

    epoch: int
    sent_below: int


class OutboxTable:
    """The outbox that `inbox migrate` created, on its own connection in autocommit mode.

    From `start_reading` to `reading` the connection must not run another statement.
    """

    def __init__(self, connection: Connection, schema: str) -> None:
        self._connection = connection
        self._sql = statements("outbox", schema)
        # The columns' content is sent unchanged: JSON is not decoded.
        connection.adapters.register_loader("json", ByteaBinaryLoader)
        connection.pin_also(_SETTINGS)
        self._errand = AsyncStatement(connection, "read", self._sql["read"], partial(tuple.__new__, OutboxRow))
        self._front = self._limit = 0

    def start_reading(self, front: int, gaps: Sequence[tuple[int, int]], *, limit: int, limit_bytes: int) -> None:
        """Start a read of rows past `front` and in the gaps before it, at most `limit` of either.

        The rows have about `limit_bytes`. A gap is given by its first and last position.
        """
        self._front, self._limit = front, limit
        self._errand.start(
            {
                "front": Int8(front),
                "firsts": arrays.int8s([first for first, _ in gaps]),
                "lasts": arrays.int8s([last for _, last in gaps]),
                "limit": Int8(limit),
                "bytes": Int8(limit_bytes),
            }
        )

    @property
    def is_reading(self) -> bool:
        return self._errand.under_way

    def has_read(self) -> bool:
        """Return whether `reading` would return without a wait."""
        return self._errand.is_done()

    def reading(self) -> OutboxReading:
        """Return what the read found."""
        found: list[OutboxRow] = self._errand.finish()
        rows = found if found[0].position is not None else []
        late = bisect_right(rows, self._front, key=attrgetter("position"))
        # If the gaps fill the limit there may be more rows in them, which come before those past the
        # front.
        return OutboxReading(found[0].xmin, rows[:late] if late >= self._limit else rows)

    def sweep(self, after: int, until: int, *, limit: int) -> tuple[int | None, int | None]:
        """Return two positions among the next `limit` rows past `after`, up to `until`.

        They are the last row's, and that of the first row that was not sent; None where there is no such row.
        """
        sql = self._sql
        row = self._connection.execute(sql["sweep"], {"after": after, "until": until, "limit": limit}).fetchone()
        return row[:2] if row else (None, None)

    def last_position(self) -> int:
        sql = self._sql
        row = self._connection.execute(sql["last_position"]).fetchone()
        return int(row[0]) if row else 0


class LeaseRow:
    """The row that names the active relay."""

    def __init__(self, connection: Connection, schema: str, holder: str, *, seconds: float) -> None:
        self._connection = connection
        self._sql = statements("outbox_relay", schema)
        connection.pin_also(_SETTINGS)
        self._errand = AsyncStatement(connection, "record", statements("outbox_sent", schema)["record"])
        self._holder = holder
        self._seconds = seconds

    def take(self) -> TakenLease | None:
        """Return the lease with a new epoch; None while another relay has it."""
        sql = self._sql
        row = self._connection.execute(sql["take"], {"holder": self._holder, "seconds": self._seconds}).fetchone()
        return TakenLease(*row) if row else None

    def start_recording(self, epoch: int, sent: Sequence[Delivery], sent_below: int) -> None:
        """Start to record what was sent, if anything, and to prolong the lease."""
        self._errand.start(
            {
                "ids": arrays.uuids([each.row.identity for each in sent]),
                "topics": arrays.texts([each.row.topic.encode() for each in sent]),
                "partitions": arrays.int4s([each.partition for each in sent]),
                "offsets": arrays.int8s([each.offset for each in sent]),
                "epoch": Int8(epoch),
                "holder": self._holder,
                "seconds": self._seconds,
                "sent_below": Int8(sent_below),
            }
        )

    @property
    def is_recording(self) -> bool:
        return self._errand.under_way

    def has_recorded(self) -> bool:
        """Return whether `recorded` would return without a wait."""
        return self._errand.is_done()

    def recorded(self) -> int | None:
        """Return the id of the recording transaction; None, with no record, if another relay has the lease."""
        rows = self._errand.finish()
        return int(rows[0][0]) if rows else None

    def release(self, epoch: int) -> None:
        """Release the lease, so that another relay can take it immediately."""
        sql = self._sql
        self._connection.execute(sql["release"], {"epoch": epoch, "holder": self._holder})


class Notifier:
    """A notifier that wakes the relay when a transaction publishes while the relay sleeps.

    The relay holds the lock while it sleeps, and only then a publishing transaction notifies it.
    That transaction takes the same lock, shared, and keeps it to its end, so no relay falls asleep
    during a transaction that would not notify.
    """

    def __init__(self, connection: Connection, schema: str) -> None:
        self._connection = connection
        table = sql.Identifier(schema, "outbox").as_string(connection)
        row = connection.execute(_OID, (table,)).fetchone()
        self._oid = int(row[0]) if row and row[0] is not None else 0
        connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(f"inbox_outbox_{self._oid}")))

    def fall_asleep(self) -> bool:
        """Return whether transactions that publish from now on will notify; read once more before waiting."""
        row = self._connection.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK_SPACE + self._oid,)).fetchone()
        return bool(row and row[0])

    def wait(self, seconds: float) -> None:
        """Wait for a notification, for at most so many seconds."""
        with translating_errors():
            if self._connection.pgconn.notifies() is not None:
                # It rang while the answer to a statement was read.
                return
            for _ in self._connection.notifies(timeout=seconds, stop_after=1):
                pass

    def wake_up(self) -> None:
        self._connection.execute("SELECT pg_advisory_unlock(%s)", (_LOCK_SPACE + self._oid,))


def waiting_topics(connection: Connection, schema: str) -> dict[str, int]:
    """Return the topics of the newest events, each with the length in bytes of its largest payload."""
    sql = statements("outbox", schema)
    return {topic: int(largest) for topic, largest in connection.execute(sql["waiting_topics"])}
