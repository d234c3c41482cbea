"""The program as a whole: its commands, and its output and exit code when one of them fails."""

import os
import sys
import threading
import traceback
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import cast

import click

from inbox import __version__
from inbox.cli.output import print_text
from inbox.cli.redaction import Secrets
from inbox.errors import InboxError
from inbox.log_lines import configure_logging, hide_in_every_line
from inbox.process.exit_codes import FAILURE, INTERRUPTED, exit_code
from inbox.process.gc_tuning import leave_objects_to_the_exit

_SECTIONS = {
    "First steps": {
        "demo": "Show what goes wrong without an inbox, and what does not with one.",
        "dev": "Start a real Kafka and a real PostgreSQL on this machine.",
        "new": "Make a table and a route for a topic, or a package for a handler.",
        "table": "Show what tables lack for their routes, and add it.",
        "migrate": "Create the inbox's own tables, or bring them up to date.",
        "check": "Report everything that stands in the way of a start.",
        "test": "Send events through routes, and compare rows and dead letters with the expected ones.",
        "schema": "Print the JSON Schema of inbox.toml, for editors.",
    },
    "Run": {
        "run": "Take events from Kafka into the database.",
        "relay": "Send the outbox of this database to Kafka.",
    },
    "Look": {
        "status": "Show how far each partition is, and what is parked.",
        "history": "List what people changed by commands, and when.",
        "audit": "Read the topics again and account for every offset.",
    },
    "Act": {
        "dead-letters": "Inspect, retry or discard the events that failed.",
        "hold": "Take nothing more from some topics, until a release.",
        "release": "End a hold.",
        "replay": "Process a range of events again, while the sink runs.",
        "resume": "Continue after a halt (exit code 4).",
        "adopt": "Make claims for what another consumer applied before.",
        "prune": "Remove what is past its retention.",
        "outbox": "Print what Debezium needs to publish the outbox.",
    },
}
"""The commands with one line of help each, so that `inbox --help` imports none of them."""

_COMMANDS = {name: line for section in _SECTIONS.values() for name, line in section.items()}
_OTHER_MODULES = {
    "new": "routes.new",
    "table": "routes.table",
    "test": "routes.test",
    "demo": "dev",
    "dead-letters": "dead_letters.group",
    "history": "control.history",
    "hold": "control.hold",
    "release": "control.hold",
}
"""The modules of commands whose names are not those of their modules."""


class _Program(click.Group):
    """A group that imports a command when it is asked for: all commands together are 40 MB that no sink needs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(f"inbox.cli.commands.{_OTHER_MODULES.get(cmd_name, cmd_name)}")
        return cast(click.Command, getattr(module, cmd_name.replace("-", "_")))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section, commands in _SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl(list(commands.items()))


@click.group(
    cls=_Program,
    epilog="New here? Try `inbox demo`, then read `inbox COMMAND --help`.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, prog_name="inbox")
def program() -> None:
    """Take committed Kafka events into PostgreSQL effectively once."""
    configure_logging(human=sys.stderr.isatty())
    if (secrets := click.get_current_context().find_object(Secrets)) is not None:
        hide_in_every_line(secrets.hidden_in_sentence)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command that the arguments (default: the process's) name, and exit with its code."""
    _open_what_is_closed()
    secrets = Secrets()
    _hide_in_tracebacks_of_threads(secrets)
    code = result_of(arguments, secrets)
    leave_objects_to_the_exit()
    sys.exit(code if _flushed() else FAILURE)


def result_of(arguments: Sequence[str] | None = None, secrets: Secrets | None = None) -> int:
    """Run a command and return its exit code, after printing its output and its error.

    `secrets` learns what must not be printed.
    """
    secrets = secrets or Secrets()
    try:
        result = program.main(arguments, prog_name="inbox", standalone_mode=False, obj=secrets)
    except click.Abort:
        return INTERRUPTED
    except click.ClickException as error:
        shown = StringIO()
        error.show(shown)
        print_text(secrets.hidden_in_sentence(shown.getvalue()), err=True, nl=False)
        return error.exit_code
    except InboxError as error:
        print_text(said(secrets.hidden_in_sentence(str(error))), err=True)
        return exit_code(error)
    except Exception:  # noqa: BLE001 - a defect: everything is shown except secrets
        print_text(secrets.hidden(traceback.format_exc()), err=True)
        return FAILURE
    return result if isinstance(result, int) else 0


def _hide_in_tracebacks_of_threads(secrets: Secrets) -> None:
    """Hide secrets in the traceback of a thread that ends with a defect, too."""

    def show(found: threading.ExceptHookArgs) -> None:
        if found.exc_type is not SystemExit and found.exc_value is not None:
            print_text(secrets.hidden("".join(traceback.format_exception(found.exc_value))), err=True)

    threading.excepthook = show


def said(text: str) -> str:
    """Return an error's text under the program's name. Indented lines belong to the line above."""
    return "\n".join(line if line.startswith(" ") else f"inbox: {line}" for line in text.splitlines())


def _open_what_is_closed() -> None:
    """Open /dev/null as stdout or stderr if the process was started without them (`>&-`).

    Python has None for such a stream, to which nothing can be written.
    """
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - open as long as the process lives
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115


def _flushed() -> bool:
    """Flush stdout; return False if that fails.

    After a failure stdout is redirected to /dev/null, or the interpreter would report the same
    error again at exit.
    """
    try:
        sys.stdout.flush()
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            print_text(said(f"writing to stdout: {error.strerror}"), err=True)
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True
