"""The plan that a person has seen, and no other one, is carried out; and two people at the same dead letters."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from inbox.failpoints import Failpoint
from tests.integration.sink.conftest import Fussy, numbered
from tests.support.sink.running import Sink

At = Callable[..., None]
Capture = pytest.CaptureFixture[str]


def plan_of(sink: Sink, capsys: Capture, *command: str) -> str:
    """Return the plan's id that the command shows."""
    capsys.readouterr()
    sink.command("dead-letters", *command, "--all", "--json")
    return str(json.loads(capsys.readouterr().out)["plan"])


def states(sink: Sink) -> list[str]:
    return sink.column("SELECT state FROM inbox.dead_letters ORDER BY kafka_offset")


@pytest.mark.parametrize("command", ["retry", "discard"])
def test_a_plan_whose_dead_letters_changed_is_refused_and_the_new_one_is_shown(
    parked: Sink, fussy: Fussy, capsys: Capture, command: str
) -> None:
    shown = plan_of(parked, capsys, command)
    assert parked.command("dead-letters", "retry", "--key", "a", "--execute") == 1
    fussy.refused = set()
    before = parked.sql("SELECT * FROM inbox.dead_letters ORDER BY 1")
    capsys.readouterr()
    assert parked.command("dead-letters", command, "--all", "--execute", "--plan", shown) == 1
    found = capsys.readouterr()
    assert f"plan {shown} is out of date" in found.err
    assert "would " in found.out
    assert parked.sql("SELECT * FROM inbox.dead_letters ORDER BY 1") == before
    now = plan_of(parked, capsys, command)
    assert f"--plan {now} " in found.out
    assert parked.command("dead-letters", command, "--all", "--execute", "--plan", now) == 0
    assert set(states(parked)) == {"retried" if command == "retry" else "discarded"}


def test_what_comes_to_wait_behind_the_selected_ones_makes_no_other_plan(
    parked: Sink, fussy: Fussy, capsys: Capture
) -> None:
    fussy.refused = set()
    arguments = ("dead-letters", "retry", "--key", "a", "--error", "refused")
    with parked.running():
        parked.send(numbered(6, "a"))
        parked.eventually_settled(6)
        capsys.readouterr()
        parked.command(*arguments, "--json")
        shown = json.loads(capsys.readouterr().out)["plan"]
        parked.send(numbered(7, "a"))
        parked.eventually_settled(7)
        assert parked.command(*arguments, "--execute", "--plan", shown) == 0
    assert states(parked) == ["retried", "retried", "retried", "parked", "retried", "retried"]


@pytest.mark.parametrize("command", ["retry", "discard"])
def test_a_plan_is_out_of_date_once_another_worker_owns_the_partition(
    parked: Sink, capsys: Capture, command: str
) -> None:
    shown = plan_of(parked, capsys, command)
    parked.run()
    assert parked.command("dead-letters", command, "--all", "--execute", "--plan", shown) == 1
    assert plan_of(parked, capsys, command) != shown
    assert set(states(parked)) == {"parked", "waiting"}


def test_the_second_of_two_people_with_one_plan_applies_nothing_twice_and_reads_why(
    parked: Sink, fussy: Fussy, at: At, capsys: Capture
) -> None:
    """The first one carries the plan out between the second one's look at it and its first transaction."""
    fussy.refused = set()
    first = plan_of(parked, capsys, "retry")
    again = ("dead-letters", "retry", "--all", "--execute", "--plan", first)
    codes: list[int] = []

    def retry_first() -> None:
        if not codes:
            codes.append(-1)
            codes[0] = parked.command(*again, "--by", "ada")

    at(Failpoint.BEGUN, retry_first)
    assert parked.command(*again, "--by", "bob") == 0
    assert codes == [0]
    assert set(states(parked)) == {"retried"}
    assert set(parked.column("SELECT resolved_by FROM inbox.dead_letters")) == {"ada"}
    assert "it was resolved meanwhile" in capsys.readouterr().out
    assert parked.sql(
        "SELECT requested_by, result ->> 'applied' FROM inbox.actions ORDER BY action_id DESC LIMIT 2"
    ) == [
        ("ada", "4"),
        ("bob", "0"),
    ]


def test_an_edit_of_what_somebody_resolved_meanwhile_is_refused(
    parked: Sink, at: At, tmp_path: Path, capsys: Capture
) -> None:
    file = tmp_path / "value.json"
    file.write_text('{"n": 6}')
    [first] = parked.column("SELECT dead_letter_id FROM inbox.dead_letters WHERE kafka_offset = 0")
    at(Failpoint.BEGUN, lambda: parked.sql("UPDATE inbox.dead_letters SET state = 'discarded' WHERE kafka_offset = 0"))
    assert parked.command("dead-letters", "edit", str(first), "--value", str(file), "--execute") == 1
    assert f"somebody else resolved dead letter {first} meanwhile" in capsys.readouterr().err
    assert parked.column("SELECT edited_at FROM inbox.dead_letters WHERE kafka_offset = 0") == [None]
    assert parked.column("SELECT result ->> 'edited' FROM inbox.actions ORDER BY action_id DESC LIMIT 1") == ["0"]
