"""What makes two dead letters of one cause, and what kind of cause it is."""

import pytest

from inbox.errors import EventError, FailureKind
from inbox.store.inbox.failures.causes import cause_id, cause_text, kind_of
from inbox.store.inbox.failures.error_texts import shown


@pytest.mark.parametrize(
    ("error", "text"),
    [
        ('duplicate key value violates unique constraint "a_17_key" (23505)',) * 2,
        ("doppelter Schlüssel verletzt Unique-Constraint »a_key« (23505)",) * 2,
        ('invalid text representation in column "c1" (22P02)',) * 2,
        ('invalid text in column "c1" (22P02); correct what the producer sends',) * 2,
        ("no stock of sku-17 for order 4711", "no stock of # for order #"),
        ("customer 6f9619ff-8b86-d011-b42d-00c04fc964ff is unknown", "customer # is unknown"),
        ("applied before, from orders[3]@1842, with another payload", "applied before, from #, with another payload"),
        ("can't find 'Ada' or \"Bob\", don't ask", "can't find ... or ..., don't ask"),
        ("ValueError in shop.stock.reserve, line 12\nKeyError", "ValueError in shop.stock.reserve, line # KeyError"),
        (
            'column "day" from /day: the number 19749 has no unit; set as = "epoch-days"',
            'column "day" from /day: the number # has no unit; set as = ...',
        ),
    ],
)
def test_ids_numbers_and_quoted_parts_leave_the_text_and_names_of_objects_stay(error: str, text: str) -> None:
    assert cause_text(error).text == text


def test_the_state_and_the_objects_are_found_in_the_text() -> None:
    found = cause_text('null value in column "sku" violates not-null constraint (23502)')
    assert (found.sqlstate, found.column, found.constraint) == ("23502", "sku", None)
    assert cause_text('violates check constraint "positive" (23514)').constraint == "positive"
    assert cause_text("no stock").sqlstate is None


def test_route_class_and_text_tell_causes_apart_and_numbers_do_not() -> None:
    ids = [
        cause_id(1, "EventError", "no stock of 17"),
        cause_id(2, "EventError", "no stock of 17"),
        cause_id(1, "OtherError", "no stock of 17"),
        cause_id(1, "EventError", "no room for 17"),
        cause_id(1, "EventError", 'violates "a" (23505)'),
        cause_id(1, "EventError", 'violates "b" (23505)'),
    ]
    assert len(set(ids)) == len(ids)
    assert cause_id(1, "EventError", "no stock of 18") == ids[0] == "c0846728"


def raised(source: str, module: str) -> BaseException:
    try:
        exec(source, {"__name__": module, "EventError": EventError})  # noqa: S102 - the module's name is what counts
    except BaseException as error:  # noqa: BLE001 - whatever it is
        return error
    raise AssertionError


OF_A_PROCESS = EventError("the process ended 5 times")
OF_A_PROCESS.failure_kind = FailureKind.PROCESS


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (raised("raise EventError('no stock')", "shop.stock"), FailureKind.HANDLER),
        (raised("1 / 0", "shop.stock"), FailureKind.HANDLER),
        (raised("raise EventError('not valid JSON')", "inbox.documents"), FailureKind.EVENT),
        (EventError("the record has no key"), FailureKind.EVENT),
        (EventError('column "day" from /day: the number 1 has no unit'), FailureKind.VALUE),
        (EventError("not null violation (23502)"), FailureKind.VALUE),
        (EventError("invalid text representation (22P02)"), FailureKind.VALUE),
        (EventError("no partition of relation (23514); add one"), FailureKind.CONSTRAINT),
        (EventError("unique violation (23505)"), FailureKind.CONSTRAINT),
        (EventError("raise exception (P0001)"), FailureKind.RAISED),
        (EventError("undefined column (42703)"), FailureKind.STATEMENT),
        (OF_A_PROCESS, FailureKind.PROCESS),
    ],
)
def test_the_kind_comes_from_the_code_or_from_who_raised_the_error(error: BaseException, kind: FailureKind) -> None:
    assert kind_of(error, shown(error)) is kind
