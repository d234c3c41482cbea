"""The glossary names every table of the inbox, and gives each word one meaning."""

import re
from collections import Counter
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
GLOSSARY = (DOCS / "glossary.md").read_text(encoding="utf-8")
TABLES = re.findall(r"^## `(\w+)`$", (DOCS / "reference/tables.md").read_text(encoding="utf-8"), re.MULTILINE)
BY_NAME = {"sink": "Sink", "routes": "Route", "outbox": "Outbox"}
"""Tables that are called as the thing in each row, so that the entry of the thing is enough."""


def test_each_table_belongs_to_a_word() -> None:
    assert "partitions" in TABLES
    missing = [
        table
        for table in TABLES
        if not table.endswith("version")
        and f"`{table}`" not in GLOSSARY
        and f"**{BY_NAME.get(table)}**" not in GLOSSARY
    ]
    assert missing == []


def test_a_word_has_one_meaning() -> None:
    words = Counter(word.lower() for entry in re.findall(r"\*\*(.+?)\*\*", GLOSSARY) for word in entry.split(", "))
    assert [word for word, count in words.items() if count > 1] == []
