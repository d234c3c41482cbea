"""Secrets that tests plant, and a look through all that every test writes for them.

What a test or a process that it starts writes to stdout, stderr or a log, and what pytest says of it, is the output of
`make test`. A test in whose output a planted secret stands fails, and the secret is taken out of its report.
"""

from collections.abc import Generator
from urllib.parse import quote, urlsplit

import pytest

_planted: set[str] = set()
_SHORTEST = 10
_HIDDEN = "(a planted secret)"


def plant(secret: str) -> str:
    """Return the secret, which from now on no test of this process may write, as it is or as a URL has it."""
    _planted.update({secret, quote(secret, safe="")})
    return secret


def plant_password(url: str) -> str:
    """Return the URL, whose password is planted, unless it is short enough to be a word of the tests as well."""
    if len(password := urlsplit(url).password or "") >= _SHORTEST:
        plant(password)
    return url


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let a phase of a test fail in whose output a planted secret stands."""
    report = yield
    said = {name: text for name, text in report.sections if _holds_one(text)}
    if _holds_one(report.longreprtext):
        said["its report"] = report.longreprtext
    if said:
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid}: {report.when} wrote a planted secret: {', '.join(said)}\n" + "\n".join(
            _without(text) for text in said.values()
        )
        # The later phases have what the earlier ones wrote too.
        item._report_sections[:] = [(*each, _without(text)) for *each, text in item._report_sections]  # type: ignore[misc]
        report.sections = [(name, _without(text)) for name, text in report.sections]
    return report


def _holds_one(text: str) -> bool:
    return any(secret in text for secret in _planted)


def _without(text: str) -> str:
    for secret in _planted:
        text = text.replace(secret, _HIDDEN)
    return text
