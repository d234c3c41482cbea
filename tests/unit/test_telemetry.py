"""An outage in the log and in the metrics."""

from inbox.errors import TryAgainError
from inbox.telemetry import PAUSED, Outage
from tests.support.log_lines import capture_logs

LOST = TryAgainError("connection refused", away="database", reason="connection")
FULL = TryAgainError("no space; make room", away="database", reason="disk_full", alert=True)
HANDLER = TryAgainError("the shop does not answer")


def paused(reason: str) -> float:
    return float(PAUSED.labels(reason)._value.get())


def test_an_outage_is_one_line_at_its_start_one_for_each_further_reason_and_one_at_its_end() -> None:
    now = [100.0]
    outage = Outage(lambda: now[0])
    with capture_logs() as lines:
        for failure in (LOST, LOST, FULL, LOST, FULL):
            outage.seen(failure)
            now[0] += 2.5
        outage.over()
        outage.over()
    assert lines == [
        {
            "event": "outage",
            "log_level": "warning",
            "away": "database",
            "reason": "connection",
            "error": "connection refused",
        },
        {
            "event": "outage",
            "log_level": "error",
            "away": "database",
            "reason": "disk_full",
            "error": "no space; make room",
        },
        {"event": "outage-over", "log_level": "info", "away": "database", "after_seconds": 12.5},
    ]


def test_the_next_outage_is_told_again() -> None:
    outage = Outage()
    with capture_logs() as lines:
        for _ in range(2):
            outage.seen(LOST)
            outage.over()
    assert [line["event"] for line in lines] == ["outage", "outage-over"] * 2


def test_the_gauge_follows_what_is_away() -> None:
    outage = Outage()
    outage.seen(LOST)
    assert (paused("database"), paused("handler")) == (1, 0)
    outage.seen(HANDLER)
    assert (paused("database"), paused("handler")) == (0, 1)
    outage.over()
    assert (paused("database"), paused("handler")) == (0, 0)


def test_one_outage_that_ends_does_not_hide_another() -> None:
    one, other = Outage(), Outage()
    one.seen(LOST)
    other.seen(LOST)
    one.over()
    assert paused("database") == 1
    other.given_up()
    assert paused("database") == 0


def test_one_whose_owner_has_ended_sees_nothing_more() -> None:
    outage = Outage()
    outage.seen(LOST)
    outage.close()
    assert paused("database") == 0
    with capture_logs() as lines:
        outage.seen(LOST)
    assert (paused("database"), lines) == (0, [])
