"""CloudEvents in Kafka records: two modes, told apart per record, and what is refused."""

import json
from typing import Any

import pytest

from inbox.errors import EventError
from inbox.events import Header
from inbox.reading.envelopes.cloudevents import cloud_event_of, is_tombstone

BINARY: list[Header] = [
    ("ce_specversion", b"1.0"),
    ("ce_id", b"7"),
    ("ce_source", b"/shop"),
    ("ce_type", b"OrderCreated"),
    ("ce_subject", "bücher".encode()),
    ("content-type", b"application/json; charset=utf-8"),
]
STRUCTURED: list[Header] = [("content-type", b"application/cloudevents+json; charset=UTF-8")]
WHOLE: dict[str, Any] = {"specversion": "1.0", "id": "7", "source": "/shop", "type": "OrderCreated"}


def structured(**members: Any) -> bytes:
    return json.dumps({**WHOLE, **members}).encode()


def test_in_binary_mode_the_headers_are_the_attributes_and_the_value_is_the_data() -> None:
    event = cloud_event_of(b'{"id":1}', BINARY)
    assert event.attributes == {
        **WHOLE, "subject": "bücher", "datacontenttype": "application/json; charset=utf-8",
    }  # fmt: skip
    assert (event.data, event.document, event.is_json) == (b'{"id":1}', None, True)


def test_in_structured_mode_the_value_holds_both() -> None:
    event = cloud_event_of(structured(data={"id": 1}, subject="s", sampled=True, level=3, note=None), STRUCTURED)
    assert event.attributes == {**WHOLE, "subject": "s", "sampled": "true", "level": "3"}
    assert event.data is None
    assert event.document is not None
    assert event.document["data"] == {"id": 1}


def test_data_in_base64_is_the_bytes_that_it_says() -> None:
    assert cloud_event_of(structured(data_base64="eyJpZCI6MX0="), STRUCTURED).data == b'{"id":1}'


@pytest.mark.parametrize(
    ("content_type", "is_json"),
    [
        (b"application/json", True),
        (b"application/vnd.shop+json", True),
        (b"text/plain", False),
        (b"avro/binary", False),
    ],
)
def test_the_content_type_says_whether_the_data_is_json(content_type: bytes, is_json: bool) -> None:
    assert cloud_event_of(b"x", [*BINARY[:5], ("content-type", content_type)]).is_json is is_json


def test_without_a_content_type_the_data_is_json() -> None:
    assert cloud_event_of(b"1", BINARY[:5]).is_json


@pytest.mark.parametrize(
    ("value", "headers", "text"),
    [
        (b"[]", [("content-type", b"application/cloudevents-batch+json")], "a batch of CloudEvents"),
        (b"{}", [], "not a CloudEvent: .* nor a content-type"),
        (b"{}", BINARY[1:], 'lacks the attribute "specversion"; expected 1.0'),
        (b"{}", [("ce_specversion", b"0.3"), *BINARY[1:]], 'another "specversion" than 1.0'),
        (b"{}", BINARY[:1], 'lacks the required attributes "id", "source", "type"'),
        (b"{}", [*BINARY, ("ce_id", b"")], 'lacks the required attribute "id"'),
        (b"{}", [*BINARY, ("ce_x", b"\xff")], "the header ce_x is not valid UTF-8"),
        (b"x", [("content-type", b"application/cloudevents+avro")], "structured mode that is not JSON"),
        (b"[1]", STRUCTURED, "whose value is not an object"),
        (b"{", STRUCTURED, "the value is not valid JSON"),
        (structured(id=None), STRUCTURED, 'lacks the required attribute "id"'),
        (structured(level=1.5), STRUCTURED, 'attribute "level" .* neither text'),
        (structured(data=1, data_base64="MQ=="), STRUCTURED, 'both "data" and "data_base64"'),
        (structured(data_base64="%"), STRUCTURED, '"data_base64" of the CloudEvent is not base64'),
        (structured(data_base64=7), STRUCTURED, '"data_base64" of the CloudEvent is not base64'),
    ],
)
def test_what_is_no_cloud_event_is_refused_with_what_was_expected(
    value: bytes, headers: list[Header], text: str
) -> None:
    with pytest.raises(EventError, match=text):
        cloud_event_of(value, headers)


def test_a_tombstone_has_no_attributes() -> None:
    assert is_tombstone(None, [("other", b"x")])
    assert not is_tombstone(None, BINARY)
    assert not is_tombstone(b"", [])


def test_a_value_that_is_a_cloud_event_needs_no_header() -> None:
    event = cloud_event_of(structured(data={"id": 1}), [("other", b"x")])
    assert event.attributes == WHOLE
    assert event.document is not None


@pytest.mark.parametrize("value", [b"{}", b"[]", b"x", b'{"id": "7", "source": "/shop"}'])
def test_another_value_without_headers_is_no_cloud_event(value: bytes) -> None:
    with pytest.raises(EventError, match="its value is no CloudEvent by itself"):
        cloud_event_of(value, [])
