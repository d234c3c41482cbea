"""The SHA-256 digests of jars that tests and benchmarks run, one file a product, as `sha256sum *.jar` prints them."""

from pathlib import Path

from inbox.dev.local.kafka_jars import pins_of


def pins(name: str) -> dict[str, str]:
    """Read the digests of a product's jars."""
    return pins_of((Path(__file__).parent / f"{name}.sha256").read_text(encoding="utf-8"))
