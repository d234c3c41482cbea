"""docs/reference/commands.md, held to the commands that there are."""

import re
from pathlib import Path

import click
import pytest

from inbox.cli.program import program
from tests.unit.cli.test_program import commands

PAGE = (Path(__file__).parents[3] / "docs/reference/commands.md").read_text(encoding="utf-8")


def command_at(path: tuple[str, ...]) -> click.Command:
    found: click.Command | None = program
    for name in path:
        assert isinstance(found, click.Group)
        found = found.get_command(click.Context(found), name)
    assert found is not None
    return found


def usage(path: tuple[str, ...]) -> str:
    """The line under the command's heading."""
    found = re.search(rf"^## inbox {' '.join(path)}\n\n```\n(.*)\n```", PAGE, re.MULTILINE)
    assert found, f"no section for {path}"
    return found[1]


@pytest.mark.parametrize("path", list(commands(program)), ids=" ".join)
def test_the_page_shows_exactly_the_options_of_each_command(path: tuple[str, ...]) -> None:
    options = [param for param in command_at(path).params if isinstance(param, click.Option) and not param.hidden]
    assert set(re.findall(r"(?<!\w)(--?[A-Za-z-]+)", usage(path))) == {option.opts[0] for option in options}


def test_the_page_has_a_section_for_each_command_and_no_other() -> None:
    sections = re.findall(r"^## inbox (.*)$", PAGE, re.MULTILINE)
    assert sorted(sections) == sorted(map(" ".join, commands(program)))
