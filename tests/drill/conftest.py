"""An incident on the common servers."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import pytest

from tests.conftest import MakeTopic
from tests.drill.incident import PARTITIONS, Incident, Order


class MakeIncident(Protocol):
    """A function that makes an incident with these orders, and more lines of its configuration."""

    def __call__(self, sent: Sequence[Order], *, sink: str = "", rest: str = "") -> Incident: ...


@pytest.fixture
def make_incident(
    tmp_path: Path, make_topic: MakeTopic, make_database: Callable[[], str], bootstrap_servers: str
) -> MakeIncident:
    def make(sent: Sequence[Order], *, sink: str = "", rest: str = "") -> Incident:
        topics = [make_topic(partitions=PARTITIONS) for _ in range(2)]
        return Incident(
            tmp_path,
            sent,
            orders=topics[0],
            payments=topics[1],
            url=make_database(),
            servers=bootstrap_servers,
            sink=sink,
            rest=rest,
        )

    return make
