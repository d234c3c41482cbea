"""The garbage collector leaves alone what lives as long as the process, and looks rarely at what is new."""

import gc
import subprocess
import sys
import weakref
from collections.abc import Iterator

import pytest

from inbox.process.gc_tuning import freeze_startup_objects, leave_objects_to_the_exit

AT_EXIT = """
import gc
from inbox.cli import main
began = []
gc.callbacks.append(lambda phase, found: began.append(found["generation"]) if phase == "start" else None)
try:
    main(["--help"])
except SystemExit:
    print("rounds", len(began), "of", gc.get_threshold()[0], "frozen", gc.get_freeze_count())
"""


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    threshold = gc.get_threshold()
    yield
    gc.set_threshold(*threshold)  # frozen it stays, as `tests.conftest` left it


def test_what_is_there_is_frozen_and_rounds_become_rarer() -> None:
    freeze_startup_objects()
    assert gc.get_freeze_count() > 0
    assert gc.isenabled()
    assert gc.get_threshold()[0] >= 10_000


def test_the_first_worker_of_a_process_takes_no_round() -> None:
    began: list[str] = []

    def note(phase: str, _found: dict[str, int]) -> None:
        began.append(phase)

    gc.callbacks.append(note)
    freeze_startup_objects()
    gc.callbacks.remove(note)
    assert began == []


def test_what_a_previous_worker_left_is_collected() -> None:
    class Left:
        itself: "Left"

    freeze_startup_objects()
    left = Left()
    left.itself = left
    seen = weakref.ref(left)
    del left
    leave_objects_to_the_exit()
    freeze_startup_objects(thaws=True)
    assert seen() is None


def test_a_command_starts_and_ends_almost_without_rounds() -> None:
    ran = subprocess.run([sys.executable, "-c", AT_EXIT], check=True, capture_output=True, text=True)
    _, rounds, _, threshold, _, frozen = ran.stdout.splitlines()[-1].split()
    assert int(rounds) <= 2
    assert int(threshold) > 20_000
    assert int(frozen) > 0
