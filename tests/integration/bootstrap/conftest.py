"""A sink of the test's own, with the fixtures of the sink's tests."""

from tests.integration.sink.conftest import handled_by, make_sink, offer, sink  # noqa: F401 - fixtures
