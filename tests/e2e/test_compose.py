"""The order of examples/compose: published through the outbox, it arrives in the table."""

import os
import re
import subprocess
import sys
from pathlib import Path

import psycopg

from tests.conftest import MakeTopic

HERE = Path(__file__).parents[2] / "examples/compose"


def test_an_order_in_the_outbox_arrives_in_the_table_of_the_sink(
    bootstrap_servers: str, empty_database_url: str, make_topic: MakeTopic, tmp_path: Path
) -> None:
    topic = make_topic(partitions=4)
    configuration = (HERE / "inbox.toml").read_text().replace('topic = "orders"', f'topic = "{topic}"')
    (tmp_path / "inbox.toml").write_text(configuration.partition("[http]")[0])
    [insert] = re.findall(r"```sql\n(.*?)```", (HERE / "README.md").read_text(), re.DOTALL)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("INBOX_")},
        "INBOX_DATABASE__URL": empty_database_url,
        "INBOX_KAFKA__BOOTSTRAP_SERVERS": bootstrap_servers,
        "INBOX_SINK__NAME": topic,
    }

    def inbox(*arguments: str) -> None:
        command = [sys.executable, "-m", "inbox", *arguments]
        ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
        assert ran.returncode == 0, f"{arguments}: {ran.stdout}{ran.stderr}"

    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute((HERE / "tables.sql").read_text())
        inbox("migrate")
        connection.execute(insert.replace("'orders'", f"'{topic}'"))
        inbox("relay", "--until-empty")
        inbox("run", "--until-end")
        rows = connection.execute("SELECT order_id, customer, amount::text FROM orders").fetchall()

    assert rows == [(7, "Ada", "12.50")]
