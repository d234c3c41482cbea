"""Plant secrets in tests, and search everything that each test writes for them.

The output of `make test` is everything that a test, or a process that it starts, writes to stdout, stderr or a log, and
pytest's own report. A test whose output contains a planted secret fails, and the secret is removed from its report.
"""

from collections.abc import Generator
from urllib.parse import quote, urlsplit

import pytest

_planted: set[str] = set()
_SHORTEST = 10
_HIDDEN = "(a planted secret)"


def plant(secret: str) -> str:
    """Plant a secret and return it.

    From now on no test of this process may write the secret, neither as it is nor as URLs encode it.
    """
    _planted.update({secret, quote(secret, safe="")})
    return secret


def plant_password(url: str) -> str:
    """Return the URL and plant its password, unless that is short enough to be a word of the tests as well."""
    if len(password := urlsplit(url).password or "") >= _SHORTEST:
        plant(password)
    return url


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a phase of a test if its output contains a planted secret."""
    report = yield
    said = {name: text for name, text in report.sections if _holds_one(text)}
    if _holds_one(report.longreprtext):
        said["its report"] = report.longreprtext
    if said:
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid}: {report.when} wrote a planted secret: {', '.join(said)}\n" + "\n".join(
            _without(text) for text in said.values()
        )
        # The later phases repeat what the earlier ones wrote.
        item._report_sections[:] = [(*each, _without(text)) for *each, text in item._report_sections]  # type: ignore[misc]
        report.sections = [(name, _without(text)) for name, text in report.sections]
    return report


def _holds_one(text: str) -> bool:
    return any(secret in text for secret in _planted)


def _without(text: str) -> str:
    for secret in _planted:
        text = text.replace(secret, _HIDDEN)
    return text
