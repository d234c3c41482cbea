"""The frame that is known from the record before decides as if it was read again."""

import random
from typing import Any
from uuid import UUID

from inbox.errors import EventError
from inbox.reading.formats.framed_rows import FramedRows
from inbox.reading.formats.framing import VALUE_HEADER, Frame, unframed

NUMBERED, GUID = b"\x00\x00\x00\x00\x07", UUID("89791762-2336-4186-9674-299b90a802e2")


def rows(*, with_path: bool = False) -> FramedRows:
    return FramedRows(VALUE_HEADER, lambda frame: lambda data: (frame.schema_id, frame.path, data), with_path=with_path)


def test_each_record_is_read_by_its_own_schema() -> None:
    framed = rows()
    for number in (7, 7, 8, 7, 8, 8):
        found = framed.decode(b"\x00\x00\x00\x00" + bytes([number]) + b"data", [])
        assert (found.row, found.schema_id, found.behind_id) == ((number, (), b"data"), number, b"data")


def test_a_header_with_an_id_counts_whatever_came_before() -> None:
    framed = rows()
    framed.decode(NUMBERED + b"data", [])
    found = framed.decode(NUMBERED + b"data", [(VALUE_HEADER, b"\x01" + GUID.bytes)])
    assert (found.row, found.schema_id) == ((GUID, (), NUMBERED + b"data"), GUID)
    assert framed.decode(NUMBERED + b"data", [("other", b"x")]).schema_id == 7


def _said(read: Any) -> Any:
    try:
        return read()
    except EventError as error:
        return str(error)


def test_frames_in_any_order_are_read_as_one_by_one() -> None:
    chance, framed = random.Random(3), rows(with_path=True)
    starts = [NUMBERED, b"\x00\x00\x00\x01\x07", b"\x01" + GUID.bytes, b"\x00\x00", b"\x02", b"", b"\x00"]
    for _ in range(5000):
        data = chance.choice(starts) + bytes(chance.choices((0, 1, 2, 4, 128, 255), k=chance.randrange(6)))
        headers = [(VALUE_HEADER, chance.choice((None, NUMBERED + b"\x00")))] if chance.random() < 0.1 else []

        def alone(data: bytes = data, headers: Any = headers) -> Any:
            frame: Frame = unframed(data, headers, VALUE_HEADER, with_path=True)
            return frame.schema_id, frame.path, frame.data

        assert _said(lambda: framed.decode(data, headers).row) == _said(alone)  # noqa: B023 - called at once
