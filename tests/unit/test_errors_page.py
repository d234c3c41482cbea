"""docs/reference/errors.md, held to the two tables that the code goes by."""

import re
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaError

from inbox.kafka import errors as kafka
from inbox.store.postgres import errors as store

PAGE = (Path(__file__).parents[2] / "docs/reference/errors.md").read_text(encoding="utf-8")


def rows(section: str) -> dict[str, list[str]]:
    """The table of a section, by each name in its first column."""
    [text] = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    lines = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| ")][1:]
    found = {}
    for line in lines:
        first, *rest = [cell.strip() for cell in line]
        for name in re.findall(r"`([^`]+)`", first) or [first]:
            found[name] = rest
    return found


def shown(meaning: Any) -> list[str]:
    return [meaning.what, meaning.consequence.value, f"`{meaning.reason}`" if meaning.reason else "", meaning.remedy]


def test_the_page_shows_each_row_for_postgresql_and_no_other() -> None:
    expected = {state: shown(meaning) for state, meaning in store.MEANINGS.items()}
    assert rows("PostgreSQL") == {**expected, store.UNKNOWN.what: ["", *shown(store.UNKNOWN)[1:]]}


def test_the_page_shows_each_row_for_kafka_and_no_other() -> None:
    expected = {KafkaError(code).name(): shown(meaning) for code, meaning in kafka.MEANINGS.items()}
    assert rows("Kafka") == {**expected, kafka.UNKNOWN.what: ["", *shown(kafka.UNKNOWN)[1:]]}


def test_the_page_names_the_codes_that_may_be_about_a_value() -> None:
    [line] = [line for line in PAGE.splitlines() if "in a handler can be the fault of a value" in line]
    assert tuple(re.findall(r"`(\w+)`", line)) == store.ABOUT_TYPES
