"""The command `inbox new handler`: a package that is ready to install."""

from pathlib import Path

import click

from inbox.cli.options import example
from inbox.cli.output import print_lines
from inbox.process.exit_codes import DONE


@click.command(epilog=example("inbox new handler reserve-stock\ninbox new handler reserve-stock --dir services/stock"))
@click.argument("name")
@click.option("--dir", "directory", type=click.Path(path_type=Path), help="Where to make it; default: NAME.")
def handler(name: str, directory: Path | None) -> int:
    """Make a package with a handler: its entry point, tests that pass, a Dockerfile and values for the chart.

    Needs no configuration and no server. Nothing that exists is overwritten.
    """
    from inbox.operations.new_handler.generate import NAME, generate

    if NAME.fullmatch(name) is None:
        raise click.BadParameter("expected small letters, digits, - and _, as in reserve-stock", param_hint="NAME")
    target = directory or Path(name)
    written = generate(name, target)
    print_lines([*(str(file) for file in written), "", f"next: cd {target} && pip install -e '.[test]' && pytest"])
    return DONE
