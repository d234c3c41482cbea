"""The configurations of the examples name their JSON Schema, and fit it."""

import json
import tomllib
from pathlib import Path

import jsonschema
import pytest

EXAMPLES = Path(__file__).parents[3] / "examples"
FILES = [path for path in sorted(EXAMPLES.rglob("*.toml")) if path.name != "pyproject.toml"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(EXAMPLES)))
def test_an_example_names_its_schema_and_fits_it(file: Path) -> None:
    text = file.read_text()
    named = text.partition("\n")[0].removeprefix("#:schema ")
    schema = json.loads((file.parent / named).read_text())
    jsonschema.Draft202012Validator(schema).validate(tomllib.loads(text))


def test_there_are_examples() -> None:
    assert len(FILES) >= 4
