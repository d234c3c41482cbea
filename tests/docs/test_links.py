"""Relative links between the pages lead to a file that is there, and to a heading that the file has."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("helm/*/*.md"), *ROOT.glob("examples/*/*.md")]

_FENCED = re.compile(r"^\s*```.*?^\s*```", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+?)\s*$", re.MULTILINE)


def text_of(page: Path) -> str:
    """Return a page without its code blocks."""
    return _FENCED.sub("", page.read_text())


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    counts: dict[str, int] = {}
    found = set()
    for heading in _HEADING.findall(text_of(page)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        anchor = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        count = counts[anchor] = counts.get(anchor, -1) + 1
        found.add(f"{anchor}-{count}" if count else anchor)
    return found


def broken(page: Path) -> list[str]:
    """Return what is wrong with each link that leads nowhere."""
    problems = []
    for link in _LINK.findall(text_of(page)):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists():
            problems.append(f"{link}: no such file")
        elif anchor and target.suffix == ".md" and anchor not in anchors(target):
            problems.append(f"{link}: {target.name} has no such heading")
    return problems


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    assert broken(page) == []


def test_every_page_of_the_documentation_is_reached_from_its_index() -> None:
    reached: set[Path] = set()
    waiting = [ROOT / "docs/README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached:
            continue
        reached.add(page)
        links = (link.partition("#")[0] for link in _LINK.findall(text_of(page)))
        waiting += [(page.parent / link).resolve() for link in links if link.endswith(".md")]

    # `make docs` fails for a page of the site that no table of contents names.
    pages = {page.resolve() for page in ROOT.glob("docs/**/*.md") if page.parent.name != "site"}
    assert sorted(page.name for page in pages - reached) == []


def test_the_command_of_a_release_makes_every_link_of_the_readme_absolute(tmp_path: Path) -> None:
    [command] = re.findall(r"^sed .* README\.md$", (ROOT / "docs/how-to/release.md").read_text(), re.MULTILINE)
    (tmp_path / "README.md").write_text(text_of(ROOT / "README.md"))
    subprocess.run(command, shell=True, cwd=tmp_path, check=True)  # noqa: S602 - the page's own command
    assert _LINK.findall((tmp_path / "README.md").read_text()) == []
