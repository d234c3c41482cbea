"""docs/reference/metrics.md and logs.md, held to the code."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.metrics import MetricWrapperBase

from inbox import telemetry

ROOT = Path(__file__).parents[2]
LEVELS = {"debug", "info", "warning", "error", "critical", "exception"}


def rows(page: str) -> list[list[str]]:
    """The cells of the page's first table, without its head."""
    text = (ROOT / "docs/reference" / page).read_text(encoding="utf-8")
    table = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert table is not None
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[0].splitlines()[2:]]


def names(cell: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", cell))


def metrics() -> Iterator[tuple[str, str, frozenset[str]]]:
    for found in vars(telemetry).values():
        if isinstance(found, MetricWrapperBase):
            suffix = "_total" if found._type == "counter" else ""
            yield found._name + suffix, found._type, frozenset(found._labelnames)


def test_the_page_lists_each_metric_with_its_type_and_labels() -> None:
    listed = {(name.strip("`"), kind, frozenset(names(labels))) for name, kind, labels, _ in rows("metrics.md")}
    assert listed == set(metrics())


def test_every_promised_metric_is_there() -> None:
    promised = """
        events_total lag batch_seconds commit_seconds batch_events end_to_end_seconds dead_letters fenced_total
        retries_total paused horizon_seconds last_prune_timestamp_seconds outbox_pending relay_events_total
    """
    assert {f"inbox_{name}" for name in promised.split()} <= {name for name, _, _ in metrics()}


def log_calls() -> Iterator[tuple[str, str | None, set[str], str]]:
    """Each call that writes a log line: its event, its level where the call names one, its fields, its place."""
    for file in sorted((ROOT / "inbox").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args or not (level := level_of(node.func)):
                continue
            event = node.args[0]
            assert isinstance(event, ast.Constant), f"{file}:{node.lineno}: the event's name is not a literal"
            fields = {keyword.arg or "**" for keyword in node.keywords}
            yield str(event.value), None if level == "tell" else level, fields, f"{file.name}:{node.lineno}"


def level_of(function: ast.expr) -> str | None:
    """`log().warning` says warning; `tell`, chosen from several, says nothing."""
    if isinstance(function, ast.Name) and function.id == "tell":
        return "tell"
    if isinstance(function, ast.Attribute) and function.attr in LEVELS and isinstance(function.value, ast.Call):
        called = function.value.func
        return function.attr if isinstance(called, ast.Name) and called.id == "log" else None
    return None


def test_the_page_lists_each_log_event_with_its_levels_and_fields() -> None:
    found: dict[str, set[str]] = defaultdict(set)
    levels: dict[str, set[str]] = defaultdict(set)
    for event, level, fields, _ in log_calls():
        found[event] |= fields
        levels[event] |= {level} - {None}  # type: ignore[arg-type]
    listed = {event.strip("`"): (level, names(fields)) for event, level, fields, _ in rows("logs.md")}
    assert {event: fields for event, (_, fields) in listed.items()} == found
    for event, (level, _) in listed.items():
        assert levels[event] <= set(level.split(", ")), f"{event} is logged as {levels[event]}"


def test_the_names_of_events_are_of_one_form() -> None:
    odd = [f"{event} at {place}" for event, _, _, place in log_calls() if not re.fullmatch(r"[a-z]+(-[a-z]+)*", event)]
    assert not odd
