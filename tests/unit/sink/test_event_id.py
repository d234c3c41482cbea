"""From a record to the identity of its event."""

from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inbox.documents import pointer_steps
from inbox.errors import EventError
from inbox.events import Header
from inbox.sink.event_id import (
    as_id,
    identifier,
    look_up,
    namespace_of,
    needs_document,
    type_reader,
    uuid5_bytes,
)
from tests.support.records import record

TOPIC_ID = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
namespaces = st.uuids()
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


def expected_id(source: str, text: str) -> UUID:
    """The contract's rule, with the standard library's words."""
    return uuid5(uuid5(NAMESPACE_URL, "kafka-inbox:" + source), text)


def identified(
    rule: str, *headers: Header, key: bytes | None = None, value: bytes | None = b"{}", document: Any = None
) -> UUID:
    identify = identifier(rule, "orders", None)
    return UUID(bytes=identify(record(5, key=key, value=value, headers=headers), list(headers), document))


def refused(rule: str, *headers: Header, key: bytes | None = None, document: Any = None) -> str:
    with pytest.raises(EventError) as error:
        identified(rule, *headers, key=key, document=document)
    return str(error.value)


@given(namespaces, texts)
def test_a_uuid5_is_the_standard_librarys(namespace: UUID, text: str) -> None:
    assert UUID(bytes=uuid5_bytes(namespace.bytes, text)) == uuid5(namespace, text)


@given(source=texts)
def test_a_namespace_is_the_contracts(source: str) -> None:
    assert UUID(bytes=namespace_of(source)) == uuid5(NAMESPACE_URL, "kafka-inbox:" + source)


@given(st.uuids(), namespaces, st.lists(st.booleans(), min_size=36, max_size=36))
def test_a_uuid_is_kept_whatever_the_case_of_its_letters(event_id: UUID, namespace: UUID, upper: list[bool]) -> None:
    text = "".join(letter.upper() if up else letter for letter, up in zip(str(event_id), upper, strict=True))
    assert as_id(text, namespace.bytes) == event_id.bytes


@given(
    namespaces,
    texts.filter(lambda text: len(text) != 36)
    | st.uuids().map(lambda event_id: event_id.hex)
    | st.uuids().map(lambda event_id: f"{{{event_id}}}")
    | st.uuids().map(lambda event_id: event_id.urn)
    | st.uuids().map(lambda event_id: "g" + str(event_id)[1:])
    | st.uuids().map(lambda event_id: str(event_id)[:-1] + " ")
    | st.uuids().map(lambda event_id: "  " + str(event_id)[2:])
    | st.uuids().map(lambda event_id: str(event_id).replace("-", "_"))
    | st.uuids().map(lambda event_id: "-" + str(event_id)[1:])
    | st.uuids().map(lambda event_id: "\N{FULLWIDTH DIGIT ONE}" + str(event_id)[1:]),
)
def test_any_other_text_becomes_its_uuid5(namespace: UUID, text: str) -> None:
    assert UUID(bytes=as_id(text, namespace.bytes)) == uuid5(namespace, text)


def test_an_empty_id_is_refused() -> None:
    with pytest.raises(EventError, match="the event id is empty"):
        as_id("", bytes(16))


# A header.


def test_the_id_is_the_named_headers() -> None:
    assert identified("header:x-id", ("x-id", b"A-1")) == expected_id("orders", "A-1")


def test_of_two_headers_of_the_name_the_last_counts() -> None:
    assert identified("header:x-id", ("x-id", b"A-1"), ("x-id", b"A-2")) == expected_id("orders", "A-2")


@pytest.mark.parametrize("headers", [[], [("X-Id", b"A-1")], [("x-id", None)]])
def test_a_record_without_the_header_has_no_id(headers: list[Header]) -> None:
    assert refused("header:x-id", *headers) == "no event id: the record has no header x-id"


def test_a_header_that_is_not_utf8_is_no_id() -> None:
    assert refused("header:x-id", ("x-id", b"\xff\xfe")) == "header x-id is not valid UTF-8"


def test_an_empty_header_is_no_id() -> None:
    assert refused("header:x-id", ("x-id", b"")) == "the event id is empty"


# auto.


