"""What thousands of dead letters come to on a terminal of a hundred columns."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from inbox.cli.reports.causes import causes_lines
from inbox.cli.reports.dead_letters import letter_lines
from inbox.cli.reports.history import brief_row
from inbox.cli.tables import print_rows
from inbox.events import KeptRecord
from inbox.store.inbox.control.actions import ActionRow
from inbox.store.inbox.dead_letter_queries import Cause, Letter
from inbox.store.inbox.dead_letters import State
from inbox.store.inbox.failures.causes import CauseText

NOW = datetime(2026, 1, 31, tzinfo=UTC)
WIDTH, HEIGHT = 100, 30


def height(lines: list[str]) -> int:
    """Return the rows of a terminal, which folds a line that is too long."""
    return sum(-(-max(1, len(row)) // WIDTH) for line in lines for row in line.split("\n"))


def cause(number: int) -> Cause:
    return Cause(
        cause=f"{number:08x}",
        kind="constraint",
        route="orders",
        error_class="EventError",
        described=CauseText("new row violates " * 30, "23514", None, None),
        parked=5000 - number,
        keys=400,
        first=NOW,
        last=NOW + timedelta(hours=1),
        topics=tuple(f"orders-of-country-{each}" for each in range(40)),
        example=10_000 + number,
    )


@pytest.fixture
def letter() -> Letter:
    headers = [(f"header-{number}", b"x" * 100) for number in range(50)]
    record = KeptRecord(("orders", 0, 17), b"k" * 1_000_000, b"v" * 1_000_000, headers, (1, 0))
    return Letter(
        dead_letter_id=17, state=State.PARKED, route_id=1, route="orders", partition_id=1, topic_id=None,
        event_id=None, type=None, error_class="EventError", error="no\nfor this reason" * 100, attempts=1,
        created_at=NOW, updated_at=NOW, resolved_at=None, resolved_by=None, record=record, cause="9c41f0aa",
        error_detail="d\n" * 5000, has_detail=True,
    )  # fmt: skip


@pytest.mark.parametrize("count", [1, 4, 7, 500])
def test_any_number_of_causes_fits_a_screen(count: int) -> None:
    lines = causes_lines([cause(number) for number in range(count)])
    assert height(lines) <= HEIGHT
    assert sum("dead-letters retry --cause" in line for line in lines) == min(count, 4)


def test_a_large_dead_letter_fits_a_screen_and_says_where_the_rest_is(letter: Letter) -> None:
    lines = letter_lines(replace(letter, error="no"), payload=True, screen=True)
    assert height(lines) <= HEIGHT
    assert "(1000007 characters)" in "".join(lines)
    assert lines[-1].endswith("gives it up")


def test_a_pipe_gets_a_large_dead_letter_whole(letter: Letter) -> None:
    assert len("".join(letter_lines(letter, payload=True))) > 2_000_000


def test_each_of_many_actions_has_one_row_with_its_result(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    action = ActionRow(
        action_id=1, requested_by="ada@" + "host" * 20, database_user="ada", command="dead-letters retry",
        plan={"reason": "x" * 200}, result={"applied": 5}, created_at=NOW, ended_at=NOW,
    )  # fmt: skip
    print_rows([brief_row(action)] * 20)
    lines = capsys.readouterr().out.splitlines()
    assert [len(line) for line in lines] == [WIDTH] * 20
    assert "dead-letters retry  applied 5" in lines[0]
