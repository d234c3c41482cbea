"""Produce a record with header names that confluent-kafka refuses, through librdkafka itself."""

import ctypes
from collections.abc import Sequence
from pathlib import Path

import confluent_kafka

_END, _TOPIC, _VALUE, _HEADERS = 0, 1, 4, 10
"""The values of `rd_kafka_vtype_t` in rdkafka.h."""


def produce(bootstrap_servers: str, topic: str, value: bytes, headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Produce a record with these headers; it is stored on return."""
    library = _librdkafka()
    error = ctypes.create_string_buffer(512)
    configuration = ctypes.c_void_p(library.rd_kafka_conf_new())
    library.rd_kafka_conf_set(configuration, b"bootstrap.servers", bootstrap_servers.encode(), error, 512)
    producer = ctypes.c_void_p(library.rd_kafka_new(0, configuration, error, 512))
    given = ctypes.c_void_p(library.rd_kafka_headers_new(len(headers)))
    for name, content in headers:
        library.rd_kafka_header_add(given, name, ctypes.c_ssize_t(len(name)), content, ctypes.c_ssize_t(len(content)))
    failed = library.rd_kafka_producev(
        producer,
        *(ctypes.c_int(_TOPIC), ctypes.c_char_p(topic.encode())),
        *(ctypes.c_int(_VALUE), ctypes.c_char_p(value), ctypes.c_size_t(len(value))),
        *(ctypes.c_int(_HEADERS), given),
        ctypes.c_int(_END),
    )
    assert failed == 0
    assert library.rd_kafka_flush(producer, 10_000) == 0
    library.rd_kafka_destroy(producer)


def _librdkafka() -> ctypes.CDLL:
    libraries = Path(confluent_kafka.__file__).parent.parent / "confluent_kafka.libs"
    [path] = libraries.glob("librdkafka-*.so*")
    library = ctypes.CDLL(str(path))
    for name in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_headers_new"):
        getattr(library, name).restype = ctypes.c_void_p
    return library
