"""The garbage collector leaves alone what lives as long as the process, and looks rarely at what is new."""

import gc
from collections.abc import Iterator

import pytest

from inbox.process.gc_tuning import freeze_startup_objects


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
