"""The revisions of the inbox's tables, known from the names of their files.

There is one history for the tables that every inbox has, and one for each part that the
configuration asks for. Each is a line without branches, with a version table of its own:
docs/decisions/0009-outbox-migrations.md.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from inbox.errors import StartupError
from inbox.store.options import OutboxOptions
from inbox.store.schema.names import EXISTING_VERSION_TABLE, OUTBOX_VERSION_TABLE, VERSION_TABLE


class RevisionStep(NamedTuple):
    """An applied revision: what the tables were at, and are at now. None means no tables at all."""

    before: str | None
    after: str | None


def usability(revision: str, usable_from: str) -> str:
    """Return the comment on a version table: which older software can use the schema at `revision`.

    It also names `revision`, so that a comment left behind by a manual change of the schema permits
    nothing.
    """
    return f"kafka-inbox: {revision} is usable from {usable_from}"


@dataclass(frozen=True)
class RevisionHistory:
    """A line of revisions: the directory that holds them, and the table that records a schema's revision.

    A file is named after its revision, so that the line is known without the files' content and
    without alembic: `0002_notes.py` in `outbox` has `outbox_0002`.
    """

    directory: str
    prefix: str
    version_table: str

    def path(self) -> Path:
        return migrations_directory() / self.directory

    def upward(self) -> list[str]:
        """Return all revisions, oldest first."""
        return sorted(self.prefix + file.stem.partition("_")[0] for file in self.path().glob("*.py"))

    def head(self) -> str:
        return self.upward()[-1]

    def down_from(self, revision: str) -> list[str]:
        """Return the revision and those before it, newest first."""
        upward = self.upward()
        return upward[upward.index(revision) :: -1]

    def knows(self, revision: str) -> bool:
        """Return whether the revision is known; a newer version of the software must have made any other."""
        return revision in self.upward()

    def refuse_unknown(self, schema: str, current: str) -> None:
        """Raise StartupError for a revision that a newer version of the software must have made."""
        if not self.knows(current):
            raise StartupError(
                f'the schema "{schema}" is at revision {current}, which this version does not know '
                f"(its newest is {self.head()}); upgrade kafka-inbox"
            )


INBOX = RevisionHistory("versions", "", VERSION_TABLE)
OUTBOX = RevisionHistory("outbox", "outbox_", OUTBOX_VERSION_TABLE)
EXISTING = RevisionHistory("existing", "existing_", EXISTING_VERSION_TABLE)


def history_of(outbox: OutboxOptions) -> RevisionHistory:
    """Return the history of the outbox's own tables, or of what belongs beside a table of the user's."""
    return OUTBOX if outbox.existing is None else EXISTING


def migrations_directory() -> Path:
    """Return the directory of the revisions: inside the package in a wheel, beside it in a checkout."""
    package = Path(__file__).parents[2]
    for directory in (package / "migrations", package.parent / "migrations"):
        if (directory / "env.py").is_file():
            return directory
    raise StartupError(f"the installation at {package} lacks its migrations; install kafka-inbox again")
