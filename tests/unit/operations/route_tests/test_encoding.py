"""A test's event that cannot be written is named, with the reason."""

from typing import Any

import pytest

from inbox.errors import StartupError
from inbox.operations.route_tests.encoding import EventWriter, FileSchemas
from inbox.operations.route_tests.file import GivenEvent
from inbox.reading.formats.avro.reader import AvroFormat
from inbox.reading.formats.framing import VALUE_HEADER
from inbox.reading.options import Format, FormatOptions
from inbox.sink.routes import HandlerTarget, Route
from tests.support.schemas import avro, json_schema

V1 = avro({"type": "record", "name": "R", "fields": [{"name": "id", "type": "long"}]}, name="v1.avsc")
V2 = avro({"type": "record", "name": "R", "fields": [{"name": "uid", "type": "string"}]}, name="v2.avsc")
SCHEMAS = FileSchemas({"orders-value": V1, "orders-v2": V2, "other": json_schema({})})


def record(value: Any, form: Format = Format.AVRO, **more: Any) -> Any:
    route = Route(name="r", topics=("orders",), target=HandlerTarget(entry_point="h"), format=FormatOptions(value=form))
    return EventWriter(route, SCHEMAS).record("orders", 0, GivenEvent.model_validate({"value": value, **more}))


def test_an_event_may_name_another_subject_of_the_file() -> None:
    read = AvroFormat(SCHEMAS, header=VALUE_HEADER)
    old, new = record({"id": 2**60}), record({"uid": "a"}, schema="orders-v2")

    assert [read.decode(each.value(), ()).row for each in (old, new)] == [{"id": 2**60}, {"uid": "a"}]
    assert (old.value()[:5], new.value()[:5]) == (b"\0\0\0\0\1", b"\0\0\0\0\2")


@pytest.mark.parametrize(
    ("given", "form", "said"),
    [
        ({"value": {"id": "x"}}, Format.AVRO, "the value does not fit v1.avsc: /id: a whole number of 64 bits"),
        ({"value": {}, "schema": "orders"}, Format.AVRO, 'no schema is known for "orders"'),
        ({"value": {}, "schema": "orders-valu"}, Format.AVRO, "did you mean orders-value?"),
        ({"value": {}, "schema": "other"}, Format.AVRO, 'is of type JSON, and the format is "avro"'),
        ({"value": {}}, Format.PROTOBUF, 'v1.avsc is of type AVRO, and the format is "protobuf"'),
    ],
)
def test_an_event_that_its_schema_does_not_take_is_refused(given: dict[str, Any], form: Format, said: str) -> None:
    with pytest.raises(StartupError) as refused:
        record(form=form, **given)

    assert said in str(refused.value)
