"""The tools that the chart's tests need. Where Go is not there they are skipped, and say so."""

from pathlib import Path

import pytest

from tests.chart import tools
from tests.chart.rendering import Helm

# the first run builds the tools, which takes minutes
BUILD_SECONDS = 1500


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.parent == here:
            item.add_marker(pytest.mark.timeout(BUILD_SECONDS))


@pytest.fixture(scope="session")
def programs(request: pytest.FixtureRequest) -> dict[str, Path]:
    """The programs by name, built when the first test asks."""
    reason = tools.why_not()
    if reason is not None:
        pytest.skip(reason)
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def say(text: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n{text}", flush=True)

    return tools.build(say=say)


@pytest.fixture(params=["helm3", "helm4"])
def helm(request: pytest.FixtureRequest, programs: dict[str, Path]) -> Helm:
    """Each Helm in turn."""
    return Helm(programs[request.param])


@pytest.fixture
def newest_helm(programs: dict[str, Path]) -> Helm:
    """For what does not depend on the version."""
    return Helm(programs["helm4"])
