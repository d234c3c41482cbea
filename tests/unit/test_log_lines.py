"""What a log line looks like, for programs and for people."""

import json
import re

import pytest

from inbox import log_lines
from inbox.log_lines import configure_logging, hide_in_every_line, log, log_with

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z")


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_lines, "_render", json.dumps)
    monkeypatch.setattr(log_lines, "_hide", lambda text: text)
    monkeypatch.setattr(log_lines, "_in_every_line", {})


def line(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the line that was logged, with a T for its time."""
    out, err = capsys.readouterr()
    assert out == ""
    text, count = TIME.subn("T", err)
    assert count == 1
    return text


def test_a_program_reads_one_json_object_a_line_with_the_fields_first(capsys: pytest.CaptureFixture[str]) -> None:
    log_with(worker=3)
    configure_logging(human=False)
    log().warning("outage", away="database", error='relation "ü"\n', after=2.5, of=["a", None], at=("b", 1))
    assert line(capsys) == (
        '{"away": "database", "error": "relation \\"\\u00fc\\"\\n", "after": 2.5, "of": ["a", null], "at": ["b", 1], '
        '"event": "outage", "level": "warning", "timestamp": "T", "worker": 3}\n'
    )


def test_people_read_the_time_the_level_the_name_and_the_sorted_fields(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(human=True)
    log().error("outage", b=1, away="x y", c=None, d=["a", "b"], e="", f='q"', g="a=b", h=2.5, k={"x": 1})
    assert line(capsys) == (
        "T [error    ] outage                         "
        "away='x y' b=1 c=None d=['a', 'b'] e= f='q\"' g='a=b' h=2.5 k={'x': 1}\n"
    )


def test_a_line_without_fields_ends_with_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(human=True)
    log().info("outage-over")
    assert line(capsys) == "T [info     ] outage-over\n"


def test_a_terminal_shows_colours(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    configure_logging(human=True)
    log().warning("outage", away="database", after=2)
    assert line(capsys) == (
        "\x1b[2mT\x1b[0m [\x1b[33m\x1b[1mwarning  \x1b[0m] \x1b[1moutage                        \x1b[0m "
        "\x1b[36mafter\x1b[0m=\x1b[35m2\x1b[0m \x1b[36maway\x1b[0m=\x1b[35mdatabase\x1b[0m\n"
    )


def test_no_text_from_outside_reaches_a_terminal_as_an_escape_sequence(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(human=True)
    log().info("told", error="\x1b[2Jred", errors=["\x1b[2Jred"])
    assert "\x1b" not in line(capsys)


def test_what_is_secret_is_hidden_in_the_name_and_in_each_field(capsys: pytest.CaptureFixture[str]) -> None:
    hide_in_every_line(lambda text: text.replace("s3cret", "***"))
    configure_logging(human=False)
    log().info("s3cret", error=ValueError("s3cret"), by={"a": {"s3cret"}})
    assert "s3cret" not in line(capsys)
