"""Ask a registry, and say what each answer means: a schema, an id that it does not know, or an outage.

Only answers are judged here, on whatever thread asks. confluent-kafka's client is imported when a
registry is first used: only routes with one need its packages.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple
from uuid import UUID

from inbox.errors import StartupError, TryAgainError
from inbox.kafka.registry.options import RegistryOptions
from inbox.reading.schemas import (
    DEEPEST,
    LARGEST_SCHEMA,
    MOST_REFERENCES,
    Reference,
    SchemaError,
    SchemaId,
    SchemaKind,
    WrittenSchema,
)

UNREACHABLE = "unreachable"
"""The reason of an outage in which no answer came."""

_LARGEST_ANSWER = 4 * LARGEST_SCHEMA
_LONGEST_ANSWER_SECONDS = 20.0
_UNKNOWN = frozenset({40401, 40402, 40403})
"""The registry's own codes for an unknown subject, version or schema."""

_SPEAKS_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"})
"""OpenSSL's reasons for an answer that is not TLS, in several versions."""

_FORMATS = {SchemaKind.AVRO: "avro", SchemaKind.PROTOBUF: "protobuf", SchemaKind.JSON: "json-schema"}
_PROPERTIES = "check [registry] basic.auth.*, bearer.auth.* and ssl.*"


class UnknownSchemaError(Exception):
    """The registry answered that it does not know the id."""


class NewestSchema(NamedTuple):
    """A schema of a subject: the newest, or that of a file; `version` is 0 where the registry does not say it."""

    schema: WrittenSchema
    version: int
    schema_id: int


