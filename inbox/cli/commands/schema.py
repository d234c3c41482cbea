"""The command `inbox schema`: it describes the configuration file for editors."""

import click

from inbox.cli.options import example
from inbox.cli.output import print_text
from inbox.process.exit_codes import DONE


@click.command(epilog=example("inbox schema > inbox.schema.json"))
def schema() -> int:
    """Print the JSON Schema of inbox.toml, with which an editor completes and checks it.

    The line `#:schema ./inbox.schema.json` at the top of inbox.toml names the file to an editor that uses
    Taplo (Even Better TOML). Needs no configuration and no server.
    """
    from inbox.settings.json_schema import shipped_schema

    print_text(shipped_schema(), nl=False)
    return DONE
