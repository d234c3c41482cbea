"""The prose of the project keeps to plain words: CONTRIBUTING.md, "Names and prose"."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ["docs", "examples", "helm/inbox", "inbox", "migrations"]
SUFFIXES = {".html", ".json", ".mako", ".md", ".py", ".sql", ".toml", ".tpl", ".txt", ".yaml"}
FILES = [
    *ROOT.glob("*.md"),
    *(path for room in ROOMS for path in (ROOT / room).rglob("*") if path.suffix in SUFFIXES and path.is_file()),
]

_SPACE = r"\s+(?:(?:#|--|//)\s+)?"
"""A phrase may be broken by the end of a line, in a comment too."""

_PHRASES = [
    r"anew",
    r"mend(?:s|ed|ing)?",
    r"told",
    rf"go(?:es|ing)?{_SPACE}on",
    rf"went{_SPACE}on",
    r"whoever",
    r"shall",
    r"amiss",
    r"bear(?:s|ing)?",
    rf"in{_SPACE}hand",
    rf"of{_SPACE}ours",
    rf"is{_SPACE}taken{_SPACE}to{_SPACE}be",
]
_ODD = re.compile(rf"(?<![\w-])(?:{'|'.join(_PHRASES)})(?![\w-])", re.I)
_CONTRACTS = re.compile(r'["`]mend["`]|Failpoint\.TOLD|TOLD = "told"')
"""The JSON key of an audit, and the value of a failpoint."""


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_odd_word_stands_in_code_or_documentation(file: Path) -> None:
    text = _CONTRACTS.sub("", file.read_text())
    found = [f"{text.count(chr(10), 0, odd.start()) + 1}: {odd.group()}" for odd in _ODD.finditer(text)]
    assert file.name == "CONTRIBUTING.md" or found == []


@pytest.mark.parametrize(
    "text", ["it is told", "it goes\non", "# it goes\n    # on", "a table of\n-- ours", "Whoever asks"]
)
def test_a_phrase_is_found_across_lines_too(text: str) -> None:
    assert _ODD.search(text)
