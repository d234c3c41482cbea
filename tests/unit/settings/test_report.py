"""How problems are told."""

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from inbox.errors import StartupError
from inbox.settings.document import Document
from inbox.settings.problems import Problems
from inbox.settings.rules.combined import review
from inbox.settings.sources import Layers
from inbox.settings.validation import read

Refuse = Callable[..., str]

SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["upsert", "newest", "/a"])
KEYS = st.sampled_from([*Document.model_fields, "name", "url", "topic", "topics", "table", "mode", "key", "columns"])
TREES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4))


def test_one_problem_is_one_line(refuse: Refuse, small: str) -> None:
    assert refuse(f"{small}topik = 1") == "routes[0].topik (inbox.toml): unknown key; did you mean topic?"


def test_all_problems_are_told_at_once_a_line_each(refuse: Refuse, small: str) -> None:
    said = refuse(
        small.replace("topic =", "topik =").replace("kafka:9092", ""),
        environ={"INBOX_SINK__START": "soon", "INBOX_SINC__NAME": "x"},
    )

    heading, *lines = said.splitlines()
    assert heading == "5 problems in the configuration:"
    assert [line.split()[0] for line in lines] == [
        "environment",
        "sink.start",
        "routes[0].topik",
        'kafka."bootstrap.servers"',
        "routes[0].topic",
    ]


def test_a_long_value_is_cut(refuse: Refuse) -> None:
    assert f'not "{"s" * 60}…"' in refuse(environ={"INBOX_SINK__START": "s" * 1000})


def test_a_line_break_in_a_value_stays_within_its_line(refuse: Refuse) -> None:
    assert "\n" not in refuse(environ={"INBOX_SINK__START": "a\nb"})


@given(st.dictionaries(KEYS, TREES, max_size=8))
@settings(max_examples=300, deadline=None)
def test_any_tree_is_judged_without_failing(tree: dict[str, Any]) -> None:
    problems = Problems()

    review(read(Layers("inbox.toml", tree), problems), frozenset({"sink", "database", "kafka", "routes"}))

    assert isinstance(problems.error(), StartupError)
