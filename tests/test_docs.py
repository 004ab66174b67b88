"""README and docs: short enough, every page within reach, no link or config that is not there, examples that run."""

import re
import shlex
from pathlib import Path

import pytest

from hyperevo.config import load_config

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = sorted([README, *(ROOT / "docs").glob("*.md"), *(ROOT / "experiments").rglob("README.md"),
                ROOT / "benchmarks" / "README.md"])

LINK = re.compile(r"\]\(([^()\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

pytestmark = pytest.mark.skipif(not (ROOT / "docs").is_dir(), reason="a source distribution has no docs")


def fences(page: Path, language: str) -> list[str]:
    """Contents of a page's code blocks in one language."""
    return [content for name, content in FENCE.findall(page.read_text("utf-8")) if name == language]


def links(page: Path) -> list[str]:
    """Relative targets of a page's links and pictures, outside code."""
    return [target for target in LINK.findall(FENCE.sub("", page.read_text("utf-8"))) if "://" not in target]


def anchors(page: Path) -> set[str]:
    """Names that GitHub gives to a page's headings."""
    titles = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def broken(page: Path, target: str) -> bool:
    """Whether a link leads to no file of the repository, or to no heading of a page."""
    path, _, anchor = target.partition("#")
    file = (page.parent / path).resolve() if path else page
    return not (file.exists() and file.is_relative_to(ROOT)) or bool(anchor) and anchor not in anchors(file)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_pictures_lead_somewhere(page):
    assert [target for target in links(page) if broken(page, target)] == []


def test_links_are_found():
    assert "docs/results.md" in links(README)
    assert broken(README, "docs/no-such-page.md")
    assert broken(README, "docs/results.md#no-such-heading")


def test_readme_is_read_in_two_minutes():
    assert len(README.read_text("utf-8").splitlines()) <= 130


def test_readme_links_every_page():
    assert {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")} <= set(links(README))


def commands(page: Path) -> list[list[str]]:
    """Words after `python -m hyperevo` of every command of a page, but those that need a file of the reader's own."""
    lines = "".join(fences(page, "")).replace("\\\n", "").splitlines()
    words = [shlex.split(line, comments=True) for line in lines if line.startswith("python -m hyperevo ")]
    return [own[3:] for own in words if not any("mine" in word or ".py" in word for word in own)]


def configs(command: list[str]) -> tuple[list[str], list[str]]:
    """Names of configs and the overrides of a `run`, `show` or `compare`; every option here has a value."""
    options = [place for place, word in enumerate(command) if word.startswith("--")]
    words = [word for place, word in enumerate(command) if not {place, place - 1} & set(options)]
    return [word for word in words[1:] if "=" not in word], [word for word in words[1:] if "=" in word]


@pytest.mark.parametrize("page", [README, *sorted((ROOT / "docs").glob("*.md"))], ids=lambda page: page.name)
def test_commands_name_configs_and_keys_that_exist(page):
    for command in commands(page):
        names, overrides = configs(command)
        for name in names if command[0] in ("run", "show", "compare") else ():
            load_config(name, overrides)


def test_commands_are_found():
    found = [configs(command) for command in commands(README)]
    assert (["dct-mnist"], ["search.population=100"]) in found
    assert (["dct-mnist", "coordinate-mnist", "embedding-mnist"], []) in found


def test_examples_of_layers_run():
    session = {}
    for example in fences(ROOT / "docs" / "dynamic.md", "python"):
        exec(example, session)
    assert session["change"].shape == (1, 30, 16, 4)
    assert session["module"].state_dict().keys() == session["hyper"].plain_state_dict().keys()
