"""The site that `make docs` builds: its first pages can be read on a phone, and with a screen reader."""

from collections.abc import Iterator

import pytest

from tests.docs.test_links import ROOT
from tests.support.browser import looked_at, serving, why_not

SITE = ROOT / "build/site"
PAGES = ("docs/site/index.html", "docs/tutorial.html")
PHONE_PIXELS = 360


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    if (reason := why_not(SITE)) is not None:
        pytest.skip(reason)
    with serving(SITE) as address:
        yield address


@pytest.mark.timeout(400)
@pytest.mark.parametrize("page", PAGES)
def test_a_page_fits_a_phone_and_axe_finds_nothing_serious(address: str, page: str) -> None:
    found = looked_at(address, page, width=PHONE_PIXELS)

    assert found["needed"] <= found["width"] == PHONE_PIXELS
    assert [each for each in found["violations"] if each[0] in {"serious", "critical"}] == []