class RegistryAnswers:
    """A registry as its client sees it.

    Attributes:
        name: what errors call it.
    """

    def __init__(self, options: RegistryOptions) -> None:
        self.name = f"the schema registry at {options.url}"
        self._client = _client(options)

    def schema(self, schema_id: SchemaId, kind: SchemaKind) -> WrittenSchema:
        """Fetch a schema with everything that it refers to.

        Raises:
            UnknownSchemaError: the registry does not know the id.
            TryAgainError: an outage.
            SchemaError: the schema is of another kind, or too large.
        """
        found = self._in_its_form(kind, lambda form: self._fetched(schema_id, form))
        return self._written(found, kind, f"schema {schema_id}")

    def newest(self, subject: str, kind: SchemaKind) -> NewestSchema:
        """Fetch the newest schema of a subject; raise as `schema` does."""
        found = self._in_its_form(kind, lambda form: self._client.get_latest_version(subject, fmt=form))
        written = self._written(found.schema, kind, f"{subject} version {found.version}")
        return NewestSchema(written, found.version, found.schema_id)

    def registered(self, subject: str, schema: WrittenSchema) -> NewestSchema:
        """Register a schema under a subject, which changes nothing if it is there; raise as `schema` does."""
        given = _as_given(schema)
        schema_id = self._ask(lambda: self._client.register_schema(subject, given))
        return NewestSchema(schema, 0, schema_id)

    def looked_up(self, subject: str, schema: WrittenSchema) -> NewestSchema:
        """Find a schema that is registered under a subject; raise as `schema` does."""
        given = _as_given(schema)
        found = self._ask(lambda: self._client.lookup_schema(subject, given))
        return NewestSchema(schema, found.version, found.schema_id)

    def probe(self) -> None:
        """Raise TryAgainError if nothing answers as a registry does; `alert` is set if waiting does not help."""
        try:
            self._ask(lambda: self._client.get_schema_types())
        except UnknownSchemaError:
            raise self._outage("answers that it has no such path", "path", "check the path of [registry] url") from None

    def _fetched(self, schema_id: SchemaId, form: str | None) -> Any:
        if isinstance(schema_id, UUID):
            return self._client.get_schema_by_guid(str(schema_id), fmt=form)
        return self._client.get_schema(schema_id, fmt=form)

    def _in_its_form(self, kind: SchemaKind, fetch: Callable[[str | None], Any]) -> Any:
        """Return the answer, for Protobuf with descriptors.

        Apicurio returns a schema as it was registered, and fails to convert one that was registered as
        descriptors. Confluent's registry returns the text of the .proto file unless descriptors are asked for.
        """
        found = self._ask(lambda: fetch(None))
        schema = getattr(found, "schema", found)
        if kind is not SchemaKind.PROTOBUF or _kind_of(schema) != kind or _is_base64(schema):
            return found
        try:
            return self._ask(lambda: fetch("serialized"))
        except TryAgainError as error:
            if error.reason != "server":
                raise
            raise self._outage(
                "has the text of a Protobuf schema, and fails to make descriptors of it (format=serialized)",
                "server",
                "see its log, or register the schema as descriptors, as confluent-kafka's serializer does",
            ) from None

    def _written(self, schema: Any, kind: SchemaKind, name: str) -> WrittenSchema:
        """Return the answer as a schema of the kind that the route expects."""
        is_kind = _kind_of(schema)
        if is_kind != kind:
            known = next((f'; set format = "{_FORMATS[each]}"' for each in SchemaKind if each == is_kind), "")
            raise SchemaError(f'{name} is of type {is_kind[:20]}, and the route has format = "{_FORMATS[kind]}"{known}')
        if not isinstance(schema.schema_str, str):
            raise self._outage("answers without a schema", "garbage", "check what answers there")
        references = _References(self, kind, name)
        references.follow(schema, 0, len(schema.schema_str))
        return WrittenSchema(kind, schema.schema_str, tuple(references.found.values()), name)

    def referred(self, subject: str, version: int, kind: SchemaKind) -> Any:
        """Fetch a schema to which another one refers; it may be deleted in the registry's soft way."""
        found = self._in_its_form(kind, lambda form: self._client.get_version(subject, version, deleted=True, fmt=form))
        return found.schema

    def _ask(self, question: Any) -> Any:
        """Return the answer to a request, or raise what the failure means."""
        from confluent_kafka.schema_registry.error import OAuthTokenError, SchemaRegistryError

        self._client.clear_caches()  # it keeps every schema; the caller has a bounded cache
        try:
            return question()
        except SchemaRegistryError as error:
            raise self._refused(error.http_status_code, error.error_code) from None
        except OAuthTokenError:
            raise self._outage("cannot be asked: no OAuth token could be obtained", "login", _PROPERTIES) from None
        except _AnswerTooSlowError:
            raise TryAgainError(
                f"{self.name} sends an answer for longer than {_LONGEST_ANSWER_SECONDS:.0f} s",
                away="registry",
                reason="slow",
            ) from None
        except _AnswerTooLargeError:
            raise SchemaError(f"{self.name} answered with more than {_LARGEST_ANSWER} bytes") from None
        except Exception as error:  # noqa: BLE001 - the client documents none: an answer that it cannot read
            raise self._failed(error) from None

    def _refused(self, status: int, code: Any) -> UnknownSchemaError | TryAgainError:
        if status == 404 and code in _UNKNOWN:
            return UnknownSchemaError()
        if status == 401:
            return self._outage("refuses the login (401)", "login", _PROPERTIES)
        if status == 403:
            return self._outage("refuses access (403)", "right", "grant this login READ on its subjects")
        if status == 404:
            return self._outage(
                "answers 404 in a way that no registry does", "path", "check the path of [registry] url"
            )
        if status in (409, 422):
            says = "is not compatible with those before" if status == 409 else "is not valid"
            return self._outage(
                f"refuses a schema because it {says} ({status})", "refused", "fix the schema, or see its log"
            )
        if 300 <= status < 400:
            return self._outage(
                f"sends requests to another address ({status})", "path", "set [registry] url to that of the registry"
            )
        if status in (408, 429) or status >= 500:
            return TryAgainError(f"{self.name} answers {status}", away="registry", reason="server")
        return self._outage(f"answers {status}", "refused", "see its log")

    def _failed(self, error: Exception) -> TryAgainError:
        """Return the meaning of an error that is not an answer of a registry."""
        kind = type(error).__name__
        if _is_transport(error):
            if _SPEAKS_NO_TLS & set(str(error).split("]", 1)[0].split()):
                return self._outage("does not speak TLS", "tls", "set [registry] url to http://..., or another port")
            if "CERTIFICATE" in str(error) or "SSL" in str(error):
                return self._outage("has a certificate that is not trusted", "tls", "check [registry] ssl.ca.location")
            return TryAgainError(f"{self.name} does not answer ({kind})", away="registry", reason=UNREACHABLE)
        return self._outage(f"sends an answer that is not a registry's ({kind})", "garbage", "check what answers there")

    def _outage(self, says: str, reason: str, remedy: str) -> TryAgainError:
        """Return an outage that needs an operator."""
        return TryAgainError(f"{self.name} {says}; {remedy}", away="registry", reason=reason, alert=True)


