"""Output of `list`: the configs that come along, grouped by their task, as wide as the terminal is."""

import ast
import re
import shutil
import textwrap
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

BESIDE = 44
"""Least width of a description beside the config's name; in a narrower terminal it stands below."""


def terminal_width() -> int:
    """Columns of the terminal, between 40 and 120."""
    return max(40, min(120, shutil.get_terminal_size((100, 24)).columns))


def listed(configs: Mapping[str, Mapping[str, Any]], width: int) -> Iterator[str]:
    """Lines on configs, values by name: a heading for every task, below it the names with their descriptions."""
    names = max(map(len, configs), default=0) + 4
    ordered = sorted(configs, key=lambda name: (configs[name]["task"]["name"], name))
    for number, (task, group) in enumerate(groupby(ordered, key=lambda name: configs[name]["task"]["name"])):
        yield from [""] * (number > 0) + [*_filled(_heading(task), width, "", "    ")]
        for name in group:
            description = configs[name].get("description", "")
            if width - names >= BESIDE:
                yield from _filled(description, width, f"  {name:{names - 2}}", " " * names)
            else:
                yield f"  {name}"
                yield from _filled(description, width, "      ", "      ")


def _filled(text: str, width: int, first: str, others: str) -> list[str]:
    """Lines of whole words; a word alone may be longer than a line."""
    return textwrap.wrap(text, width, initial_indent=first, subsequent_indent=others, break_long_words=False,
                         break_on_hyphens=False) or [first.rstrip()]


def _heading(task: str) -> str:
    """Name of a task, and the first clause of its module's docstring, which is read without importing it."""
    file = Path(__file__).parent / "tasks" / f"{task.replace('-', '_')}.py"
    text = ast.get_docstring(ast.parse(file.read_text("utf-8"))) or "" if file.is_file() else ""
    clause = re.split(r"[:;]|\.\s", " ".join(text.split()) + " ")[0].rstrip(". ")
    return f"{task}: {clause}" if clause and clause.lower() != task else task
