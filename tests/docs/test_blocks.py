"""Every block of TOML, Python, JSON and YAML in the documentation is one that its reader can use."""

import ast
import importlib
import json
import re
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import tomli_w
import yaml

from inbox.errors import StartupError
from inbox.settings.load import load_settings
from tests.docs.test_links import PAGES, ROOT

_BLOCK = re.compile(r"^( *)```(toml|python|json|yaml)\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
_ENVIRON = {"INBOX_DATABASE__URL": "postgresql://inbox@db/inventory"}
_WRONG_ON_PURPOSE = "earlyest"
_COLUMNS = {"document": "$value"}


def blocks(kind: str) -> Iterator[Any]:
    for page in PAGES:
        text = page.read_text()
        for found in _BLOCK.finditer(text):
            if found[2] == kind:
                line = text[: found.start()].count("\n") + 1
                body = "".join(each.removeprefix(found[1]) for each in found[3].splitlines(keepends=True))
                yield pytest.param(page.parent, body, id=f"{page.relative_to(ROOT)}:{line}")


def whole(part: dict[str, Any]) -> dict[str, Any]:
    """Return a part of `inbox.toml` with what a whole one needs besides."""
    routes = part.get("routes", [])
    given = [routes] if isinstance(routes, dict) else routes or [{}]
    return {
        **part,
        "sink": {"name": "inventory", **part.get("sink", {})},
        "kafka": {"bootstrap.servers": "kafka:9092", **part.get("kafka", {})},
        "routes": [route(each) for each in given],
    }


def route(part: dict[str, Any]) -> dict[str, Any]:
    found = {"event_id": "coordinates", **part}
    if "topics" not in found:
        found.setdefault("topic", "orders")
    if "handler" not in found:
        found["table"] = {"name": "public.orders", "mode": "append", **found.get("table", {})}
        found["table"].setdefault("columns", _COLUMNS)
    return found


@pytest.mark.parametrize(("folder", "text"), [*blocks("toml")])
def test_the_sink_takes_what_a_block_of_toml_says(folder: Path, text: str, tmp_path: Path) -> None:
    part = tomllib.loads(text)
    if part.keys() & {"project", "test"}:  # pyproject.toml, or the file of `inbox test`
        return
    file = tmp_path / "inbox.toml"
    file.write_text(tomli_w.dumps(whole(part)))
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas/order.avsc").write_text('{"type": "record", "name": "Order", "fields": []}')
    try:
        load_settings(config=file, flags={}, environ=_ENVIRON, cwd=tmp_path)
    except StartupError as error:
        if _WRONG_ON_PURPOSE not in text:
            pytest.fail(f"{folder}: {error}")


@pytest.mark.parametrize(("folder", "text"), [*blocks("python")])
def test_what_a_block_of_python_imports_from_the_package_is_there(folder: Path, text: str) -> None:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "inbox":
            missing = [each.name for each in node.names if not offered(node.module or "", each.name)]
            assert missing == [], folder


def offered(module: str, name: str) -> bool:
    return hasattr(importlib.import_module(module), name) or find_spec(f"{module}.{name}") is not None


@pytest.mark.parametrize(("folder", "text"), [*blocks("json"), *blocks("yaml")])
def test_a_block_of_data_can_be_read(folder: Path, text: str) -> None:
    if text.lstrip().startswith('"'):  # members of an object
        text = f"{{{text}}}"
    assert yaml.safe_load(text) is not None, folder
    if text.lstrip().startswith("{"):
        assert json.loads(text)
