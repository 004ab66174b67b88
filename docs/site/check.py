"""Checks of the built site: every page within two clicks, no link that leads nowhere, examples with pictures, notebooks
with outputs."""

import json
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

CLICKS = 2
NOT_PAGES = {"genindex.html", "py-modindex.html", "search.html"}


class Page(HTMLParser):
    """Links and anchors of one page."""

    def __init__(self, file: Path):
        super().__init__()
        self.links: list[str] = []
        self.anchors = {""}
        self.feed(file.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in ("a", "img", "link", "script"):
            self.links += [link for link in (given.get("href"), given.get("src")) if link]
        self.anchors |= {name for name in (given.get("id"), given.get("name")) if name}


def problems(html: Path) -> list[str]:
    """Lines on what is wrong with a built site; empty where nothing is."""
    pages = {file.resolve(): Page(file) for file in html.rglob("*.html") if "_static" not in file.parts}
    return [*dead_links(pages), *far_pages(pages, html), *plain_examples(html), *silent_cells(html)]


def target_of(file: Path, link: str) -> tuple[Path, str] | None:
    """File and anchor that a link on a page leads to; None for one that leaves the site."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return None
    return (file.parent / unquote(parts.path)).resolve() if parts.path else file, unquote(parts.fragment)


def dead_links(pages: dict[Path, Page]) -> list[str]:
    """A line for every link to a file or an anchor that is not there."""
    found = []
    for file, page in pages.items():
        for link in page.links:
            target = target_of(file, link)
            if target is not None and (not target[0].exists() or (
                    target[0] in pages and target[1] not in pages[target[0]].anchors)):
                found.append(f"{file}: {link} leads nowhere")
    return found


def far_pages(pages: dict[Path, Page], html: Path) -> list[str]:
    """A line for every page that takes more than two clicks from the first."""
    reached = layer = {(html / "index.html").resolve()}
    for _ in range(CLICKS):
        layer = {target[0] for file in layer if file in pages for link in pages[file].links
                 if (target := target_of(file, link)) is not None}
        reached = reached | layer
    return [f"{file}: more than {CLICKS} clicks from the first page" for file in pages
            if file not in reached and file.name not in NOT_PAGES]


def plain_examples(html: Path) -> list[str]:
    """A line for every example without a picture."""
    pages = [file for file in (html / "gallery").glob("*.html") if file.stem not in ("index", "sg_execution_times")]
    return ["gallery: has no pages"] * (not pages) + [f"{file}: has no picture" for file in pages
                                                      if f"sphx_glr_{file.stem}_001" not in file.read_text("utf-8")]


def silent_cells(html: Path) -> list[str]:
    """A line for every code cell without output in the notebooks to download."""
    files = list((html / "_downloads").rglob("*.ipynb"))
    cells = [(file, cell) for file in files for cell in json.loads(file.read_text("utf-8"))["cells"]
             if cell["cell_type"] == "code"]
    return ["gallery: has no notebooks"] * (not files) + [
        f"{file}: no output of: {''.join(cell['source'])[:60]!r}" for file, cell in cells if not cell["outputs"]]
