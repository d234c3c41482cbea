"""What a process does not import: each has its memory for as long as it runs."""

import subprocess
import sys
from pathlib import Path

CONFIG = """
[sink]
name = "light"
[database]
url = "postgresql://light@localhost/light"
[kafka]
"bootstrap.servers" = "localhost:9092"
[[routes]]
topic = "orders"
[routes.table]
name = "public.orders"
mode = "append"
[routes.table.columns]
document = "$value"
"""
TELL = "print('loaded', *{name.partition('.')[0] for name in sys.modules})"
SUPERVISOR = f"""
import sys
import inbox.cli.commands.run as run
from inbox.cli.program import result_of
run.supervise = lambda *_: 0
assert result_of(["run", "--workers", "2", "--config", sys.argv[1]]) == 0
{TELL}
"""
OVERVIEW = f"""
import sys
from inbox.cli.program import result_of
assert result_of(["--help"]) == 0
{TELL}
"""


def loaded(program: str, *arguments: object) -> set[str]:
    """The packages of a fresh interpreter at the end of the program."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    ran = subprocess.run(command, check=True, capture_output=True, text=True)
    (line,) = (line for line in ran.stdout.splitlines() if line.startswith("loaded "))
    return set(line.split()[1:])


def test_a_supervisor_loads_no_client_of_kafka_or_postgresql(tmp_path: Path) -> None:
    config = tmp_path / "inbox.toml"
    config.write_text(CONFIG)
    assert loaded(SUPERVISOR, config).isdisjoint(
        {"alembic", "asyncio", "confluent_kafka", "psycopg", "rich", "sqlalchemy"}
    )


def test_the_overview_loads_no_client_and_reads_no_settings() -> None:
    clients = {"confluent_kafka", "prometheus_client", "psycopg", "sqlalchemy"}
    assert loaded(OVERVIEW).isdisjoint({*clients, "asyncio", "email", "msgspec", "pydantic", "rich", "tomllib"})


def test_the_plugin_of_pytest_loads_no_client_before_a_test_needs_one() -> None:
    assert loaded(f"import sys, inbox.testing.plugin; {TELL}").isdisjoint({"confluent_kafka", "psycopg", "pydantic"})


def test_a_worker_loads_nothing_that_describes_tables_or_migrates_or_filters_ids() -> None:
    assert loaded(f"import sys, inbox.cli.run_worker; {TELL}").isdisjoint(
        {"alembic", "mako", "numpy", "rich", "sqlalchemy"}
    )


def test_a_check_loads_sqlalchemy_only_where_it_comes_to_sql() -> None:
    program = f"import sys, inbox.cli.commands.check; {TELL}"
    assert loaded(program).isdisjoint({"alembic", "sqlalchemy"})
    assert "sqlalchemy" in loaded(f"import sys, inbox.store.tables.ddl.creation as ddl; ddl.quoted('Order'); {TELL}")


def test_a_package_of_handlers_that_imports_inbox_loads_no_client() -> None:
    assert loaded(f"import sys, inbox; {TELL}").isdisjoint(
        {"confluent_kafka", "email", "psycopg", "pydantic", "sqlalchemy"}
    )
