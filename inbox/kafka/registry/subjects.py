"""Find the schema with which events of a subject are written, and keep it while the registry is away."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property

from inbox.errors import InboxError, TryAgainError
from inbox.kafka.registry.client import NewestSchema, RegistryAnswers, UnknownSchemaError
from inbox.kafka.registry.fetch import Fetch
from inbox.reading.schemas import SchemaKind, WrittenSchema

WAIT_SECONDS = 3.0
"""The longest wait for an answer: a relay has to extend its lease."""

_REFRESH_SECONDS = 60.0
_MOST_SUBJECTS = 1000


class SubjectSchemas:
    """The schemas of subjects, for one thread: the schema of a file, or the newest of the registry.

    Args:
        connect: makes the client, when the registry is first asked; it raises StartupError.
        files: schemas by subject; with `register` they are registered, otherwise they must be already.
    """

    def __init__(
        self,
        connect: Callable[[], RegistryAnswers],
        kind: SchemaKind,
        *,
        files: Mapping[str, WrittenSchema],
        register: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connect = connect
        self._kind = kind
        self._files = files
        self._register = register
        self._clock = clock
        self._known: dict[str, NewestSchema] = {}
        self._refresh_at: dict[str, float] = {}
        self._pending: dict[str, Fetch[NewestSchema]] = {}

    @cached_property
    def answers(self) -> RegistryAnswers:
        """Return the client of the registry."""
        return self._connect()

    def schema(self, subject: str) -> NewestSchema:
        """Return the schema of a subject.

        Raises:
            TryAgainError: the registry does not answer, or does not have it.
            SchemaError: it is of another kind, or too large.
        """
        if (known := self._known.get(subject)) is not None:
            return known
        fetch = self._pending.get(subject)
        if fetch is None:
            fetch = self._pending[subject] = Fetch(lambda: self._find(subject))
        if not fetch.wait(WAIT_SECONDS):
            raise TryAgainError(f"{self.answers.name} has not answered yet", away="registry", reason="slow")
        del self._pending[subject]
        return self._keep(subject, fetch.result())

    def doubt(self, subject: str) -> None:
        """Ask for the schema again before its next use: an event does not fit it."""
        self._known.pop(subject, None)

    def refresh(self) -> bool:
        """Ask again, in the background, for what was fetched a minute ago; return whether a schema has changed.

        While the registry is away the known schemas stay.
        """
        now = self._clock()
        for subject in [each for each, at in self._refresh_at.items() if at <= now]:
            self._refresh_at[subject] = now + _REFRESH_SECONDS
            if subject in self._known and subject not in self._pending and subject not in self._files:
                self._pending[subject] = Fetch(lambda subject=subject: self._find(subject))  # type: ignore[misc]
        changed = False
        for subject in [each for each, fetch in self._pending.items() if each in self._known and fetch.wait(0)]:
            fetch = self._pending.pop(subject)
            with suppress(InboxError):
                before = self._known[subject]
                changed = self._keep(subject, fetch.result()) != before or changed
        return changed

    def _keep(self, subject: str, found: NewestSchema) -> NewestSchema:
        if len(self._known) >= _MOST_SUBJECTS:
            self._known.clear()
            self._refresh_at.clear()
        self._known[subject] = found
        self._refresh_at[subject] = self._clock() + _REFRESH_SECONDS
        return found

    def _find(self, subject: str) -> NewestSchema:
        file = self._files.get(subject)
        try:
            if file is None:
                return self.answers.newest(subject, self._kind)
            if self._register:
                return self.answers.registered(subject, file)
            return self.answers.looked_up(subject, file)
        except UnknownSchemaError:
            raise TryAgainError(
                f"{self.answers.name} {self._lacks(subject, file)}", away="registry", reason=f"no {subject}", alert=True
            ) from None

    def _lacks(self, subject: str, file: WrittenSchema | None) -> str:
        if file is None:
            return (
                f"has no subject {subject}; register its schema, or name a file for it in [outbox.schemas] and set "
                "register = true"
            )
        return f"does not have {file.name} under {subject}; register it, or set [outbox] register = true"
