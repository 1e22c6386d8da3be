"""Sphinx configuration. Everything is local: a build needs no network."""

import importlib.metadata

project = "pussycache"
author = "pussycache contributors"
copyright = author
release = importlib.metadata.version("pussycache")

extensions = ["myst_parser", "sphinx.ext.autodoc"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "groupwise"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True

# furo follows the reader's system: light or dark, with a switch
html_theme = "furo"
html_title = "pussycache"
pygments_style = "friendly"
pygments_dark_style = "native"
