"""The command `inbox`: each command parses, calls a function that returns a value, and prints it."""

from collections.abc import Sequence

from inbox.process.gc_tuning import collect_seldom_at_start


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command that the arguments (default: the process's) name, and exit with its code."""
    collect_seldom_at_start()
    # Imported here: these are the first of many modules.
    from inbox.cli.program import main as run

    run(arguments)


__all__ = ["main"]
