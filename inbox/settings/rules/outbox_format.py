"""The rules on the format in which the relay sends."""

from inbox.relay.formats.options import OutboxFormat
from inbox.settings.document import OutboxSection
from inbox.settings.problems import Path
from inbox.settings.validation import Review
from inbox.store.options import OutboxEnvelope, OutboxPayload, RelayKind

_PATH: Path = ("outbox",)
_FORMAT: Path = (*_PATH, "format")


def review_outbox_format(review: Review, section: OutboxSection) -> None:
    """Note what does not go with `[outbox] format`."""
    if review.is_broken(_FORMAT):
        return
    if section.format is OutboxFormat.JSON:
        for key, field in {"subject": "subject", "register": "register_", "schemas": "schemas"}.items():
            if field in section.model_fields_set:
                review.blame((*_PATH, key), 'is for format = "avro" or "json-schema"; set one, or leave it out')
        return
    if not review.document.registry and not review.is_broken(("registry",)):
        review.blame(_FORMAT, f'"{section.format}" needs a schema; set [registry] url')
    if section.relay is RelayKind.DEBEZIUM:
        review.blame(_FORMAT, "is for inbox relay; the connector's own converter writes schemas, so leave it out")
    if section.envelope is OutboxEnvelope.CLOUDEVENTS:
        review.blame(_FORMAT, "cannot be combined with an envelope, which no sink would read; leave one of them out")
    if section.payload is OutboxPayload.BYTEA:
        review.blame(_FORMAT, 'is made from JSON, and payload is "bytea"; set payload = "json"')
    if section.register_ and not section.schemas:
        review.blame(
            (*_PATH, "register"), "needs the schemas that are registered; name a file for each in [outbox.schemas]"
        )
