"""Fetch schemas from a registry without holding up the thread that polls.

A fetch runs on a thread of its own, and only its beginning is waited for: the sink stays a member of
its group however slow the registry is. While the registry is away, a caller learns that immediately,
and the next fetch waits a moment.
"""

import random
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from uuid import UUID

from inbox.backoff import backoff
from inbox.errors import EventError, StartupError, TryAgainError
from inbox.kafka.registry.client import UNREACHABLE, RegistryAnswers, UnknownSchemaError
from inbox.kafka.registry.fetch import Fetch
from inbox.kafka.registry.options import RegistryOptions
from inbox.reading.schemas import SchemaId, SchemaKind, WrittenSchema

PATIENCE_SECONDS = 60.0
"""For how long an unknown id is asked for again, because registries replicate."""

_WAIT_SECONDS = 2.0
_WAIT_OF_COMMANDS_SECONDS = 30.0
_LONGEST_PAUSE_SECONDS = 3.0
_ASK_UNKNOWN_SECONDS = 1.0
_SHORTEST_PATIENCE_SECONDS = 1.0
_FORGET_SECONDS = 600.0
_ASK_MISSING_SECONDS = 30.0
_MOST_SCHEMAS = 2000
_MOST_UNKNOWN = 10_000

_Key = tuple[SchemaId, SchemaKind]


@dataclass(slots=True)
class _Unknown:
    """An id that the registry lacks: since when, how long it may take to learn the id, and when it is asked again."""

    since: float
    patience: float
    ask_at: float
    is_counted: bool = False

    def is_given_up(self, now: float) -> bool:
        """Return whether the registry had its time."""
        return now - self.since >= self.patience


class _Patience:
    """The time that an unknown id is waited for.

    Each id that stays unknown halves the time of those after it, down to nothing: a thousand of them
    may not hold a partition for hours. An id that becomes known in its time, or ten minutes without an
    unknown one, restores the time.
    """

    def __init__(self) -> None:
        self._given_up = 0
        self._at = 0.0

    def seconds(self, most: float, now: float) -> float:
        """Return the time for a new unknown id."""
        if now - self._at >= _FORGET_SECONDS:
            self._given_up = 0
        left = float(most * 0.5**self._given_up)
        return left if left >= _SHORTEST_PATIENCE_SECONDS else 0.0

    def gave_up(self, now: float) -> None:
        """Note that an id stayed unknown."""
        self._given_up, self._at = self._given_up + 1, now

    def was_right(self) -> None:
        """Note that an unknown id became known."""
        self._given_up = 0


