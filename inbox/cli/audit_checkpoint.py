"""The file in which an audit keeps its progress."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import orjson

from inbox.operations.audit.audit import Audit
from inbox.operations.audit.checkpoint import ForeignCheckpointError, as_json, from_json
from inbox.operations.private_file import write_private

_SECONDS_BETWEEN = 2.0


class CheckpointFile:
    """A file that is rewritten every few seconds, whole or not at all, and removed once the audit is complete."""

    def __init__(self, path: Path, of: Mapping[str, Any]) -> None:
        self._path = path
        self._of = of
        self._saved_at = 0.0

    def load(self) -> Audit | None:
        """Return the findings of an interrupted audit, or None if there is no file.

        Raises:
            click.UsageError: the file belongs to another audit.
        """
        try:
            text = self._path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            return Audit(parts=from_json(self._of, orjson.loads(text)))
        except (ForeignCheckpointError, orjson.JSONDecodeError) as error:
            raise click.UsageError(f"{self._path}: {error}; remove it, or name another with --resume") from None

    def keep(self, found: Audit) -> None:
        """Write the audit to the file if the last time is long enough ago."""
        if time.monotonic() - self._saved_at < _SECONDS_BETWEEN:
            return
        try:
            write_private(self._path, orjson.dumps(as_json(self._of, found.parts)))
        except OSError as error:
            raise click.UsageError(f"{self._path} cannot be written: {error.strerror}") from None
        self._saved_at = time.monotonic()

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)
