"""`inbox migrate`: the inbox's own schema, brought up to date."""

from pathlib import Path

import click

from inbox.cli.options import config_option, database_settings, example
from inbox.store.migrations import migrate as bring_to


@click.command(epilog=example("inbox migrate --config inbox.toml"))
@config_option
@click.option("--to", default="head", metavar="REVISION", help="Stop at this revision; an older one is gone back to.")
def migrate(config: Path | None, to: str) -> None:
    """Bring the inbox's own tables up to date; safe to start many times at once."""
    settings = database_settings(config)
    steps = bring_to(settings.database, to=to)
    for step in steps:
        click.echo(f"{step.before or 'base'} -> {step.after or 'base'}")
