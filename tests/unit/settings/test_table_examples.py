"""The routes of the page about tables are valid."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from inbox.settings import Settings

Load = Callable[..., Settings]

PAGE = Path(__file__).parents[3] / "docs/how-to/tables.md"
EXAMPLES = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_route_of_the_page_is_taken(load: Load, small: str, example: str) -> None:
    assert len(load(small + example).routes) == 2
