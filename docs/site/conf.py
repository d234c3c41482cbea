"""Configure the documentation site, which `make docs` builds from the pages as they are in the repository."""

import logging

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
