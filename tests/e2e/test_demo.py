"""The demo in small: what it says of the four guarantees is what happened."""

import importlib
import io
import sys

import psycopg
import pytest
from confluent_kafka.admin import AdminClient

from inbox.dev.backends import Servers
from inbox.dev.demo import run_demo
from inbox.dev.demo.outbox_demo.run import tell as tell_chain
from inbox.errors import StartupError

pytestmark = pytest.mark.heavy


@pytest.fixture
def named_servers(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> Servers:
    """The servers of the whole run, as somebody else's that the demo borrows."""
    monkeypatch.delenv("INBOX_TEST_BACKEND", raising=False)
    monkeypatch.setenv("INBOX_TEST_KAFKA", servers.bootstrap_servers)
    monkeypatch.setenv("INBOX_TEST_DATABASE", servers.database_url)
    # it would point the sink elsewhere, were it not kept from it
    monkeypatch.setenv("INBOX_DATABASE__URL", "postgresql://nobody@127.0.0.1:1/nowhere")
    return servers


def traces(servers: Servers) -> set[str]:
    """What a demo could leave on the servers."""
    with psycopg.connect(servers.database_url) as connection:
        names = {name for (name,) in connection.execute("SELECT datname FROM pg_database")}
    client = AdminClient({"bootstrap.servers": servers.bootstrap_servers})
    names |= set(client.list_topics(timeout=120).topics)
    return {name for name in names if name.startswith("demo_")}


def rows_of(text: str) -> dict[str, list[str]]:
    rows = [[cell.strip() for cell in line.strip("│ ").split("│")] for line in text.splitlines() if "│" in line]
    return {row[0]: row[1:] for row in rows}


# Four kills cost a weak consumer 100 orders each at most; it should still come to the fifth, at three quarters.
ORDERS = 1800


def test_the_demo_ends_with_the_sink_exact_and_the_others_not_and_leaves_nothing(named_servers: Servers) -> None:
    before, out = traces(named_servers), io.StringIO()

    assert run_demo(keep=False, out=out, orders=ORDERS) == 0

    found = rows_of(out.getvalue())
    assert found["effectively once"] == ["5", str(ORDERS), str(ORDERS), "0", "0", "right"]
    assert int(found["at most once"][3]) > 0
    assert int(found["at least once"][4]) > 0
    for weak in ("none", "at most once", "at least once"):
        assert (found[weak][0], found[weak][-1]) == ("5", "wrong")
    assert traces(named_servers) <= before


def test_the_outbox_demo_ends_with_every_place_in_agreement_and_leaves_nothing(named_servers: Servers) -> None:
    before, out = traces(named_servers), io.StringIO()

    assert tell_chain(keep=False, out=out, orders=400, kill_at_percent=(40,)) == 0

    found = rows_of(out.getvalue())
    placed, pieces = found["order service"][1], found["order service"][5]
    assert 300 < int(placed) < 400
    assert found["order service"] == ["1", placed, "0", "0", "0", pieces]
    assert found["outbox"] == ["", placed, "0", "0", "0", pieces]
    assert found["sink: reservations"] == ["1", placed, "0", "0", "0", pieces]
    assert [*found["relay: the topic"][:3], found["relay: the topic"][4]] == ["1", placed, "0", "0"]
    assert found["stock"][-1] == pieces
    assert traces(named_servers) <= before


def test_the_demo_without_the_example_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "inventory"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "inventory", None)
    importlib.invalidate_caches()

    with pytest.raises(StartupError, match=r"pip install \./examples/inventory"):
        run_demo(keep=False, out=io.StringIO())
