"""The trials of other platforms: their downloads are pinned, and the compatibility page has a row for each."""

import re
from pathlib import Path

import pytest

from tests.jars import pins
from tests.platforms import DELIVERY, KAFKAS, POSTGRESES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/compatibility.md").read_text()


@pytest.mark.parametrize("product", [*(f"kafka-{v}" for v in KAFKAS), *(f"postgres-{v}" for v in POSTGRESES)])
def test_each_file_of_a_server_on_trial_is_pinned(product: str) -> None:
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in pins(product).values())
    assert any(product.rpartition("-")[2] in name for name in pins(product))


def test_each_platform_on_trial_has_a_row_that_names_its_command() -> None:
    trials = [*(f"kafka {v}" for v in KAFKAS), *(f"postgres {v}" for v in POSTGRESES)]

    assert [trial for trial in trials if f"`python -m tests.platforms {trial}`" not in PAGE] == []


def test_each_python_on_trial_has_a_row() -> None:
    [pythons] = re.findall(r"^PYTHONS = (\[.*\])$", (ROOT / "noxfile.py").read_text(), re.MULTILINE)

    assert [v for v in re.findall(r"[\d.]+", pythons) if f"| Python {v} |" not in PAGE] == []


def test_the_delivery_tests_of_a_trial_are_there() -> None:
    assert [path for path in DELIVERY if not (ROOT / path).is_file()] == []
