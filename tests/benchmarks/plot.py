"""Draws a comparison: `plot.py comparison.json comparison.svg`. Run by the interpreter that has matplotlib."""

import json
import statistics
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "kafka-inbox"

from matplotlib import pyplot  # noqa: E402

OURS, OTHERS, LIMITS = "#1f6f8b", "#9aa5ab", "#d9dee1"


def main() -> None:
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    found = json.loads(source.read_text())
    names = list(found["rounds"])[::-1]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(13, 0.42 * len(names) + 1.2), sharey=True)
    rates = [[each["events_per_second"] for each in found["rounds"][name]] for name in names]
    medians = [statistics.median(each) for each in rates]
    spread = [
        [middle - min(each) for middle, each in zip(medians, rates, strict=True)],
        [max(each) - middle for middle, each in zip(medians, rates, strict=True)],
    ]
    left.barh(names, medians, xerr=spread, color=[_color(name) for name in names], ecolor="#444444")
    left.set_title("events/s (median, range)")
    client, server = (
        [statistics.median(each[field] for each in found["rounds"][name]) for name in names]
        for field in ("client_cpu", "server_cpu")
    )
    right.barh(names, client, color="#1f6f8b", label="client")
    right.barh(names, server, left=client, color="#e0a458", label="PostgreSQL")
    right.set_title("CPU seconds per million events")
    # what one event a transaction costs would hide all others
    right.set_xlim(0, 2.5 * statistics.median(a + b for a, b in zip(client, server, strict=True)))
    right.legend(loc="upper right")
    figure.suptitle(f"{found['cores']} shared cores, {found['servers']}, {found['at'][:10]}", fontsize=9)
    figure.tight_layout()
    figure.savefig(target, metadata={"Date": None})


def _color(name: str) -> str:
    if name.startswith("limit"):
        return LIMITS
    return OURS if name.startswith("kafka-inbox") else OTHERS


if __name__ == "__main__":
    main()
