"""What sphinx-gallery does not do: figures that pyplot does not know, and notebooks with the outputs of their cells."""

import base64
import json
import re
from pathlib import Path

from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst

CELL = re.compile(r"^\.\. code-block:: Python\n", re.MULTILINE)
PICTURE = re.compile(r"^ *\.\. image-sg:: (\S+)", re.MULTILINE)
TEXT = re.compile(r"^ \.\. code-block:: none\n\n((?:    .*\n|\n)+)", re.MULTILINE)


def figure_scraper(block, block_vars, gallery_conf):
    """Save figures that a block made without pyplot; returns the text that shows them."""
    import matplotlib.pyplot as plt

    known = block_vars["example_globals"].setdefault("_figures_shown", [])
    of_pyplot = {id(plt.figure(number)) for number in plt.get_fignums()}
    paths = []
    for figure in [own for name, own in block_vars["example_globals"].items() if isinstance(own, Figure)]:
        if id(figure) in of_pyplot:
            known.append(figure)
        if not any(figure is own for own in known):
            known.append(figure)
            paths.append(next(block_vars["image_path_iterator"]))
            figure.savefig(paths[-1])
    return figure_rst(paths, gallery_conf["src_dir"])


def fill_notebooks(gallery: Path) -> None:
    """Give the code cells of every notebook the outputs that the page of its script shows."""
    for file in sorted(gallery.glob("*.ipynb")):
        notebook = json.loads(file.read_text("utf-8"))
        shown = CELL.split(file.with_suffix(".rst").read_text("utf-8"))[1:]
        cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        for count, (cell, page) in enumerate(zip(cells, shown, strict=True), start=1):
            cell["outputs"], cell["execution_count"] = outputs(page, gallery), count
        file.write_text(json.dumps(notebook, indent=1), "utf-8")


def outputs(page: str, gallery: Path) -> list[dict[str, object]]:
    """Outputs of one cell, from the part of the page below its code."""
    texts = [{"name": "stdout", "output_type": "stream", "text": re.sub(r"^    ", "", text, flags=re.MULTILINE).strip()}
             for text in TEXT.findall(page)]
    pictures = [{"output_type": "display_data", "metadata": {}, "data": {"image/png": base64.b64encode(
        (gallery.parent / path.lstrip("/")).read_bytes()).decode()}} for path in PICTURE.findall(page)]
    return texts + pictures
