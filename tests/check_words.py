"""Finds docstrings that do not name their subject first. `make lint` runs it: python tests/check_words.py hyperevo

A docstring is read alone, in a hover, and there one that opens with a question word or a preposition explains nothing.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

OPENINGS = ("What", "How", "Where", "Whether", "Which", "Who", "Whose", "Of", "By", "As", "From", "With", "In", "On",
            "For", "And", "The same")
OPENING = re.compile(rf"\s*({'|'.join(OPENINGS)})\b", re.IGNORECASE)


def docstrings(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of every string that is a statement by itself: of modules, classes, functions and attributes."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, node.value.value


def faults(folder: Path) -> list[str]:
    """One line for every docstring below a folder that opens with one of OPENINGS."""
    found = []
    paths = sorted(folder.rglob("*.py"))
    if not paths:
        return [f"{folder}: no Python files in it"]
    for path in paths:
        for line, text in sorted(docstrings(path.read_text(encoding="utf-8"))):
            if opening := OPENING.match(text):
                found.append(f"{path}:{line}: a docstring opens with {opening[1]!r}; name its subject first, a noun "
                             "for a value, a verb for a function")
    return found


if __name__ == "__main__":
    faulty = faults(Path(sys.argv[1]))
    print(*faulty, sep="\n", end="\n" * bool(faulty), file=sys.stderr)
    sys.exit(bool(faulty))
