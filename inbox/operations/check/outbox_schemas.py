"""The check of the schemas with which the relay sends."""

from collections.abc import Iterable
from functools import partial

from inbox.bootstrap.relay import payload_encoder, require_registry, subject_schemas
from inbox.errors import StartupError, TryAgainError
from inbox.kafka.registry.subjects import SubjectSchemas
from inbox.operations.check.checks import Checks
from inbox.reading.schemas import SchemaError
from inbox.relay.formats.encoding import writer_of
from inbox.relay.formats.options import EncodingOptions, SubjectNaming


def check_encoding(checks: Checks, options: EncodingOptions | None, topics: Iterable[str]) -> None:
    """Check the registry, each file of `[outbox.schemas]`, and the subjects of the topics for which events wait.

    Nothing is registered. The subjects of events that are named by their type are not known before
    an event comes, but for those of the files.
    """
    if options is None:
        return
    checks.ask("schema registry of the outbox", partial(_require, options))
    subjects = dict.fromkeys(options.files)
    if options.naming is SubjectNaming.TOPIC:
        known = sorted(set(topics) - options.plain_topics)
        subjects |= dict.fromkeys(options.naming.subject(topic, "") for topic in known)
    schemas = subject_schemas(options)
    for subject in subjects:
        checks.ask(f"schema of {subject}", partial(_require_subject, options, schemas, subject))


def _require(options: EncodingOptions) -> None:
    payload_encoder(options)
    require_registry(options)


def _require_subject(options: EncodingOptions, schemas: SubjectSchemas, subject: str) -> None:
    try:
        if options.register and (file := options.files.get(subject)) is not None:
            writer_of(options.format, file)
        else:
            writer_of(options.format, schemas.schema(subject).schema)
    except SchemaError as error:
        raise StartupError(str(error)) from None
    except TryAgainError as error:
        if error.alert:
            raise StartupError(str(error)) from None
        raise