KNOWN: list[Header] = [("event_id", b"E"), ("ce_id", b"C"), ("ce_source", b"/shop"), ("id", b"I")]


@given(st.permutations(KNOWN))
def test_auto_prefers_event_id_wherever_it_stands(headers: list[Header]) -> None:
    assert identified("auto", *headers) == expected_id("orders", "E")


@given(st.permutations(KNOWN[1:]))
def test_auto_takes_a_cloudevents_id_with_its_source(headers: list[Header]) -> None:
    assert identified("auto", *headers) == expected_id("/shop", "C")


@pytest.mark.parametrize("source", [[], [("ce_source", None)], [("ce_source", b"")]])
def test_a_cloudevents_id_without_a_source_is_of_its_topic(source: list[Header]) -> None:
    assert identified("auto", ("ce_id", b"C"), *source) == expected_id("orders", "C")


def test_auto_takes_the_header_id_last() -> None:
    assert identified("auto", ("ce_source", b"/shop"), ("id", b"I")) == expected_id("orders", "I")


def test_a_uuid_in_a_cloudevents_id_is_kept_whatever_its_source() -> None:
    assert identified("auto", ("ce_id", str(TOPIC_ID).encode()), ("ce_source", b"/shop")) == TOPIC_ID


def test_auto_without_a_known_header_is_refused() -> None:
    text = "no event id: the record has none of the headers event_id, ce_id, id"
    assert refused("auto", ("Event_Id", b"1")) == text
    assert refused("auto") == text


@pytest.mark.parametrize("name", ["event_id", "ce_id", "id"])
def test_auto_does_not_guess_past_a_header_that_holds_no_id(name: str) -> None:
    assert refused("auto", (name, b""), ("id", b"I" if name != "id" else b"")) == "the event id is empty"
    assert refused("auto", ("id", b"I"), (name, b"\xff")) == f"header {name} is not valid UTF-8"


def test_a_cloudevents_source_that_is_not_utf8_makes_no_id() -> None:
    assert refused("auto", ("ce_id", b"C"), ("ce_source", b"\xff")) == "header ce_source is not valid UTF-8"


# The key.


def test_the_id_may_be_the_key() -> None:
    assert identified("key", key=b"order-1") == expected_id("orders", "order-1")
    assert identified("key", key=str(TOPIC_ID).upper().encode()) == TOPIC_ID


def test_a_record_without_a_key_has_no_id_by_key() -> None:
    assert refused("key") == "no event id: the record has no key"
    assert refused("key", key=b"") == "the event id is empty"
    assert refused("key", key=b"\xff") == "the record key is not valid UTF-8"


# The value.


def test_the_id_may_be_in_the_value() -> None:
    assert identified("value:/meta/id", document={"meta": {"id": "A-1"}}) == expected_id("orders", "A-1")


def test_a_whole_number_in_the_value_is_the_id_that_its_digits_are() -> None:
    assert identified("value:/id", document={"id": 42}) == expected_id("orders", "42")
    assert identified("value:/id", document={"id": 2**64}) == expected_id("orders", "18446744073709551616")
    many = identified("value:/id", document={"id": 10**4299})
    assert many == expected_id("orders", "1" + "0" * 4299)


def test_a_whole_number_whose_digits_take_long_to_write_is_no_id() -> None:
    assert refused("value:/id", document={"id": 10**4300}) == (
        "no event id: the whole number at /id has more than 4300 digits"
    )


@pytest.mark.parametrize("found", [None, 1.5, True, [], {}, ["A"]])
def test_what_is_neither_text_nor_whole_number_is_no_id(found: Any) -> None:
    expected = "no event id: the value has no text or whole number at /id"
    assert refused("value:/id", document={"id": found}) == expected
    assert refused("value:/id", document={}) == expected
    assert refused("value:/id", document=found) == expected


def test_a_tombstone_takes_its_coordinates_where_the_id_is_in_the_value() -> None:
    assert identified("value:/id", value=None) == expected_id("orders", "orders[0]@5")


# Coordinates.


def test_coordinates_are_those_of_the_record() -> None:
    assert identified("coordinates") == expected_id("orders", "orders[0]@5")


