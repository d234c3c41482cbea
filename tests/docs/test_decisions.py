"""The decisions have one form: number, title, status with a date, and sections in one order."""

import re
from pathlib import Path

import pytest

DECISIONS = sorted((Path(__file__).parents[2] / "docs/decisions").glob("0*.md"))
SECTIONS = ["Context", "Decision", "Consequences", "Measured", "Rejected", "Would change our mind"]


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_has_the_form_of_the_others(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"# {page.name[:4]} · ")
    assert re.search(r"^Status: (?:accepted|superseded), \d{4}-\d\d-\d\d\b", text, re.MULTILINE)
    sections = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert sections[:2] == ["Context", "Decision"]
    assert sections == sorted(sections, key=SECTIONS.index)
    assert len(set(sections)) == len(sections)
