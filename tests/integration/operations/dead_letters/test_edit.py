"""Dead letters edited by a person, and retried with what they hold then."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.sink.conftest import Fussy, numbered
from tests.support.sink.running import Out, Sink

Edit = Callable[..., int]


@pytest.fixture
def edit(parked: Sink, tmp_path: Path) -> Edit:
    """Edits the dead letter at an offset: `edit(0, {"n": 6}, "--execute")`."""

    def run(offset: int, value: object, *arguments: str) -> int:
        file = tmp_path / "value.json"
        file.write_text(json.dumps(value))
        [dead_letter_id] = parked.column(
            "SELECT dead_letter_id FROM inbox.dead_letters WHERE kafka_offset = %s", [offset]
        )
        return parked.command("dead-letters", "edit", str(dead_letter_id), "--value", str(file), *arguments)

    return run


def kept(sink: Sink, offset: int) -> tuple[bytes, bytes | None, str | None]:
    [row] = sink.sql(
        "SELECT value, original_value, edited_by FROM inbox.dead_letters WHERE kafka_offset = %s", [offset]
    )
    return row


def applied(sink: Sink) -> list[int]:
    return sink.column("SELECT event FROM effects ORDER BY position")


def test_without_execute_the_new_value_is_tried_and_rolled_back(
    parked: Sink, fussy: Fussy, edit: Edit, capsys: pytest.CaptureFixture[str]
) -> None:
    before = parked.sql("SELECT * FROM inbox.dead_letters ORDER BY 1"), parked.sql("SELECT * FROM inbox.partitions")
    assert edit(0, {"n": 6}) == 0
    assert "would be applied" in capsys.readouterr().out
    assert fussy.seen[-3].json() == {"n": 6}
    assert edit(0, {"n": 5}) == 0
    assert "would fail again: number 5 is refused" in capsys.readouterr().out
    assert edit(1, {"n": 6}) == 0
    assert "would still wait behind an earlier event of its key" in capsys.readouterr().out
    assert before == (
        parked.sql("SELECT * FROM inbox.dead_letters ORDER BY 1"),
        parked.sql("SELECT * FROM inbox.partitions"),
    )
    assert applied(parked) == [3]


def test_the_first_value_is_kept_beside_the_new_one(parked: Sink, edit: Edit) -> None:
    assert edit(0, {"n": 6}, "--execute", "--by", "ada") == 0
    assert kept(parked, 0) == (b'{"n": 6}', b'{"n": 1}', "ada")
    assert parked.sql("SELECT command, requested_by, plan -> 'first_ids' FROM inbox.actions") == [
        ("dead-letters edit", "ada", [1])
    ]
    assert edit(0, {"n": 7}, "--execute", "--by", "bob") == 0
    assert kept(parked, 0) == (b'{"n": 7}', b'{"n": 1}', "bob")


def test_a_retry_applies_the_new_value_once_and_in_order(parked: Sink, edit: Edit) -> None:
    assert edit(0, {"n": 6}, "--execute") == 0
    assert parked.command("dead-letters", "retry", "--key", "a", "--execute") == 0
    assert applied(parked) == [3, 6, 2, 4]
    parked.send(numbered(1, "a"))
    parked.run()
    assert applied(parked) == [3, 6, 2, 4]
    assert parked.endings()["duplicate"] == 1
    assert parked.dead_letters() == [(0, "retried"), (1, "retried"), (3, "retried"), (4, "parked")]
    assert parked.command("audit") == 0


def test_a_header_can_be_given_to_an_event_without_an_id(
    handled_by: Callable[..., Sink], fussy: Fussy, capsys: pytest.CaptureFixture[str]
) -> None:
    sink = handled_by(fussy)
    sink.send(Out(None, {"n": 1}, "a", headers={"kept": b"\xff"}))
    sink.run()
    identity = "event_id=00000000-0000-0000-0000-000000000009"
    assert sink.command("dead-letters", "edit", "1", "--header", identity, "--execute") == 0
    assert sink.command("dead-letters", "retry", "1", "--execute") == 0
    assert fussy.seen[-1].headers == (("kept", b"\xff"), ("event_id", b"00000000-0000-0000-0000-000000000009"))
    assert sink.column("SELECT event_id::text FROM inbox.processed") == ["00000000-0000-0000-0000-000000000009"]
    capsys.readouterr()
    assert sink.command("audit") == 0


def test_what_is_resolved_is_not_edited(parked: Sink, edit: Edit, capsys: pytest.CaptureFixture[str]) -> None:
    assert parked.command("dead-letters", "discard", "--all", "--execute", "--by", "ada") == 0
    assert edit(0, {"n": 6}, "--execute") == 1
    assert "was discarded before, by ada; nothing was changed" in capsys.readouterr().err
    assert kept(parked, 0)[1] is None


def test_show_says_who_edited_and_shows_both_values(
    parked: Sink, edit: Edit, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(0, {"n": 6}, "--execute", "--by", "ada")
    capsys.readouterr()
    [first] = parked.column("SELECT min(dead_letter_id) FROM inbox.dead_letters")
    assert parked.command("dead-letters", "show", str(first), "--payload") == 0
    shown = capsys.readouterr().out
    assert "by ada" in shown
    assert 'value: {"n": 6}\nvalue that came: {"n": 1}' in shown
