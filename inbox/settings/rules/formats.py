"""The rules on formats: what goes with which format, and what `[registry]` takes."""

from urllib.parse import urlsplit

from inbox.kafka.registry.options import KNOWN, NUMBERS
from inbox.kafka.secret_names import LOGIN_IN_URL, is_secret
from inbox.reading.options import Envelope, Format, KeyFormat
from inbox.settings.document import RouteSection
from inbox.settings.problems import Path, hint, quote
from inbox.settings.validation import Review
from inbox.store.options import UnknownMembers

_WITH_FILES = frozenset({Format.AVRO, Format.PROTOBUF, Format.JSON_SCHEMA})
_KEYS_OF_REGISTRY = frozenset({KeyFormat.AVRO, KeyFormat.PROTOBUF})
_SCHEMES = ("http://", "https://")


def review_registry(review: Review) -> None:
    """Note what is wrong with `[registry]`."""
    registry = review.document.registry
    for name, value in registry.items():
        path = ("registry", name)
        if name not in KNOWN:
            review.blame(path, f"the registry's client has no such property{hint(name, KNOWN)}")
        elif not is_secret(name) and LOGIN_IN_URL.search(value):
            review.blame(path, 'holds a password; give a URL without one, and set "basic.auth.user.info"')
        elif name == "url" and any(map(_says_more_than_an_address, value.split(","))):
            review.blame(
                path,
                "holds a user name or a query, which may be a secret; give the address alone, and set "
                '"basic.auth.user.info" or "bearer.auth.token"',
            )
        elif name in NUMBERS and not _is_number(value):
            review.blame(path, f"expected a number, not {quote(value)}")
        elif name == "url" and not value.startswith(_SCHEMES):
            review.blame(path, f"expected http://... or https://..., not {quote(value)}")
    if registry and "url" not in registry and not review.is_broken(("registry", "url")):
        review.blame(("registry", "url"), "missing, while [registry] is there")


def _says_more_than_an_address(url: str) -> bool:
    parts = urlsplit(url)
    return "@" in parts.netloc or bool(parts.query or parts.fragment)


def review_format(review: Review, path: Path, route: RouteSection) -> None:
    """Note what does not go with the format of a route."""
    if review.is_broken((*path, "format")):
        return
    if route.message is not None and route.format is not Format.PROTOBUF:
        review.blame((*path, "message"), f'names a Protobuf message, and format is "{route.format}"; leave it out')
    if route.validate_ is not None and route.format is not Format.JSON_SCHEMA:
        review.blame((*path, "validate"), f'is for format "json-schema", and format is "{route.format}"; leave it out')
    if route.schema_file is not None and route.format not in _WITH_FILES:
        review.blame(
            (*path, "schema_file"),
            f'is for the formats avro, protobuf and json-schema, and format is "{route.format}"; leave it out',
        )
    _review_need_of_registry(review, path, route)
    if route.format is Format.RAW:
        _review_raw(review, path, route)
    _review_documents(review, path, route)
    if route.format is Format.RAW and route.envelope is not Envelope.NONE:
        review.blame((*path, "envelope"), f'"{route.envelope}" is not read from format "{route.format}"')


def _review_need_of_registry(review: Review, path: Path, route: RouteSection) -> None:
    has_registry = bool(review.document.registry) or review.is_broken(("registry",))
    in_records = route.format in _WITH_FILES and route.schema_file is None
    if route.format is Format.JSON_SCHEMA and not route.validate_:
        in_records = False
    if in_records and not has_registry:
        review.blame((*path, "format"), f'"{route.format}" needs a schema; set [registry] url, or schema_file here')
    if route.key_format in _KEYS_OF_REGISTRY and not has_registry:
        review.blame((*path, "key_format"), f'"{route.key_format}" needs a schema; set [registry] url')


def _review_documents(review: Review, path: Path, route: RouteSection) -> None:
    """Note columns that look into a document which this version decodes only as JSON: they would all be NULL."""
    keys_decoded = route.key_format not in (KeyFormat.TEXT, KeyFormat.JSON, KeyFormat.RAW)
    for name, column in ((route.table.columns if route.table else None) or {}).items():
        source = column.from_ or ""
        where = (*path, "table", "columns", name)
        if source.startswith("$key:") and keys_decoded:
            review.blame(where, f'{quote(source)} is read from a key in JSON, and key_format is "{route.key_format}"')
        elif source.startswith(("$before:", "$source:")) and route.format.has_decoded_rows:
            review.blame(where, f'{quote(source)} is read from format "json", and format is "{route.format}"')


def _review_raw(review: Review, path: Path, route: RouteSection) -> None:
    for key, rule in {"event_id": route.event_id, "event_type": route.event_type}.items():
        if rule is not None and rule.startswith("value:"):
            review.blame((*path, key), f'{quote(rule)} looks into the value, which format "raw" leaves undecoded')
    if route.table is not None and route.table.columns_by_name:
        review.blame(
            (*path, "table", "columns_by_name"),
            'reads members of the value, which format "raw" leaves undecoded; list the columns',
        )
    if route.table is not None and route.table.unknown_members is not UnknownMembers.IGNORE:
        review.blame(
            (*path, "table", "unknown_members"),
            'looks at members of the value, which format "raw" leaves undecoded; leave it out',
        )
    columns = (route.table.columns if route.table else None) or {}
    for name, column in columns.items():
        if column.from_ is not None and column.from_.startswith("/"):
            review.blame(
                (*path, "table", "columns", name),
                f'{quote(column.from_)} looks into the value, which format "raw" leaves undecoded; '
                '"$value" is all of it',
            )


def _is_number(value: str) -> bool:
    try:
        return float(value) >= 0
    except ValueError:
        return False
