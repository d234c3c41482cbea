"""Plan the way from one revision of the inbox's tables to another: resolve names, and configure alembic."""

import sys
from functools import cache
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
from inbox.store.schema.revisions import EXISTING, INBOX, OUTBOX, RevisionHistory, RevisionStep, history_of, usability


class MigrationPath(NamedTuple):
    """The way of one history from a revision to another; None means no tables at all."""

    history: RevisionHistory
    start: str | None
    target: str | None

    @property
    def goes_back(self) -> bool:
        return self.target in self._down_from_with_base(self.start)[1:]

    def steps(self) -> list[RevisionStep]:
        if self.goes_back:
            here = self._down_from_with_base(self.start)
            way = here[: here.index(self.target) + 1]
        else:
            there = self._down_from_with_base(self.target)
            way = there[: there.index(self.start) + 1][::-1]
        return [RevisionStep(before, after) for before, after in pairwise(way)]

    def run(self, config: Config) -> None:
        """Take the steps from wherever the schema is (alembic's online mode)."""
        direction = command.downgrade if self.goes_back else command.upgrade
        direction(config, self.target or "base")

    def write_sql(self, config: Config) -> None:
        """Write the steps to the output of `config` (alembic's offline mode)."""
        direction = command.downgrade if self.goes_back else command.upgrade
        direction(config, f"{self.start or 'base'}:{self.target or 'base'}", sql=True)

    def config(
        self, schema: str, outbox: OutboxOptions | None, applied: list[RevisionStep], *, output: TextIO = sys.stdout
    ) -> Config:
        """Return the configuration for alembic and `migrations/env.py`; each step taken is added to `applied`."""
        history = self.history

        def note(*, ctx: MigrationContext, step: MigrationInfo, **_: Any) -> None:
            before, after = step.source_revision_ids, step.destination_revision_ids
            applied.append(RevisionStep(before[0] if before else None, after[0] if after else None))
            if after:
                # Stored in the version table's comment: the oldest software that has to read it knows no
                # newer table, and alembic creates and drops this table as it likes.
                mark = usability(after[0], usable_from(history, after[0]))
                ctx.impl.execute(SetTableComment(Table(history.version_table, MetaData(schema=schema), comment=mark)))

        config = Config(output_buffer=output)
        config.set_main_option("script_location", _escaped(history.path().parent))
        config.set_main_option("version_locations", _escaped(history.path()))
        # The newer name of the option, and the name that alembic before 1.16 knows.
        config.set_main_option("path_separator", "os")
        config.set_main_option("version_path_separator", "os")
        config.attributes.update(
            schema=schema, version_table=history.version_table, on_version_apply=note, outbox=outbox
        )
        return config

    def _down_from_with_base(self, revision: str | None) -> list[str | None]:
        return [*(self.history.down_from(revision) if revision else []), None]


def usable_from(history: RevisionHistory, revision: str) -> str:
    """Return the oldest revision whose software can use a schema at `revision`.

    That is the last revision that removed or changed what existed, which its module declares by
    `contracts = True`. A revision that only adds leaves older software usable.
    """
    line = list(scripts(history).iterate_revisions(revision, "base"))
    contracting = [step for step in line if getattr(step.module, "contracts", False)]
    return contracting[0].revision if contracting else line[-1].revision


def targets(to: str, outbox: OutboxOptions | None) -> dict[RevisionHistory, str | None]:
    """Return the target of `to` for each history that it concerns, in the order of migration.

    `head` is the newest revision of what is configured, and `base` is the state without any table.
    `outbox@head` and `outbox@base` concern the outbox alone, and a revision concerns its own
    history.

    Raises:
        StartupError: the revision does not exist, or belongs to an outbox that is not configured.
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


def scripts(history: RevisionHistory) -> ScriptDirectory:
    """Return the revisions as alembic knows them."""
    return _scripts_in(history.path())


@cache
def _scripts_in(directory: Path) -> ScriptDirectory:
    """Return the revisions of a directory, whose files are loaded once: each step of a migration asks for all."""
    return ScriptDirectory(directory.parent, version_locations=[directory])


def _found(name: str) -> tuple[RevisionHistory, str]:
    if name == "outbox@head":
        return OUTBOX, OUTBOX.head()
    for history in (INBOX, OUTBOX, EXISTING):
        if name and (revision := _revision(history, name)) is not None:
            return history, revision
    known = ["outbox@base", *OUTBOX.upward(), *EXISTING.upward(), *INBOX.upward()]
    raise StartupError(f'there is no revision "{name}"; this version knows {", ".join(known)}, head and base')


def _revision(history: RevisionHistory, name: str) -> str | None:
    """Return the full id of a revision of this history; None where the history has no revision of that name."""
    try:
        found = scripts(history).get_revision(name)
    except CommandError:
        return None
    return None if found is None else found.revision


def _escaped(path: object) -> str:
    return str(path).replace("%", "%%")
