"""The command `inbox audit`: it accounts for every offset that the ledger says is settled."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from inbox.cli.arguments import where
from inbox.cli.audit_checkpoint import CheckpointFile
from inbox.cli.options import config_option, example, json_option, properties_option, sink_settings
from inbox.cli.output import is_screen, notice, print_json, print_lines
from inbox.cli.progress import bar
from inbox.cli.reports.audit import document, lines, listed_document, quick_document, quick_lines, quick_table, table
from inbox.cli.tables import print_table
from inbox.operations.audit.accounting import Listing, OffsetAnswer
from inbox.operations.audit.audit import Audit, RefusedError, Request
from inbox.operations.audit.audit import audit as audit_log
from inbox.operations.audit.quick import quick_audit
from inbox.process.exit_codes import DONE, FAILURE
from inbox.settings import Settings

_LISTED = [each.value for each in OffsetAnswer if each is not OffsetAnswer.APPLIED]


def _endings(_: click.Context, __: click.Parameter, text: str | None) -> frozenset[OffsetAnswer]:
    names = [name.strip().replace("-", "_") for name in (text or "").split(",") if name.strip()]
    if wrong := [name for name in names if name not in _LISTED]:
        raise click.BadParameter(f"there is no {wrong[0]}; one or more of {','.join(_LISTED)}")
    return frozenset(map(OffsetAnswer, names))


@click.command(
    epilog=example(
        "inbox audit --resume orders.audit\n"
        "inbox audit --topic orders:0,3 --from-offset 1000000 --json\n"
        "inbox audit --list duplicate,filtered > duplicates-and-filtered.jsonl\n"
        "inbox audit --quick"
    )
)
@config_option
@properties_option
@click.option("--topic", metavar="T[:P,P]", help="This topic, or some of its partitions; default: all of the routes.")
@click.option("--from-offset", type=click.IntRange(min=0), metavar="N", help="Begin at this offset of each partition.")
@click.option("--until-offset", type=click.IntRange(min=0), metavar="N", help="End before this offset.")
@click.option(
    "--resume",
    "checkpoint",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Keep the position in FILE, and continue from there if it exists; it is removed at the end.",
)
@click.option(
    "--list",
    "listed",
    metavar="ENDING[,ENDING]",
    callback=_endings,
    help="Print each offset with such an ending, one JSON object per line, then what --json prints.",
)
@click.option(
    "--quick",
    is_flag=True,
    help="Check that ledger and history agree, so that no offset was skipped by hand. Reads neither Kafka nor claims.",
)
@json_option
def audit(
    config: Path | None,
    properties: tuple[tuple[str, str], ...],
    topic: str | None,
    from_offset: int | None,
    until_offset: int | None,
    checkpoint: Path | None,
    listed: frozenset[OffsetAnswer],
    quick: bool,
    as_json: bool,
) -> int:
    """Read the topics again, beside the running sink, and account for every offset below the ledger's.

    Each offset is applied, a duplicate, filtered, dead-lettered or missing. If one is missing, the exit code is 1,
    and the command that fixes it is shown. Claims whose event is not in the log are found too. The audit reads
    claims only: it cannot see what somebody changed in your tables later.
    """
    if quick and (from_offset is not None or until_offset is not None or checkpoint is not None or listed):
        raise click.UsageError(
            "--quick takes the whole history; leave out --from-offset, --until-offset, --resume and --list"
        )
    name, partitions = where(topic) if topic is not None else (None, None)
    request = Request(topic=name, partitions=partitions, from_offset=from_offset, until_offset=until_offset)
    settings = sink_settings(config, properties)
    try:
        return (
            _quick(settings, request, as_json=as_json)
            if quick
            else _whole(settings, request, checkpoint, listed, as_json)
        )
    except RefusedError as error:
        raise click.UsageError(str(error)) from None


def _whole(
    settings: Settings, request: Request, checkpoint: Path | None, listed: frozenset[OffsetAnswer], as_json: bool
) -> int:
    listing = Listing(listed, lambda each: print_json(listed_document(each))) if listed else None
    found = _run(
        settings,
        request,
        None if checkpoint is None else CheckpointFile(checkpoint, _which(settings, request)),
        listing,
    )
    for text in found.notices:
        notice(text)
    if as_json or listed:
        print_json(document(found))
    else:
        print_table(table(found, screen=is_screen()))
        print_lines(lines(found))
    return DONE if found.ok else FAILURE


def _which(settings: Settings, request: Request) -> dict[str, Any]:
    asked = asdict(request)
    asked["partitions"] = None if request.partitions is None else list(request.partitions)
    return {"schema": settings.database.schema, "routes": [route.name for route in settings.routes], **asked}


def _run(settings: Settings, request: Request, checkpoint: CheckpointFile | None, listing: Listing | None) -> Audit:
    earlier = None if checkpoint is None else checkpoint.load()
    with bar("auditing") as show:

        def watch(found: Audit) -> None:
            show(*found.progress)
            if checkpoint is not None:
                checkpoint.keep(found)

        found = audit_log(settings, request, watch=watch, earlier=earlier, listing=listing)
    if checkpoint is not None:
        checkpoint.remove()
    return found


def _quick(settings: Settings, request: Request, *, as_json: bool) -> int:
    parts = quick_audit(settings, request)
    if as_json:
        print_json(quick_document(parts))
    else:
        print_table(quick_table(parts))
        print_lines(quick_lines(parts))
    return FAILURE if any(part.faults for part in parts) else DONE
