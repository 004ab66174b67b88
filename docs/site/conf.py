"""Sphinx configuration; the sources are laid out by `build.py`, with the paths that they have in the repository."""

import logging
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent)]

import matplotlib  # noqa: E402

matplotlib.use("Agg")

import hyperevo  # noqa: E402

logging.getLogger("evotorch").setLevel(logging.WARNING)

project, author, copyright = "hyperevo", "The hyperevo developers", "The hyperevo developers"
version = release = hyperevo.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_gallery.gen_gallery"]
root_doc = "index"
html_theme = "furo"
html_title = f"hyperevo {version}"
html_static_path = [str(HERE / "pages" / "static")]
html_css_files = ["site.css"]
html_show_sphinx = False
myst_heading_anchors = 4
myst_enable_extensions = ["deflist"]
default_role = "code"
python_maximum_signature_line_length = 90
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"show-inheritance": False}
exclude_patterns = ["examples"]
suppress_warnings = ["config.cache"]  # functions of sphinx-gallery's configuration are not compared between builds

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py",
    "ignore_pattern": r"^$",
    "abort_on_example_error": True,
    "within_subsection_order": "ExampleTitleSortKey",
    "image_scrapers": ("notebooks.figure_scraper", "matplotlib"),
    "ignore_repr_types": r"matplotlib",
    "capture_repr": ("_repr_html_", "__repr__"),
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "min_reported_time": 1000,
    "plot_gallery": "True",
    "write_computation_times": False,
    "remove_config_comments": True,
}


def plain_docstrings(app, what, name, obj, options, lines):
    """Docstrings are plain text: a star outside of backticks is a star, and what is indented below a colon is code."""
    for place, (line, empty, below) in enumerate(zip(lines, lines[1:], lines[2:], strict=False)):
        if line.endswith(":") and not empty.strip() and below.startswith("    "):
            lines[place] += ":"
    lines[:] = ["`".join(part if place % 2 else part.replace("*", r"\*") for place, part in enumerate(line.split("`")))
                for line in lines]


def setup(app):
    """Fill the notebooks after sphinx-gallery has executed the scripts."""
    from notebooks import fill_notebooks

    app.connect("autodoc-process-docstring", plain_docstrings)
    app.connect("builder-inited", lambda app: fill_notebooks(Path(app.srcdir) / "gallery"), priority=900)
