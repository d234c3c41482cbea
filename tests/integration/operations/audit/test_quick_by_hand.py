"""`inbox audit --quick` after somebody changed the ledger by hand, before the sink continues and after."""

from collections.abc import Callable

import pytest

from tests.support.sink.running import Out, Sink

MOVES = {
    "next offset": "UPDATE inbox.partitions SET next_offset = 14",
    "next and reached offset": "UPDATE inbox.partitions SET next_offset = 14, reached_offset = 14",
    "another row of progress begins": (
        "UPDATE inbox.partitions SET next_offset = 14, progress_since = progress_since - interval '2 minutes'"
    ),
}

CHANGES = {
    "a count": ("UPDATE inbox.partitions SET applied = applied + 1", "progress counts 10 applied, the ledger 11"),
    "progress": ("UPDATE inbox.progress SET until_offset = 9", "progress ends at 9, the ledger at 10"),
    "reached": ("UPDATE inbox.partitions SET reached_offset = 12", "progress ends at 10, the ledger at 12"),
    "start": ("UPDATE inbox.partitions SET start_offset = 3", "progress begins at 0, before the ledger's 3"),
}


@pytest.fixture
def quick(handled: Sink, capsys: pytest.CaptureFixture[str]) -> Callable[[], tuple[int, str]]:
    """Ten events are settled; the command's exit code and what it prints."""
    handled.send(*(Out(number) for number in range(1, 11)))
    handled.run()

    def run() -> tuple[int, str]:
        capsys.readouterr()
        return handled.command("audit", "--quick"), capsys.readouterr().out

    return run


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
def test_offsets_that_were_skipped_by_hand_are_found_before_and_after_the_sink_goes_on(
    handled: Sink, quick: Callable[[], tuple[int, str]], move: str
) -> None:
    assert quick()[0] == 0
    handled.send(*(Out(number) for number in range(11, 16)))
    handled.sql(move)
    assert quick()[0] == 1
    handled.run()
    code, told = quick()
    assert code == 1
    assert f"{handled.topic}[0]: no row of progress covers 10 up to 13" in told
    handled.send(*(Out(number) for number in range(16, 20)))
    handled.run()
    assert quick()[0] == 1, "it was seen once, and must not be forgotten"


@pytest.mark.parametrize(("change", "fault"), CHANGES.values(), ids=CHANGES)
def test_what_was_changed_by_hand_is_told(
    handled: Sink, quick: Callable[[], tuple[int, str]], change: str, fault: str
) -> None:
    handled.sql(change)
    code, told = quick()
    assert (code, fault in told) == (1, True), told


def test_a_ledger_that_was_moved_back_is_a_replay_and_no_fault(
    handled: Sink, quick: Callable[[], tuple[int, str]]
) -> None:
    handled.sql("UPDATE inbox.partitions SET next_offset = 4")
    assert quick()[0] == 0
    handled.send(Out(11))
    handled.run()
    assert quick()[0] == 0
