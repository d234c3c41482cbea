"""Prose is wrapped at 100 columns, so that it can be read in a terminal and in a diff."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.test_links import PAGES, ROOT

COLUMNS = 100
# A long address or link has no place to break; tables have none at all.
_UNBREAKABLE = re.compile(r"\S{60,}|\]\([^)]{30,}\)")


def prose(page: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a page outside of code blocks and tables, with their numbers."""
    fenced = False
    for number, line in enumerate(page.read_text().splitlines(), start=1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced and not line.startswith("|"):
            yield number, line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_prose_is_wrapped(page: Path) -> None:
    long = [number for number, line in prose(page) if len(line) > COLUMNS and not _UNBREAKABLE.search(line)]
    assert long == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_heading_stands_apart(page: Path) -> None:
    lines = dict(prose(page))
    text = page.read_text().splitlines()
    crowded = [
        number
        for number, line in lines.items()
        if re.match(r"#+ ", line) and text[number : number + 1] not in ([], [""])
    ]
    assert crowded == []
