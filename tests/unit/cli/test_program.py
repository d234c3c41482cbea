"""What every command has in common, without any server."""

import re
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from inbox import __version__
from inbox.cli.program import program, said
from inbox.errors import EventError, HaltError, InboxError, StartupError, TryAgainError
from inbox.process.exit_codes import exit_code


def commands(group: click.Group, *path: str) -> Iterator[tuple[str, ...]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            if command.invoke_without_command:
                yield (*path, name)
            yield from commands(command, *path, name)
        else:
            yield (*path, name)


COMMANDS = pytest.mark.parametrize("path", list(commands(program)), ids=" ".join)


@COMMANDS
def test_every_command_has_help_with_an_example(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(program, [*path, "--help"])
    assert result.exit_code == 0
    assert f"Example:\n    inbox {' '.join(path)}" in result.output


@COMMANDS
def test_every_command_that_needs_a_configuration_takes_one(path: tuple[str, ...]) -> None:
    takes = "--config" in CliRunner().invoke(program, [*path, "--help"]).output
    assert takes is (path not in {("demo",), ("schema",), ("new", "handler")})


WITHOUT_KAFKA = {"demo", "dev up", "schema", "migrate", "new handler", "prune", "replay list", "replay cancel"} | {
    "history",
    *(f"dead-letters {name}" for name in ("causes", "list", "show", "discard", "redact")),
}


@COMMANDS
def test_every_command_that_reads_the_kafka_section_takes_its_properties_as_flags(path: tuple[str, ...]) -> None:
    takes = "-X KEY=VALUE" in CliRunner().invoke(program, [*path, "--help"]).output
    assert takes == (" ".join(path) not in WITHOUT_KAFKA)


def test_the_version_is_told() -> None:
    assert CliRunner().invoke(program, ["--version"]).output == f"inbox, version {__version__}\n"


@pytest.mark.parametrize(
    ("error", "code"),
    [(StartupError, 3), (HaltError, 4), (TryAgainError, 1), (EventError, 1), (InboxError, 1)],
)
def test_the_class_of_an_error_decides_the_exit_code(error: type[InboxError], code: int) -> None:
    assert exit_code(error("why")) == code


def test_each_sentence_of_an_error_stands_under_the_name_of_the_program() -> None:
    assert said("one\ntwo") == "inbox: one\ninbox: two"


def test_lines_that_belong_to_the_one_above_stay_below_it() -> None:
    assert said("2 problems:\n  one\n  two") == "inbox: 2 problems:\n  one\n  two"


def test_the_overview_names_every_command_once_and_imports_none() -> None:
    code = "import sys; from inbox.cli.program import program; program(['--help'], standalone_mode=False);"
    code += "print([name for name in sys.modules if name.startswith('inbox.cli.commands.')])"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.endswith("[]\n")
    named = re.findall(r"^  ([a-z][a-z-]+)  ", printed, re.MULTILINE)
    assert sorted(named) == sorted({path[0] for path in commands(program)})
