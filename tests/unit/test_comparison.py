"""The comparison's own arithmetic, and the names that its aims go by."""

import pytest

from tests.benchmarks.aims import COMPARISONS, Comparison, names_of_aims
from tests.benchmarks.compare import NAMES
from tests.benchmarks.figures import Figures


def figures(rate: float, cpu: float = 10.0) -> Figures:
    return Figures(1_000, rate, cpu, cpu, 90.0)


def test_each_comparison_is_of_contenders_that_are_there() -> None:
    named = {name for each in COMPARISONS for name in (each.ours, each.other) if name}

    assert named - set(NAMES) == set()
    assert set(names_of_aims()) < set(NAMES)


def test_contenders_have_names_of_their_own() -> None:
    assert len(NAMES) == len(set(NAMES))


def test_a_ratio_is_the_median_of_the_rounds_ratios() -> None:
    results = {"ours": [figures(10), figures(40), figures(30)], "peer": [figures(10), figures(10), figures(10)]}

    assert Comparison("rate", "ours", "peer").value(results) == 3
    assert Comparison("rate", "ours", "other").value(results) is None
    assert Comparison("memory", "ours", None).value(results) == 90


@pytest.mark.parametrize(
    ("comparison", "missed"),
    [
        (Comparison("rate", "ours", "peer", least=2), False),
        (Comparison("rate", "ours", "peer", least=3), True),
        (Comparison("CPU", "ours", "peer", most=2), False),
        (Comparison("CPU", "ours", "peer", most=1.9), True),
        (Comparison("rate", "ours", "peer"), False),
    ],
)
def test_a_missed_aim_is_named(comparison: Comparison, missed: bool) -> None:
    assert ("missed" in comparison.line(2.0)) == missed
