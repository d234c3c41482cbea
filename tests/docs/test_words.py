"""The prose of the project keeps to plain words: CONTRIBUTING.md, "Names and prose"."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = [
    *ROOT.glob("*.md"),
    *ROOT.glob("docs/**/*.md"),
    *ROOT.glob("helm/**/*.md"),
    *ROOT.glob("helm/**/*.yaml"),
    *ROOT.glob("inbox/**/*.py"),
    *ROOT.glob("inbox/**/*.sql"),
]

_ODD = re.compile(
    r"(?<![\w-])(?:anew|mend(?:s|ed)?|told|go(?:es|ing)? on|whoever|shall|amiss|bears?|in hand)(?![\w-])", re.I
)
_CONTRACTS = re.compile(r'["`]mend["`]|Failpoint\.TOLD|TOLD = "told"')
"""The JSON key of an audit, and the value of a failpoint."""


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_odd_word_stands_in_code_or_documentation(file: Path) -> None:
    lines = enumerate(_CONTRACTS.sub("", file.read_text()).splitlines(), start=1)
    found = [f"{number}: {line.strip()}" for number, line in lines if _ODD.search(line)]
    assert file.name == "CONTRIBUTING.md" or found == []
