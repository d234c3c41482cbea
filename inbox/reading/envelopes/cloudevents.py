"""Read CloudEvents (1.0) from Kafka records: their attributes, and where their data is.

The Kafka protocol binding has two modes, and each record says which it is in. In binary mode the
attributes are headers (`ce_id`, `ce_source`, ...), the content type of the data is the header
`content-type`, and the value is the data. In structured mode that header begins with
`application/cloudevents`, and the value holds the attributes and the data. Debezium's
`CloudEventsConverter` writes structured mode without the header, so a record without any of these
headers is in structured mode if its value is an object with `specversion`.
"""

from base64 import b64decode
from binascii import Error as NoBase64
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from inbox.documents import as_name
from inbox.errors import EventError
from inbox.events import Header, decoded

_PREFIX = "ce_"
_REQUIRED = ("id", "source", "type")
_DATA = frozenset({"data", "data_base64"})
_STRUCTURED, _BATCHED = "application/cloudevents", "application/cloudevents-batch"
_NEITHER_MODE = (
    f"not a CloudEvent: the record has neither headers ce_... (binary mode) nor a content-type {_STRUCTURED}+json "
    "(structured mode), and its value is no CloudEvent by itself"
)


class CloudEvent(NamedTuple):
    """A CloudEvent.

    Attributes:
        attributes: the context attributes by name, as text.
        data: the data in bytes, as the producer encoded them; None if they are in `document`, or absent.
        document: the whole value of a record in structured mode; None in binary mode.
    """

    attributes: Mapping[str, str]
    data: bytes | None
    document: Mapping[str, Any] | None

    @property
    def is_json(self) -> bool:
        """Return whether the data is JSON, as its content type says; without one it is."""
        return _is_json(self.attributes.get("datacontenttype"))


def cloud_event_of(value: bytes | None, headers: Sequence[Header]) -> CloudEvent:
    """Return the CloudEvent of a record.

    Raises:
        EventError: the record holds no CloudEvent of version 1.0.
    """
    found = dict(headers)
    content_type = _text(found.get("content-type"), "content-type")
    media_type = (content_type or "").partition(";")[0].strip().lower()
    if media_type.startswith(_BATCHED):
        raise EventError(
            f"a batch of CloudEvents ({_BATCHED}+json) in one record, which the Kafka binding does not have; "
            "send each event in a record of its own"
        )
    if media_type.startswith(_STRUCTURED) or (content_type is None and not _has_attributes(headers) and value):
        event = _structured(value, media_type)
    else:
        event = _binary(value, found, content_type)
    _require_complete(event.attributes)
    return event


def is_tombstone(value: bytes | None, headers: Sequence[Header]) -> bool:
    """Return whether a record has neither data nor attributes in its headers."""
    return value is None and not _has_attributes(headers)


def _has_attributes(headers: Sequence[Header]) -> bool:
    return any(name.startswith(_PREFIX) for name, _ in headers)


def _binary(value: bytes | None, headers: Mapping[str, bytes | None], content_type: str | None) -> CloudEvent:
    attributes = {
        name[len(_PREFIX) :]: text
        for name, given in headers.items()
        if name.startswith(_PREFIX) and (text := _text(given, name)) is not None
    }
    if not attributes:
        raise EventError(_NEITHER_MODE)
    if content_type is not None:
        attributes["datacontenttype"] = content_type
    return CloudEvent(attributes, value, None)


def _structured(value: bytes | None, media_type: str) -> CloudEvent:
    if not media_type:
        document = _document(value)
        if not isinstance(document, dict) or "specversion" not in document:
            raise EventError(_NEITHER_MODE)
    if media_type not in ("", _STRUCTURED, _STRUCTURED + "+json"):
        raise EventError(
            f"a CloudEvent in structured mode that is not JSON; expected content-type {_STRUCTURED}+json, "
            "or binary mode"
        )
    document = decoded(value)
    if not isinstance(document, dict):
        raise EventError("a CloudEvent in structured mode whose value is not an object")
    if document.get("data") is not None and document.get("data_base64") is not None:
        raise EventError('the CloudEvent has both "data" and "data_base64"; expected one of them')
    attributes = {
        name: _attribute(name, given) for name, given in document.items() if name not in _DATA and given is not None
    }
    return CloudEvent(attributes, _bytes_of(document.get("data_base64")), document)


def _document(value: bytes | None) -> Any:
    try:
        return decoded(value)
    except EventError:
        return None


def _attribute(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and (text := as_name(value)) is not None:
        return text
    raise EventError(f'the attribute "{name}" of the CloudEvent is neither text, a whole number, true nor false')


def _bytes_of(text: Any) -> bytes | None:
    if text is None:
        return None
    try:
        return b64decode(text, validate=True)
    except (NoBase64, TypeError, ValueError):
        raise EventError('"data_base64" of the CloudEvent is not base64') from None


def _require_complete(attributes: Mapping[str, str]) -> None:
    version = attributes.get("specversion")
    if version is None:
        raise EventError('the CloudEvent lacks the attribute "specversion"; expected 1.0')
    if version != "1.0":
        raise EventError('the CloudEvent has another "specversion" than 1.0')
    missing = [name for name in _REQUIRED if not attributes.get(name)]
    if missing:
        names = ", ".join(f'"{name}"' for name in missing)
        raise EventError(f"the CloudEvent lacks the required {'attributes' if missing[1:] else 'attribute'} {names}")


def _is_json(content_type: str | None) -> bool:
    if content_type is None:
        return True
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type == "application/json" or media_type == "text/json" or media_type.endswith("+json")


def _text(value: bytes | None, name: str) -> str | None:
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise EventError(f"the header {name} is not valid UTF-8") from None
