"""The list of mutants keeps up with the code that it breaks and the tests that it names."""

import ast
from pathlib import Path

import pytest

from tests.mutants.list import MUTANTS, Mutant

ROOT = Path(__file__).parents[2]
FEWEST = 20


def test_there_are_enough() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= FEWEST


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_changes_one_place_and_names_tests_that_there_are(mutant: Mutant) -> None:
    whole = (ROOT / mutant.path).read_text()
    assert whole.count(mutant.original) == 1
    if mutant.path.endswith(".py"):
        ast.parse(whole.replace(mutant.original, mutant.mutated))
    for test in mutant.killed_by:
        file, _, name = test.partition("::")
        assert f"def {name}(" in (ROOT / file).read_text()
