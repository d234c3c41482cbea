"""The example of Docker Compose without Docker: its configuration, its table and its order, on servers of a test."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import psycopg

HERE = Path(__file__).parents[2] / "examples/compose"


def take_the_order(
    directory: Path, *, bootstrap_servers: str, database_url: str, topic: str, extra: Mapping[str, str] | None = None
) -> list[tuple[object, ...]]:
    """Publish the order of the example, let relay and sink take it, and return the rows of the table.

    `extra` are further variables of the environment of both.
    """
    configuration = (HERE / "inbox.toml").read_text().replace('topic = "orders"', f'topic = "{topic}"')
    (directory / "inbox.toml").write_text(configuration.partition("[http]")[0])
    [insert] = re.findall(r"```sql\n(.*?)```", (HERE / "README.md").read_text(), re.DOTALL)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("INBOX_")},
        "INBOX_DATABASE__URL": database_url,
        "INBOX_KAFKA__BOOTSTRAP_SERVERS": bootstrap_servers,
        "INBOX_SINK__NAME": topic,
        **(extra or {}),
    }

    def inbox(*arguments: str) -> None:
        command = [sys.executable, "-m", "inbox", *arguments]
        ran = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, timeout=120)
        assert ran.returncode == 0, f"{arguments}: {ran.stdout}{ran.stderr}"

    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute((HERE / "tables.sql").read_text())
        inbox("migrate")
        connection.execute(insert.replace("'orders'", f"'{topic}'"))
        inbox("relay", "--until-empty")
        inbox("run", "--until-end")
        return connection.execute("SELECT order_id, customer, amount::text FROM orders").fetchall()
