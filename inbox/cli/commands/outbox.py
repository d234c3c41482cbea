"""The command `inbox outbox`, for an outbox that another program publishes."""

from pathlib import Path

import click

from inbox.cli.options import config_option, example, properties_option, relay_settings
from inbox.cli.output import print_json, print_text
from inbox.operations.debezium_connector import capture_of
from inbox.operations.debezium_connector import connector as connector_of
from inbox.process.exit_codes import DONE


@click.group()
def outbox() -> None:
    """Publish the outbox of this database with another program than `inbox relay`."""


@outbox.command(
    epilog=example(
        "inbox outbox connector --sql | psql orders\n"
        "inbox outbox connector | curl -H 'Content-Type: application/json' -d @- http://connect:8083/connectors"
    )
)
@config_option
@properties_option
@click.option("--sql", "as_sql", is_flag=True, help="Print the publication, the role and the rights that it needs.")
def connector(config: Path | None, properties: tuple[tuple[str, str], ...], as_sql: bool) -> int:
    """Print the Debezium connector that publishes what `inbox relay` would, as JSON.

    Its password is not in it: Kafka Connect takes that from its environment. Nothing is changed anywhere.
    """
    settings = relay_settings(config, properties)
    if as_sql:
        print_text(capture_of(settings.database).setup(), nl=False)
    else:
        print_json(connector_of(settings), indented=True)
    return DONE
