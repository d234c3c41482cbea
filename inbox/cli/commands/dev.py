"""The commands `inbox dev up` and `inbox demo`: real servers on this machine. The extra `dev` has
what they need."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from inbox.cli.options import example
from inbox.errors import StartupError


@click.group()
def dev() -> None:
    """Tools for developing a sink."""


@dev.command(epilog=example("inbox dev up --config inbox.toml"))
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the configuration for the two servers there, and remove it at the end; default: print it.",
)
@click.option("--registry", is_flag=True, help="Start a schema registry as well (159 MB, fetched once).")
def up(config: Path | None, registry: bool) -> int:
    """Start a real Kafka and a real PostgreSQL, until Ctrl-C."""
    with _extra():
        from inbox.dev.up import up as start

        return start(out=sys.stdout, config_path=config, registry=registry)


@click.command(epilog=example("inbox demo --keep"))
@click.option("--keep", is_flag=True, help="Leave the servers running at the end, until Ctrl-C.")
@click.option("--outbox", is_flag=True, help="From an order service's database through outbox and relay to the sink.")
def demo(keep: bool, outbox: bool) -> int:
    """Show the delivery guarantees on this machine; there is nothing to set up.

    Four ways to consume the same events, each killed at the same points; with --outbox an order service, the relay
    and the sink, each killed on the way from one database to the other.
    """
    with _extra():
        from inbox.dev.demo import run_demo, run_outbox_demo

        return (run_outbox_demo if outbox else run_demo)(keep=keep, out=sys.stdout)


@contextmanager
def _extra() -> Iterator[None]:
    """Turn the absence of a package of the extra into an error that says how to install it."""
    try:
        yield
    except ImportError as error:
        if (error.name or "").startswith("inbox"):
            raise
        raise StartupError(
            f'this needs {error.name or "packages"} of the extra "dev"; run: pip install "kafka-inbox[dev]"'
        ) from error
