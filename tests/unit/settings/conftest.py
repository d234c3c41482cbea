from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from inbox.errors import StartupError
from inbox.settings import Settings, load_settings

SMALL = """
[sink]
name = "inventory"

[database]
url = "postgresql://inventory:hunter2@db:5432/inventory"

[kafka]
"bootstrap.servers" = "kafka:9092"

[[routes]]
topic = "order.events"
handler = "reserve_stock"
"""

TABLE_ROUTE = """
[[routes]]
topic = "orders"
[routes.table]
name = "public.orders"
mode = "upsert"
key = ["order_id"]
[routes.table.columns]
order_id = "/order_id"
amount = "/amount"
"""

Load = Callable[..., Settings]
Refuse = Callable[..., str]


@pytest.fixture(name="small")
def small_() -> str:
    """The smallest file that a sink can start with."""
    return SMALL


@pytest.fixture(name="table_route")
def table_route_() -> str:
    """A sound table route, to put behind the small file and to spoil."""
    return TABLE_ROUTE


@pytest.fixture(name="load")
def load_(tmp_path: Path) -> Load:
    """Loads `text` as ./inbox.toml of an empty directory."""

    def load(
        text: str | None = SMALL, environ: Mapping[str, str] | None = None, flags: Mapping[str, str] | None = None
    ) -> Settings:
        if text is not None:
            (tmp_path / "inbox.toml").write_text(text)
        return load_settings(config=None, flags=flags or {}, environ=environ or {}, cwd=tmp_path)

    return load


@pytest.fixture(name="refuse")
def refuse_(load: Load) -> Refuse:
    """As `load`, of what has to be refused; returns the error's text."""

    def refuse(
        text: str | None = SMALL, environ: Mapping[str, str] | None = None, flags: Mapping[str, str] | None = None
    ) -> str:
        with pytest.raises(StartupError) as refused:
            load(text, environ, flags)
        return str(refused.value)

    return refuse
