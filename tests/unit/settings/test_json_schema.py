"""The JSON Schema of the configuration takes what the program takes, and refuses what an editor can know."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from inbox.cli.program import result_of
from inbox.settings.document import keys_at
from inbox.settings.json_schema import json_schema, shipped_schema

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "reference" / "configuration.md").read_text()
FILES = [tomllib.loads(block) for block in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)]
EXAMPLES = [tomllib.loads(path.read_text()) for path in sorted(ROOT.glob("examples/*/inbox.toml"))]


def errors(document: dict[str, Any]) -> list[str]:
    return [error.message for error in jsonschema.Draft202012Validator(json_schema()).iter_errors(document)]


def test_the_file_that_is_shipped_is_made_from_the_settings() -> None:
    """`make schema` writes it again."""
    assert shipped_schema() == json.dumps(json_schema(), indent=2) + "\n"


def test_the_command_prints_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert result_of(["schema"]) == 0
    assert capsys.readouterr().out == shipped_schema()


def test_it_is_a_valid_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize("document", FILES + EXAMPLES, ids=lambda document: "-".join(document))
def test_it_takes_every_file_of_the_documentation(document: dict[str, Any]) -> None:
    assert errors(document) == []


def test_it_knows_every_section() -> None:
    assert set(json_schema()["properties"]) == set(keys_at(()))


@pytest.mark.parametrize(
    "document",
    [
        {"sink": {"nam": "orders"}},
        {"routes": [{"format": "avr"}]},
        {"routes": [{"table": {"mode": "upser"}}]},
        {"routes": [{"table": {"columns": {"day": {"from": "/day", "as": "epoch-weeks"}}}}]},
        {"sink": {"batch_events": 0}},
        {"retention": {"claims": "30 days"}},
        {"kafka": {"bootstrap.servers": ["kafka:9092"]}},
    ],
)
def test_it_refuses_a_misspelt_key_a_wrong_word_and_a_wrong_type(document: dict[str, Any]) -> None:
    assert len(errors(document)) == 1