class _References:
    """The schemas that a schema refers to, each after those that it needs itself."""

    def __init__(self, registry: RegistryAnswers, kind: SchemaKind, name: str) -> None:
        self._registry = registry
        self._kind = kind
        self._name = name
        self._begun: set[tuple[str, int]] = set()
        self.found: dict[str, Reference] = {}
        self._size = 0

    def follow(self, schema: Any, depth: int, size: int) -> None:
        """Add what the schema refers to. Raises SchemaError beyond the bounds."""
        self._size += size
        if depth > DEEPEST or len(self._begun) > MOST_REFERENCES or self._size > LARGEST_SCHEMA:
            raise SchemaError(
                f"{self._name} refers to more than is read: {MOST_REFERENCES} schemas, {LARGEST_SCHEMA} characters"
            )
        for reference in schema.references or ():
            at = reference.subject, reference.version
            if not isinstance(reference.name, str) or at in self._begun:
                continue
            self._begun.add(at)
            try:
                other = self._registry.referred(*at, self._kind)
            except UnknownSchemaError:
                raise SchemaError(
                    f"{self._name} refers to {at[0]} version {at[1]}, which the registry does not have; register it"
                ) from None
            if not isinstance(other.schema_str, str):
                raise SchemaError(f"{self._name} refers to a schema that has no text")
            self.follow(other, depth + 1, len(other.schema_str))
            self.found[reference.name] = Reference(reference.name, other.schema_str)


class _AnswerTooSlowError(Exception):
    """The registry sends a part now and then, so that no time-out ends the wait."""


class _AnswerTooLargeError(Exception):
    """The registry sends more than any schema has."""


def _as_given(schema: WrittenSchema) -> Any:
    """Return a schema of a file as the client takes it."""
    from confluent_kafka.schema_registry import Schema

    return Schema(schema.text, schema.kind.value)


def _kind_of(schema: Any) -> str:
    """Return the language of a schema, which registries leave out for Avro."""
    return (getattr(schema, "schema_type", None) or SchemaKind.AVRO.value).upper()


def _is_base64(schema: Any) -> bool:
    """Return whether the text of a schema may be serialized descriptors; a .proto file has a space in it."""
    text = getattr(schema, "schema_str", None)
    return isinstance(text, str) and bool(text) and text.isascii() and not set(" ;\n{") & set(text)


def _client(options: RegistryOptions) -> Any:
    try:
        from confluent_kafka.schema_registry import SchemaRegistryClient
    except ImportError as error:
        raise StartupError(
            f'a schema registry needs {error.name}; pip install "kafka-inbox[avro]" (or [protobuf], [json-schema])'
        ) from None
    try:
        client = SchemaRegistryClient.new_client(options.for_client())
    except (TypeError, ValueError, OSError) as error:
        raise StartupError(f"[registry] {error}; correct it") from None
    with_session = getattr(client, "_rest_client", None)
    if (session := getattr(with_session, "session", None)) is not None:
        session.headers |= {"Accept-Encoding": "identity", "Connection": "close"}
        session.event_hooks = {"response": [_read_bounded]}
    return client


def _read_bounded(response: Any) -> None:
    """Read an answer up to the bound. No compressed answer is asked for, since one could grow without end."""
    size, parts, deadline = 0, [], time.monotonic() + _LONGEST_ANSWER_SECONDS
    for part in response.iter_bytes():
        if time.monotonic() > deadline:
            raise _AnswerTooSlowError
        size += len(part)
        if size > _LARGEST_ANSWER:
            raise _AnswerTooLargeError
        parts.append(part)
    response._content = b"".join(parts)


def _is_transport(error: Exception) -> bool:
    """Return whether no answer came. Both names of the HTTP client are known to confluent-kafka."""
    return any(each.__name__ == "TransportError" for each in type(error).__mro__)
