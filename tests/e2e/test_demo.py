"""The demo in small: what it says of the four guarantees is what happened."""

import io

from inbox.dev.demo import run_demo


def test_the_demo_ends_with_the_sink_exact_and_the_others_not() -> None:
    out = io.StringIO()

    assert run_demo(keep=False, out=out, orders=600) == 0

    rows = [
        [cell.strip() for cell in line.strip("│ ").split("│")] for line in out.getvalue().splitlines() if "│" in line
    ]
    by_guarantee = {row[0]: row for row in rows}
    assert by_guarantee["effectively once"][2:] == ["600", "600", "0", "0", "right"]
    assert int(by_guarantee["at most once"][4]) > 0
    assert int(by_guarantee["at least once"][5]) > 0
    assert {by_guarantee[name][-1] for name in ("none", "at most once", "at least once")} == {"wrong"}
