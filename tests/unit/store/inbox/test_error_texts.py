"""What is shown of an error, and what is kept with the payload."""

import json

import pytest
from sqlalchemy.exc import StatementError

from inbox.errors import EventError
from inbox.handling.shapes import UnfinishedHandlerError
from inbox.store.inbox.failures.error_texts import kept, parted, shown

SECRET = "geheim"


class OwnError(EventError):
    """A handler's own."""


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001 - whatever it is
        return caught


def noted(error: BaseException) -> BaseException:
    error.add_note(f"of {SECRET}")
    return error


def chained(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError(SECRET), "ValueError"),
        (KeyError(SECRET), "KeyError"),
        (noted(EventError("no stock")), "no stock"),
        (chained(EventError("no stock"), KeyError(SECRET)), "no stock\nKeyError"),
        (
            chained(OwnError("no stock"), chained(KeyError(SECRET), ValueError(SECRET))),
            "no stock\nKeyError\nValueError",
        ),
        (StatementError(SECRET, "SELECT 1", {"note": SECRET}, ValueError(SECRET)), "StatementError"),
        (UnfinishedHandlerError("it did not run"), "it did not run"),
        (SystemExit(SECRET), "SystemExit"),
    ],
)
def test_what_a_handler_raises_is_shown_by_its_class_unless_it_is_written_for_people(
    error: BaseException, text: str
) -> None:
    assert shown(error) == text
    assert SECRET not in shown(error)


@pytest.mark.parametrize(
    "error",
    [
        ValueError(SECRET),
        noted(EventError("no stock")),
        chained(EventError("no stock"), KeyError(SECRET)),
        StatementError(SECRET, "SELECT 1", {"note": SECRET}, ValueError(SECRET)),
    ],
)
def test_what_is_not_shown_is_kept(error: BaseException) -> None:
    assert SECRET in str(kept(error))


def test_an_error_that_says_all_keeps_nothing_beside() -> None:
    assert kept(EventError("no stock")) is None


def test_the_line_that_raised_is_shown() -> None:
    assert (
        shown(raised(ValueError(SECRET)))
        == f"ValueError in {__name__}.raised, line {raised.__code__.co_firstlineno + 2}"
    )


def test_an_error_raised_in_a_library_is_shown_by_the_line_that_called_it() -> None:
    def read() -> None:
        json.loads(SECRET)

    with pytest.raises(ValueError, match="Expecting") as caught:
        read()
    line = read.__code__.co_firstlineno + 1
    assert shown(caught.value) == f"JSONDecodeError in {__name__}.{read.__qualname__}, line {line}"


@pytest.mark.parametrize(
    ("text", "said", "rest"),
    [
        ("no stock\nKeyError: 'sku'", "no stock\nKeyError: 'sku'", None),
        ("no (23502)\nNotNullViolation: no\nDETAIL:  (a)", "no (23502)\nNotNullViolation: no", "DETAIL:  (a)"),
        ("CheckViolation\nCONTEXT:  a", "CheckViolation", "CONTEXT:  a"),
        ("no\n[SQL: INSERT]\n[parameters: ('a',)]", "no", "[SQL: INSERT]\n[parameters: ('a',)]"),
        ("DETAIL:  a", "...", "DETAIL:  a"),
    ],
)
def test_what_an_earlier_version_wrote_is_shown_up_to_where_its_payload_begins(
    text: str, said: str, rest: str | None
) -> None:
    shown_, hidden = parted(text)
    assert hidden == rest
    assert shown_ == said
