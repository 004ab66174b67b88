"""Build the documentation's site, offline: `python docs/site/build.py` writes build/site/html.

The pages are the repository's own, at the paths they have there, with the gallery executed and the reference generated.
Warnings are errors, and so are pages that cannot be reached, links that lead nowhere, and examples without a picture.
"""

import shutil
import sys
import time
from pathlib import Path

from sphinx.cmd.build import main as sphinx

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(HERE), str(ROOT)]
PAGES = ("docs/*.md", "docs/*.png", "docs/*.svg", "experiments/**/README.md", "experiments/**/*.png",
         "experiments/*/run.py", "experiments/**/*.csv", "experiments/**/*.toml", "experiments/**/*.tex",
         "benchmarks/**/*", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "README.md")
"""Files that pages are made of, or link to."""


def stage(source: Path) -> None:
    """Lay out the sources of the site."""
    shutil.rmtree(source, ignore_errors=True)
    for pattern in PAGES:
        for file in ROOT.glob(pattern):
            if file.is_file() and "__pycache__" not in file.parts:
                copied = source / file.relative_to(ROOT)
                copied.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, copied)
    shutil.copytree(HERE / "gallery", source / "examples")
    shutil.copytree(HERE / "pages", source, dirs_exist_ok=True)
    index = source / "index.md"
    text = index.read_text("utf-8")
    more = [f"docs/{file.name}" for file in sorted((ROOT / "docs").glob("*.md")) if f"docs/{file.name}" not in text]
    if more:  # pages that the index does not place are found all the same
        tree = ["```{toctree}", ":caption: More", ":maxdepth: 1", "", *more, "```", ""]
        index.write_text("\n".join([text, *tree]), "utf-8")


def main() -> int:
    """Build, then check; the exit code is 0 where both went well."""
    from check import problems
    from reference import write_reference

    started, source, html = time.monotonic(), ROOT / "build/site/source", ROOT / "build/site/html"
    stage(source)
    write_reference(source / "reference")
    shutil.rmtree(html, ignore_errors=True)
    failed = sphinx(["-c", str(HERE), "-b", "html", "-W", "--keep-going", "-q", "-d", str(html.parent / "cache"), "-E",
                     str(source), str(html)])
    found = [] if failed else problems(html)
    for problem in found:
        print(f"error: {problem}", file=sys.stderr)
    print(f"{html / 'index.html'}: {'failed' if failed or found else 'built'} in {time.monotonic() - started:.0f} s")
    return int(bool(failed or found))


if __name__ == "__main__":
    raise SystemExit(main())
