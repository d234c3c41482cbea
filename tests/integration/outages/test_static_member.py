"""A static member of the group whose name another process takes ends, and says why."""

import threading
from collections.abc import Callable

import pytest

from inbox.errors import HaltError
from tests.integration.sink.conftest import HANDLER_ROUTE
from tests.support.sink.running import Out, Sink
from tests.support.waiting import eventually

STATIC = '"group.instance.id" = "one"'
WRONG_CONFIGURATION = 3


@pytest.fixture
def static(make_sink: Callable[..., Sink], database_url: str) -> Sink:
    """A sink whose every worker has the same group.instance.id."""
    sink = make_sink(database_url)
    sink.configure(HANDLER_ROUTE, kafka=STATIC)
    return sink


def run_two(sink: Sink) -> None:
    """One member, and a second one of its name, until the first has ended; what ended it is raised."""
    with sink.running() as first:
        eventually(lambda: first.progress.joined, what="the first member")
        with sink.running():
            sink.send(Out(1, {"event": 1}))
            eventually(lambda: sink.column("SELECT event FROM effects") == [1], what="an effect")
            eventually(lambda: members() == 1, what="the end of the first member")


def members() -> int:
    return sum(thread.name == "worker-under-test" for thread in threading.enumerate())


def test_of_two_members_with_one_name_the_first_ends_with_the_reason_and_the_second_goes_on(static: Sink) -> None:
    with pytest.raises(HaltError) as halt:
        run_two(static)
    assert "another member of the group uses the same group.instance.id" in str(halt.value)
    assert str(halt.value).endswith("give each worker a group.instance.id of its own")


def test_workers_that_would_share_a_name_are_refused_at_the_start(
    static: Sink, capsys: pytest.CaptureFixture[str]
) -> None:
    assert static.command("run", "--workers", "2") == WRONG_CONFIGURATION
    assert '"group.instance.id" = "one" would be the same in all 2 workers' in capsys.readouterr().err


def test_a_check_says_what_a_name_in_the_group_means(static: Sink, capsys: pytest.CaptureFixture[str]) -> None:
    assert static.command("check") == 0
    assert "`inbox run --workers N` refuses it" in capsys.readouterr().out
