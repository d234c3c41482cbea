"""The garbage collector during an audit: it runs once a chunk, and what was frozen stays frozen."""

import gc
from collections.abc import Iterator

import pytest

from inbox.operations.audit.audit import _seldom_collected


@pytest.fixture
def frozen() -> Iterator[None]:
    gc.freeze()
    yield
    gc.freeze()


@pytest.mark.usefixtures("frozen")
def test_what_the_process_froze_stays_frozen() -> None:
    with _seldom_collected(lambda _: None):
        assert not gc.isenabled()
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0


@pytest.mark.usefixtures("frozen")
def test_what_an_audit_freezes_itself_is_thawed() -> None:
    gc.unfreeze()
    with _seldom_collected(lambda _: None):
        assert gc.get_freeze_count() > 0
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
