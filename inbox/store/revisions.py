"""The revisions of the inbox's tables: which there are, where they lead, and how alembic is told to run them.

There is one history for the tables that every inbox has, and one for each part that the configuration asks
for. Each is a line without branches, with a version table of its own: docs/decisions/0009-outbox-migrations.md.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext, MigrationInfo
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import MetaData, Table
from sqlalchemy.schema import SetTableComment

from inbox.errors import StartupError
from inbox.store.options import OutboxOptions
from inbox.store.schema import EXISTING_VERSION_TABLE, OUTBOX_VERSION_TABLE, VERSION_TABLE


class Step(NamedTuple):
    """One applied revision: what the tables were at and are at now. None is no tables at all."""

    before: str | None
    after: str | None


def usability(revision: str, usable_from: str) -> str:
    """The comment on a version table: which older software can use the schema at `revision`.

    It names that revision too, so that one left behind by whoever moved the schema by hand permits nothing.
    """
    return f"kafka-inbox: {revision} is usable from {usable_from}"


@dataclass(frozen=True)
class History:
    """One line of revisions: the directory that holds them, the table that says how far a schema is."""

    name: str
    directory: str
    version_table: str

    def revision(self, name: str) -> str | None:
        """The full id of a revision of this history; None where it has none of that name."""
        try:
            found = self._script().get_revision(name)
        except CommandError:
            return None
        return None if found is None else found.revision

    def head(self) -> str:
        return self.down_from("head")[0]

    def down_from(self, revision: str) -> list[str]:
        """The revision and those before it, newest first."""
        return [step.revision for step in self._script().iterate_revisions(revision, "base")]

    def knows(self, revision: str) -> bool:
        """Whether it is one of this version's; a newer version of the software must have made another."""
        return revision in self.down_from("head")

    def refuse_unknown(self, schema: str, current: str) -> None:
        """Raises StartupError for a revision that a newer version of the software must have made."""
        if not self.knows(current):
            raise StartupError(
                f'the schema "{schema}" is at revision {current}, which this version does not know '
                f"(its newest is {self.head()}); upgrade kafka-inbox"
            )

    def usable_from(self, revision: str) -> str:
        """The oldest revision whose software can use a schema at `revision`.

        That is the last one that took away or changed what was there, which its module says by `contracts = True`;
        what only adds leaves older software as it is.
        """
        line = list(self._script().iterate_revisions(revision, "base"))
        contracting = [step for step in line if getattr(step.module, "contracts", False)]
        return contracting[0].revision if contracting else line[-1].revision

    def config(
        self, schema: str, outbox: OutboxOptions | None, applied: list[Step], *, output: TextIO = sys.stdout
    ) -> Config:
        """What alembic and `migrations/env.py` run with; each step taken is added to `applied`."""

        def note(*, ctx: MigrationContext, step: MigrationInfo, **_: Any) -> None:
            before, after = step.source_revision_ids, step.destination_revision_ids
            applied.append(Step(before[0] if before else None, after[0] if after else None))
            if after:
                # In the version table's comment, since the oldest software that has to read it knows no newer table,
                # and alembic makes and drops this one as it likes.
                mark = usability(after[0], self.usable_from(after[0]))
                ctx.impl.execute(SetTableComment(Table(self.version_table, MetaData(schema=schema), comment=mark)))

        config = Config(output_buffer=output)
        config.set_main_option("script_location", _escaped(migrations_directory()))
        config.set_main_option("version_locations", _escaped(self._versions()))
        # The newer name of the option, and the one that alembic before 1.16 knows.
        config.set_main_option("path_separator", "os")
        config.set_main_option("version_path_separator", "os")
        config.attributes.update(schema=schema, version_table=self.version_table, on_version_apply=note, outbox=outbox)
        return config

    def _script(self) -> ScriptDirectory:
        return ScriptDirectory(migrations_directory(), version_locations=[self._versions()])

    def _versions(self) -> Path:
        return migrations_directory() / self.directory


INBOX = History("inbox", "versions", VERSION_TABLE)
OUTBOX = History("outbox", "outbox", OUTBOX_VERSION_TABLE)
EXISTING = History("existing outbox", "existing", EXISTING_VERSION_TABLE)


def history_of(outbox: OutboxOptions) -> History:
    """The one of the outbox's own tables, or of what goes beside a table of the user's."""
    return OUTBOX if outbox.existing is None else EXISTING


class Journey(NamedTuple):
    """The way of one history from a revision to another; None is no tables at all."""

    history: History
    start: str | None
    target: str | None

    @property
    def goes_back(self) -> bool:
        return self.target in self._down_from_with_base(self.start)[1:]

    def steps(self) -> list[Step]:
        if self.goes_back:
            here = self._down_from_with_base(self.start)
            way = here[: here.index(self.target) + 1]
        else:
            there = self._down_from_with_base(self.target)
            way = there[: there.index(self.start) + 1][::-1]
        return [Step(before, after) for before, after in pairwise(way)]

    def run(self, config: Config) -> None:
        """Online: takes the steps from wherever the schema is."""
        direction = command.downgrade if self.goes_back else command.upgrade
        direction(config, self.target or "base")

    def write_sql(self, config: Config) -> None:
        """Offline: writes the steps to the output of `config`."""
        direction = command.downgrade if self.goes_back else command.upgrade
        direction(config, f"{self.start or 'base'}:{self.target or 'base'}", sql=True)

    def _down_from_with_base(self, revision: str | None) -> list[str | None]:
        return [*(self.history.down_from(revision) if revision else []), None]


def targets(to: str, outbox: OutboxOptions | None) -> dict[History, str | None]:
    """What `to` means for each history that it concerns, in the order in which to go there.

    `head` is the newest of what is configured, `base` is no table at all; `outbox@head` and `outbox@base`
    concern the outbox alone, and a revision the history that it is of.

    Raises:
        StartupError: there is no such revision, or it is one of an outbox that is not configured.
    """
    if to == "base":
        return {EXISTING: None, OUTBOX: None, INBOX: None}
    if to == "outbox@base":
        return {OUTBOX: None}
    if to == "head":
        return {INBOX: INBOX.head(), **({history_of(outbox): history_of(outbox).head()} if outbox else {})}
    history, revision = _found(to)
    if history is not INBOX and outbox is None:
        raise StartupError(f"{to} is a revision of the outbox, and there is no [outbox]; add it to the configuration")
    if outbox is not None and history not in (INBOX, history_of(outbox)):
        raise StartupError(f"{to} is of the other kind of outbox than [outbox]; add or leave out its key table")
    return {history: revision}


def migrations_directory() -> Path:
    """Where the revisions are: inside the package in a wheel, beside it in a checkout."""
    package = Path(__file__).parents[1]
    for directory in (package / "migrations", package.parent / "migrations"):
        if (directory / "env.py").is_file():
            return directory
    raise StartupError(f"the installation at {package} lacks its migrations; install kafka-inbox again")


def _found(name: str) -> tuple[History, str]:
    if name == "outbox@head":
        return OUTBOX, OUTBOX.head()
    for history in (INBOX, OUTBOX, EXISTING):
        if name and (revision := history.revision(name)) is not None:
            return history, revision
    known = ["outbox@base", *_upward(OUTBOX), *_upward(EXISTING), *_upward(INBOX)]
    raise StartupError(f'there is no revision "{name}"; this version knows {", ".join(known)}, head and base')


def _upward(history: History) -> Sequence[str]:
    return history.down_from("head")[::-1]


def _escaped(path: Path) -> str:
    return str(path).replace("%", "%%")