class SchemaRegistry:
    """The schemas of a registry, for one thread. It implements `inbox.reading.schemas.Schemas`.

    Args:
        connect: makes the client, when the registry is first asked; it raises StartupError.
        patience_seconds: for how long an unknown id is an outage; then the event is at fault.
        wait_seconds: for how long an answer is waited for before its absence is an outage.
    """

    def __init__(
        self,
        connect: Callable[[], RegistryAnswers],
        *,
        patience_seconds: float = 0,
        wait_seconds: float = _WAIT_OF_COMMANDS_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connect = connect
        self._patience_seconds = patience_seconds
        self._wait_seconds = wait_seconds
        self._clock = clock
        self._known: OrderedDict[_Key, WrittenSchema] = OrderedDict()
        self._digests: OrderedDict[_Key, int] = OrderedDict()
        self._pending: dict[_Key, Fetch[WrittenSchema]] = {}
        self._unknown: OrderedDict[SchemaId, _Unknown] = OrderedDict()
        self._patience = _Patience()
        self._failures = 0
        self._away: dict[_Key | None, tuple[float, TryAgainError]] = {}

    @cached_property
    def _answers(self) -> RegistryAnswers:
        return self._connect()

    def serve_worker(self) -> None:
        """Wait as a worker may: briefly for an answer, and long for an id that the registry may still learn."""
        self._patience_seconds, self._wait_seconds = PATIENCE_SECONDS, _WAIT_SECONDS

    def require(self) -> None:
        """Raise StartupError if the address is not that of a registry, or the login is refused.

        Raises:
            TryAgainError: the registry does not answer.
        """
        try:
            self._answers.probe()
        except TryAgainError as error:
            if error.alert:
                raise StartupError(str(error)) from None
            raise

    def newest(self, subject: str, kind: SchemaKind) -> WrittenSchema | None:
        """Return the newest schema of a subject, or None if there is no such subject.

        Raises:
            TryAgainError, SchemaError: as `schema`.
        """
        try:
            return self._answers.newest(subject, kind).schema
        except UnknownSchemaError:
            return None

    def schema(self, schema_id: SchemaId, kind: SchemaKind) -> WrittenSchema:
        """Return the schema, as `Schemas` says."""
        key = schema_id, kind
        if (found := self._known.get(key)) is not None:
            self._known.move_to_end(key)
            return found
        now = self._clock()
        self._require_worth_asking(key, now)
        fetch = self._pending.get(key)
        is_new = fetch is None
        if fetch is None:
            fetch = self._pending[key] = Fetch(lambda: self._answers.schema(schema_id, kind))
        if not fetch.wait(self._wait_seconds if is_new else 0.01):
            raise _outage(f"{self._answers.name} has not answered yet; schemas that are known work meanwhile", "slow")
        del self._pending[key]
        return self._learned(key, fetch)

    def _require_worth_asking(self, key: _Key, now: float) -> None:
        """Raise the last error again for a moment; one that came without an answer holds for every schema."""
        for concerned in (None, key):
            until, error = self._away.get(concerned, (now, None))
            if error is not None and now < until:
                raise _again(error)
        unknown = self._unknown.get(key[0])
        if unknown is not None and now < unknown.ask_at:
            raise self._unknown_error(key[0], unknown, now)

    def _learned(self, key: _Key, fetch: Fetch[WrittenSchema]) -> WrittenSchema:
        try:
            schema = fetch.result()
        except UnknownSchemaError:
            self._answered(key)
            raise self._note_unknown(key[0]) from None
        except TryAgainError as error:
            self._failures += 1
            pause = min(_LONGEST_PAUSE_SECONDS, backoff(self._failures, random.random()))  # noqa: S311 - jitter
            self._away[None if error.reason == UNREACHABLE else key] = (self._clock() + pause, error)
            raise
        except EventError:
            self._answered(key)
            raise
        self._answered(key)
        self._require_same(key, schema)
        if self._unknown.pop(key[0], None) is not None:
            self._patience.was_right()
        self._known[key] = schema
        if len(self._known) > _MOST_SCHEMAS:
            self._known.popitem(last=False)
        return schema

    def _answered(self, key: _Key) -> None:
        self._failures = 0
        self._away.pop(None, None)
        self._away.pop(key, None)
        if len(self._away) > _MOST_UNKNOWN:
            self._away.clear()

    def _require_same(self, key: _Key, schema: WrittenSchema) -> None:
        """Raise TryAgainError if the registry said something else under this id before: ids never change."""
        digest = hash((schema.text, schema.references))
        if self._digests.setdefault(key, digest) != digest:
            raise _outage(
                f"{self._answers.name} now has another schema under {schema.name} than before; see who changed or "
                "restored the registry, and start the sink again when it is right",
                "changed",
                alert=True,
            )
        if len(self._digests) > 50 * _MOST_SCHEMAS:
            self._digests.popitem(last=False)

    def _note_unknown(self, schema_id: SchemaId) -> EventError | TryAgainError:
        now = self._clock()
        unknown = self._unknown.get(schema_id)
        if unknown is None:
            unknown = _Unknown(now, self._patience.seconds(self._patience_seconds, now), now)
            self._unknown[schema_id] = unknown
        unknown.ask_at = now + (_ASK_MISSING_SECONDS if unknown.is_given_up(now) else _ASK_UNKNOWN_SECONDS)
        if len(self._unknown) > _MOST_UNKNOWN:
            self._unknown.popitem(last=False)
        return self._unknown_error(schema_id, unknown, now)

    def _unknown_error(self, schema_id: SchemaId, unknown: _Unknown, now: float) -> EventError | TryAgainError:
        text = f"{self._answers.name} knows no schema {_shown(schema_id)}"
        if unknown.is_given_up(now):
            if not unknown.is_counted:
                unknown.is_counted = True
                self._patience.gave_up(now)
            return EventError(f"{text}; register the schema, then retry the event")
        return _outage(f"{text} yet; it is asked for again for {unknown.patience:.0f} s", "unknown-schema")


def schema_registry(options: RegistryOptions) -> SchemaRegistry:
    """Return the registry of the configuration, which is not asked yet."""
    return SchemaRegistry(lambda: RegistryAnswers(options))


def _outage(text: str, reason: str, *, alert: bool = False) -> TryAgainError:
    return TryAgainError(text, away="registry", reason=reason, alert=alert)


def _again(error: TryAgainError) -> TryAgainError:
    """Return the same error, without the traceback of where it was first raised."""
    return TryAgainError(*error.args, away=error.away, reason=error.reason, alert=error.alert)


def _shown(schema_id: SchemaId) -> str:
    return f"with GUID {schema_id}" if isinstance(schema_id, UUID) else str(schema_id)
