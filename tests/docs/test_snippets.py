"""Every command in the documentation is one that exists, with options that it has; every make target is there."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from inbox.cli.program import program
from tests.docs.test_links import PAGES, ROOT

TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
_SHELL = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)
_ASSIGNMENT = re.compile(r"^[A-Z_]+=")
_PIECES = re.compile(r"\s*(?:\||&&|;|>)\s*")


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the words of each command in a page's shell blocks, without the variables set before it."""
    for block in _SHELL.findall(re.sub(r"^ {1,4}(?=```|\S)", "", page.read_text(), flags=re.MULTILINE)):
        for line in block.replace("\\\n", " ").splitlines():
            for piece in _PIECES.split(line.partition(" #")[0]):
                words = split(piece)
                while words and _ASSIGNMENT.match(words[0]):
                    words.pop(0)
                if words:
                    yield words


def split(piece: str) -> list[str]:
    """Split as a shell does; at spaces where a quotation continues on another line."""
    try:
        return shlex.split(piece, comments=True)
    except ValueError:
        return piece.split()


def unknown(words: list[str]) -> list[str]:
    """Return what a command line names that is not there."""
    name = Path(words[0]).name
    if name == "make":
        named = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
        return [f"make {target}" for target in named if target not in TARGETS]
    if name != "inbox":
        return []
    command: click.Command = program
    options = set()
    for word in words[1:]:
        if isinstance(command, click.Group) and not word.startswith("-"):
            found = command.commands.get(word) or command.get_command(click.Context(command), word)
            if found is None and command is program:
                return [f"inbox {word}"]
            command = found or command
        elif word.startswith("--"):
            options.add(word.partition("=")[0])
    known = {name for each in command.params for name in [*each.opts, *each.secondary_opts]} | {"--help", "--version"}
    return sorted(f"{command.name} {option}" for option in options - known)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_of_a_page_exists(page: Path) -> None:
    assert [problem for words in commands(page) for problem in unknown(words)] == []


def test_commands_are_found_in_the_pages() -> None:
    found = [words for page in PAGES for words in commands(page) if Path(words[0]).name in {"inbox", "make"}]

    assert len(found) > 50
