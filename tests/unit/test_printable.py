"""Text from outside, as a terminal and a log line get it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inbox.printable import printable, printable_lines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("order placed", "order placed"),
        ("Zürich, 東京", "Zürich, 東京"),
        ("\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
        ("a\r\nb\tc", "a\\r\\nb\\tc"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\U000e0001", "\\U000e0001"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_drives_a_terminal_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text())
def test_a_printable_text_is_one_line_without_a_control_character(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert len(shown.splitlines()) <= 1


@given(st.text())
def test_lines_stay_lines(text: str) -> None:
    assert printable_lines(text).split("\n") == [printable(line) for line in text.split("\n")]
