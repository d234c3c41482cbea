"""`make audit-dependencies` never passes for clean where it learned nothing."""

import sys

import pytest

from tests.support.advisories import CLEAN, UNKNOWN, VULNERABLE, main

FOUND = "Found 1 known vulnerability in 1 package"
ABSENT = "ERROR:pip_audit._cli:alembic: Dependency not found on PyPI and could not be audited: alembic (1.20.1)"
CASES = {
    "none": ("No known vulnerabilities found", 0, CLEAN),
    "one": (FOUND, 1, VULNERABLE),
    "no such page": (ABSENT, 1, UNKNOWN),
    "one, and a package that is unknown": (f"{FOUND}\n{ABSENT}", 1, UNKNOWN),
    "no connection": ("requests.exceptions.ConnectionError: Max retries exceeded", 1, UNKNOWN),
    "something else": ("usage: pip-audit", 2, UNKNOWN),
}


@pytest.mark.parametrize(("said", "code", "expected"), CASES.values(), ids=CASES)
def test_an_answer_that_was_not_had_is_neither_clean_nor_a_finding(
    said: str, code: int, expected: int, capfd: pytest.CaptureFixture[str]
) -> None:
    command = [sys.executable, "-c", f"import sys; sys.stderr.write({said!r}); sys.exit({code})"]
    assert main(command) == expected
    told = capfd.readouterr().err
    assert ("no advisories were had" in told) == (expected == UNKNOWN)
    assert len(told.splitlines()) == 1
