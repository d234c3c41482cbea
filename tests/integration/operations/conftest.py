"""Operations on a sink of the test's own, with the fixtures of the sink's tests."""

from tests.integration.sink.conftest import (  # noqa: F401 - fixtures
    at,
    cuttable,
    fussy,
    handled,
    handled_by,
    kafka,
    make_cuttable,
    make_sink,
    offer,
    parked,
    sink,
)
