"""Configure the documentation site, which `make docs` builds from the pages as they are in the repository."""

import logging
import re
from typing import Any

from sphinx.application import Sphinx

import inbox

# The commands import alembic, which reports each of its plugins.
logging.getLogger("alembic").setLevel(logging.WARNING)

project = "kafka-inbox"
author = "the kafka-inbox maintainers"
project_copyright = "the kafka-inbox maintainers"
version = release = inbox.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "sphinx_copybutton",
    "sphinxcontrib.mermaid",
]
# The pages lie where a reader of the repository looks for them, and link to each other there.
include_patterns = [
    "*.md",
    "docs/*.md",
    "docs/*/*.md",
    "examples/*/README.md",
    "helm/inbox/README.md",
]
root_doc = "docs/site/index"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_fence_as_directive = ["mermaid"]
myst_heading_anchors = 4

html_theme = "furo"
html_title = f"kafka-inbox {version}"
html_extra_path = ["index.html"]
html_show_sourcelink = False
html_static_path = []

_SCROLLED = re.compile(r'<pre(?=[\s>])|<div(?= class="table-wrapper)')


def name_levels(_app: Sphinx, _page: str, _template: str, context: dict[str, Any], _doctree: object) -> None:
    """Say what screen readers need and Sphinx leaves out: the level of a heading, and a way to scroll what is wide."""
    tree = context.get("furo_navigation_tree", "")
    context["furo_navigation_tree"] = tree.replace('role="heading"', 'role="heading" aria-level="2"')
    if "body" in context:
        context["body"] = _SCROLLED.sub(r'\g<0> tabindex="0"', context["body"])


def setup(app: Sphinx) -> None:
    # after furo's own handler, which makes the navigation tree
    app.connect("html-page-context", name_levels, priority=900)