def test_a_topic_made_anew_does_not_repeat_its_ids() -> None:
    identify = identifier("coordinates", "orders", TOPIC_ID)
    assert UUID(bytes=identify(record(5), [], None)) == expected_id("orders", f"{TOPIC_ID}:orders[0]@5")


# JSON pointers.


@pytest.mark.parametrize(
    ("pointer", "found"),
    [
        ("/foo", ["bar", "baz"]),
        ("/foo/0", "bar"),
        ("/", 0),
        ("/a~1b", 1),
        ("/c%d", 2),
        ("/e^f", 3),
        ("/g|h", 4),
        ("/i\\j", 5),
        ('/k"l', 6),
        ("/ ", 7),
        ("/m~0n", 8),
    ],
)
def test_a_pointer_finds_what_rfc_6901_says(pointer: str, found: Any) -> None:
    """Section 5 of the RFC."""
    document = {
        "foo": ["bar", "baz"],
        "": 0,
        "a/b": 1,
        "c%d": 2,
        "e^f": 3,
        "g|h": 4,
        "i\\j": 5,
        'k"l': 6,
        " ": 7,
        "m~n": 8,
    }
    assert look_up(document, pointer_steps(pointer)) == found


@pytest.mark.parametrize(
    "pointer", ["/none", "/foo/2", "/foo/-", "/foo/-1", "/foo/x", "/foo/0/0", "/foo/1.0", "/foo/\u0661", "/foo/"]
)
def test_a_pointer_into_nowhere_finds_nothing(pointer: str) -> None:
    assert look_up({"foo": ["bar", "baz"]}, pointer_steps(pointer)) is None


def test_an_index_with_a_leading_zero_finds_nothing() -> None:
    """RFC 6901, section 4: `array-index = %x30 / ( %x31-39 *(%x30-39) )`."""
    assert look_up(["a", "b"], pointer_steps("/01")) is None
    assert look_up(["a", "b"], pointer_steps("/00")) is None


def test_an_escaped_tilde_is_not_unescaped_twice() -> None:
    assert pointer_steps("/~01") == ("~1",)


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "a/b", "~", "0", ""]), inner)
    ),
    max_leaves=8,
)


def pointers_into(document: Any) -> list[tuple[str, Any]]:
    """Every pointer of a document with what is there, by walking it."""
    found: list[tuple[str, Any]] = [("", document)]
    children = document.items() if isinstance(document, dict) else []
    if isinstance(document, list):
        children = [(str(index), each) for index, each in enumerate(document)]
    for name, child in children:
        step = "/" + name.replace("~", "~0").replace("/", "~1")
        found += [(step + rest, value) for rest, value in pointers_into(child)]
    return found


@given(documents)
def test_every_part_of_a_document_has_a_pointer_that_finds_it(document: Any) -> None:
    for pointer, value in pointers_into(document):
        assert look_up(document, pointer_steps(pointer)) == value


# The type.


def test_the_type_is_read_from_a_header_or_the_value() -> None:
    assert type_reader("header:type")([("type", b"A"), ("type", b"B")], None) == "B"
    assert type_reader("value:/type")([], {"type": "A"}) == "A"
    assert type_reader(None)([("type", b"A")], {"type": "A"}) is None


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (7, "7"),
        (2**64, "18446744073709551616"),
        (True, "true"),
        (False, "false"),
        (1.5, None),
        ({"a": 1}, None),
        ([], None),
    ],
)
def test_a_type_in_the_value_is_what_json_says(found: Any, expected: str | None) -> None:
    assert type_reader("value:/type")([], {"type": found}) == expected


def test_an_event_may_have_no_type() -> None:
    assert type_reader("header:type")([], None) is None
    assert type_reader("value:/type")([], None) is None


def test_a_type_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(EventError, match="header type is not valid UTF-8"):
        type_reader("header:type")([("type", b"\xff")], None)


@pytest.mark.parametrize(
    ("rule", "needed"),
    [
        ("value:/id", True),
        ("header:value:", False),
        ("auto", False),
        ("key", False),
        ("coordinates", False),
        (None, False),
    ],
)
def test_only_what_is_in_the_value_needs_the_value_decoded(rule: str | None, needed: bool) -> None:
    assert needs_document(rule) is needed
