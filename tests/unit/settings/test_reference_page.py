"""What docs/reference/configuration.md shows is what happens."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from inbox.kafka.options import DEFAULTS, GUARDED, PRODUCER_DEFAULTS, PRODUCER_GUARDED
from inbox.kafka.registry.options import KNOWN as REGISTRY_PROPERTIES
from inbox.settings import Settings
from inbox.settings.document import Document, keys_at

Load = Callable[..., Settings]
Refuse = Callable[..., str]

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "configuration.md").read_text(encoding="utf-8")
WHOLE, WRONG = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


def test_the_whole_file_is_sound(load: Load) -> None:
    assert [route.name for route in load(WHOLE).routes] == ["reserve-stock", "public.orders"]


def test_the_errors_are_the_real_ones(refuse: Refuse) -> None:
    shown = PAGE.rpartition("```\n")[0].rpartition("```\n")[2]

    said = refuse(WRONG, environ={"INBOX_SINK__BATCH_BYTES": "4TB", "INBOX_DATABASE_URL": "postgresql://db"})

    assert said == shown.rstrip("\n")


@pytest.mark.parametrize("section", [name for name in Document.model_fields if name not in {"kafka", "registry"}])
def test_every_key_is_described(section: str) -> None:
    keys = [*keys_at((section,)), *(keys_at(("routes", 0, "table")) if section == "routes" else ())]

    assert keys
    for key in keys:
        assert f"`{key}`" in PAGE or f"[{section}.{key}]" in PAGE


@pytest.mark.parametrize("name", sorted(REGISTRY_PROPERTIES))
def test_every_property_of_the_registry_is_described(name: str) -> None:
    assert f"`{name}`" in PAGE


@pytest.mark.parametrize(("name", "given"), sorted([*GUARDED.items(), *PRODUCER_GUARDED.items()]))
def test_every_guarded_property_is_described_with_its_reason(name: str, given: tuple[str, str]) -> None:
    value, reason = given

    assert f"| `{name}` | `{value}` | {reason} |" in PAGE


@pytest.mark.parametrize(("name", "given"), sorted([*DEFAULTS.items(), *PRODUCER_DEFAULTS.items()]))
def test_every_default_of_ours_is_described_with_its_reason(name: str, given: tuple[str, str]) -> None:
    value, reason = given

    assert f"| `{name}` | `{value}` | {reason} |" in PAGE
