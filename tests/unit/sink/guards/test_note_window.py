"""How far a note reaches."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inbox.sink.guards.note_window import NoteWindow

NOBODY = range(0)
PLACE = (1, 7)


class Handing:
    """Hands over event after event, as a worker does, on a clock of its own."""

    def __init__(self, *, exact: bool = False, note_seconds: float = 0.0001) -> None:
        self.window = NoteWindow(exact=exact)
        self.now = 0.0
        self.notes: list[range] = []
        self._note_seconds = note_seconds

    def hand(self, offset: int, *, seconds: float = 0.00002, suspected: range = NOBODY) -> None:
        if not self.window.covers(*PLACE, offset, self.now):
            offsets = range(offset, self.window.until(offset, self.now, suspected))
            began, self.now = self.now, self.now + self._note_seconds
            self.window.noted(PLACE, offsets, began, self.now)
            self.notes.append(offsets)
        assert offset in self.notes[-1]
        self.now += seconds

    def widths(self) -> list[int]:
        return [len(offsets) for offsets in self.notes]


def test_notes_of_quick_events_cost_a_twentieth_of_the_time() -> None:
    handing = Handing()
    for offset in range(5000):
        handing.hand(offset)
    assert handing.widths()[:6] == [1, 2, 4, 8, 16, 32]
    assert len(handing.notes) * 0.0001 < 0.07 * handing.now


def test_a_note_of_slow_events_names_one() -> None:
    handing = Handing()
    for offset in range(10):
        handing.hand(offset, seconds=0.01)
    assert set(handing.widths()) == {1}


def test_an_event_that_takes_long_is_the_last_of_its_note() -> None:
    handing = Handing()
    for offset in range(500):
        handing.hand(offset)
    handing.hand(500, seconds=1.0)
    handing.hand(501)
    assert handing.notes[-1].start == 501
    assert len(handing.notes[-1]) == 1


@pytest.mark.parametrize("exact", [False, True])
@given(
    offsets=st.sets(st.integers(0, 400)), suspected=st.tuples(st.integers(0, 400), st.integers(1, 100)), data=st.data()
)
def test_suspects_are_noted_one_by_one_and_never_with_others(
    exact: bool, offsets: set[int], suspected: tuple[int, int], data: st.DataObject
) -> None:
    suspects = range(suspected[0], sum(suspected))
    handing = Handing(exact=exact)
    for offset in sorted(offsets):
        handing.hand(offset, seconds=data.draw(st.sampled_from([0.0, 0.00001, 0.1])), suspected=suspects)
        assert len(handing.notes[-1]) == 1 or set(suspects).isdisjoint(handing.notes[-1])
    assert not exact or set(handing.widths()) <= {1}


def test_after_it_was_put_down_an_event_is_noted_again() -> None:
    handing = Handing()
    handing.hand(1)
    handing.window.finish_call()
    handing.hand(1)
    assert handing.notes == [range(1, 2), range(1, 2)]


def test_an_event_of_another_partition_or_route_is_not_covered() -> None:
    handing = Handing()
    for offset in range(3):
        handing.hand(offset)
    assert handing.window.covers(1, 7, 2, handing.now)
    assert not handing.window.covers(1, 8, 2, handing.now)
    assert not handing.window.covers(2, 7, 2, handing.now)
