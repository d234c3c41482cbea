"""What reaches the terminal is text: neither markup nor an escape sequence."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from inbox.cli.output import print_json, print_lines, print_text
from inbox.cli.reports.dead_letters import letter_lines, letters_table
from inbox.cli.reports.replay import replays_table
from inbox.cli.tables import PlainTable, print_table
from inbox.events import KeptRecord, Settlement, TopicPartition, timestamp_at
from inbox.store.inbox.dead_letter_queries import Letter
from inbox.store.inbox.dead_letters import State
from inbox.store.inbox.replays import Mode, Replay, ReplayedRange, ReplayState

MARKUP = "[/ticket 4711] [bold]ada[/]"
TITLE = "\x1b]0;owned\x07"
NOW = datetime(2026, 11, 30, tzinfo=UTC)

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def letter() -> Letter:
    """A dead letter whose every text came from a producer who means harm."""
    value, headers = b"a\nstate: resolved", [(TITLE, b"x")]
    record = KeptRecord(("orders", 0, 7), None, value, headers, timestamp_at(None))
    hostile = f"{MARKUP}{TITLE}\nKeyError: {TITLE}"
    return Letter(
        dead_letter_id=1, state=State.PARKED, route="orders", route_id=1, partition_id=1, topic_id=None, record=record,
        event_id=None, type=f"{TITLE}\nforged", error_class="ValueError", error=hostile, attempts=1, created_at=NOW,
        updated_at=NOW, resolved_at=None, resolved_by=None,
    )  # fmt: skip


def replay_by(name: str) -> Replay:
    where = ReplayedRange(
        partition_id=1, address=TopicPartition("orders", 0), from_offset=0, until_offset=5, next_offset=5,
        ledger_offset=5, state=ReplayState.SETTLED, settlement=Settlement(),
    )  # fmt: skip
    return Replay(
        replay_id=1, mode=Mode.FORCE, route=None, requested_by=name, state=ReplayState.SETTLED,
        created_at=NOW, ended_at=NOW, ranges=(where,),
    )  # fmt: skip


def test_brackets_in_a_cell_are_text(capsys: Capture) -> None:
    table = PlainTable(title=MARKUP)
    table.add_columns("by")
    table.add_row(MARKUP)
    print_table(table)
    assert capsys.readouterr().out.count(MARKUP) == 2


def test_a_name_in_brackets_can_be_listed_among_the_replays(capsys: Capture) -> None:
    print_table(replays_table([replay_by(f"ada {MARKUP}{TITLE}\n9")]))
    shown = capsys.readouterr().out
    assert MARKUP in shown
    assert "\\n9" in shown
    assert "\x1b" not in shown


def test_an_escape_sequence_of_an_event_is_shown_in_the_list(letter: Letter, capsys: Capture) -> None:
    print_table(letters_table([letter]))
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "\\x1b]0;owned" in shown
    assert MARKUP in shown


def test_no_text_of_an_event_forges_a_field(letter: Letter, capsys: Capture) -> None:
    print_text("\n".join(letter_lines(letter, payload=True)))
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert not re.search(r"^(forged|state: resolved|KeyError)", shown, re.MULTILINE)
    assert re.search(r"^ +from KeyError: ", shown, re.MULTILINE)


def test_a_control_character_of_the_second_kind_is_escaped_in_json(capsys: Capture) -> None:
    print_json({"type": "\x9b31m\x7f"})
    printed = capsys.readouterr().out
    assert "\x9b" not in printed
    assert json.loads(printed) == {"type": "\x9b31m\x7f"}


def test_a_line_stays_one_line(capsys: Capture) -> None:
    print_lines(["dead letter 1 failed again: a\ninbox: all is well"])
    assert capsys.readouterr().out.count("\n") == 1


def test_only_two_modules_write_to_the_terminal() -> None:
    folder = Path(__file__).parents[3] / "inbox/cli"
    writers = {path.name for path in folder.rglob("*.py") if re.search(r"click\.echo\(|\bprint\(", path.read_text())}
    assert writers == {"output.py", "tables.py"}
