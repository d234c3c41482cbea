"""Writes the chart's page again from its values: `make chart-docs`."""

import subprocess
import sys

from tests.chart import tools
from tests.chart.rendering import CHART


def page() -> str:
    """What the page should say."""
    command = [tools.build()["helm-docs"], "--chart-search-root", str(CHART), "--dry-run", "--log-level", "error"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() + "\n"


if __name__ == "__main__":
    reason = tools.why_not()
    if reason is not None:
        sys.exit(reason)
    (CHART / "README.md").write_text(page())
