"""Trials of the sink on other versions of Kafka and PostgreSQL than the ones that every test run uses."""

KAFKAS = ("2.8.2", "3.9.1", "4.4.0")
POSTGRESES = ("14.24", "16.15", "17.11", "18.6")

DELIVERY = (
    "tests/docs/test_readme.py",
    "tests/integration/sink/test_partitions.py",
    "tests/integration/sink/settle/test_transaction.py",
    "tests/integration/relay/test_publish.py",
    "tests/e2e/test_sigkill.py",
)
"""What every platform has to pass: a table and a handler, rebalances, one transaction, the relay, SIGKILLs."""
