"""The command `inbox migrate`: it brings the inbox's own schema up to date."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import click

from inbox.cli.arguments import age
from inbox.cli.options import config_option, database_settings, example, json_option
from inbox.cli.output import print_json, print_lines, print_text
from inbox.operations.migrate import Migration, bring_up_to_date, look_ahead, look_ahead_for
from inbox.operations.retention_periods import kept_by_owner
from inbox.process.exit_codes import DONE, FAILURE
from inbox.settings import DatabaseSettings
from inbox.store.privileges.roles import roles_sql
from inbox.store.schema.migrate import migration_sql


@click.command(
    epilog=example("inbox migrate --config inbox.toml\ninbox migrate --check || inbox migrate --sql > inbox.sql")
)
@config_option
@json_option
@click.option("--check", is_flag=True, help="Change nothing; print what would run, and exit with 1 if anything would.")
@click.option(
    "--wait",
    callback=age,
    metavar="DURATION",
    help="With --check: wait at most this long, as 10m, for another process to migrate.",
)
@click.option("--sql", is_flag=True, help="Change nothing; print the SQL from an empty database. Needs no database.")
@click.option(
    "--to",
    default="head",
    metavar="REVISION",
    help="Stop at this revision; an older one, or base, is a downgrade. With --sql also FROM:TO.",
)
@click.option("--roles", is_flag=True, help="Change nothing; print the SQL for roles with the least rights.")
def migrate(
    config: Path | None, as_json: bool, check: bool, wait: timedelta | None, sql: bool, to: str, roles: bool
) -> int:
    """Bring the inbox's own tables up to date; several may safely start at the same time.

    A database that does not answer is retried for [database] start_timeout.
    """
    if (sql or roles) and (check or as_json or (sql and roles)):
        raise click.UsageError("--sql and --roles print SQL and nothing else; leave out the other options")
    if wait is not None and not check:
        raise click.UsageError("--wait belongs to --check, which migrates nothing; add --check")
    settings = database_settings(config)
    if roles:
        limits = settings.retention
        script = roles_sql(
            settings.database.schema, settings.outbox, prunes=limits.outbox is not None, kept=kept_by_owner(limits)
        )
        print_text(script, nl=False)
        return DONE
    if sql:
        print_text(migration_sql(settings.database, to=to, outbox=settings.outbox), nl=False)
        return DONE
    migration = _look_ahead(settings, wait, to) if check else bring_up_to_date(settings, to=to)
    if as_json:
        print_json(_as_json(migration))
    else:
        print_lines(_lines(migration))
    return FAILURE if check and migration.steps else DONE


def _look_ahead(settings: DatabaseSettings, wait: timedelta | None, to: str) -> Migration:
    return look_ahead(settings, to=to) if wait is None else look_ahead_for(settings, wait.total_seconds(), to=to)


def _as_json(migration: Migration) -> dict[str, object]:
    return {
        "schema": migration.schema,
        "applied": migration.applied,
        "steps": [{"from": step.before, "to": step.after} for step in migration.steps],
    }


def _lines(migration: Migration) -> Sequence[str]:
    if not migration.steps:
        return [f'the schema "{migration.schema}" is up to date']
    heading = "was brought" if migration.applied else "would be brought"
    steps = [f"  {step.before or 'base'} -> {step.after or 'base'}" for step in migration.steps]
    return [f'the schema "{migration.schema}" {heading} from', *steps]
