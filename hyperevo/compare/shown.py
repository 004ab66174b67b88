"""The table of a comparison in a terminal: whole words and whole numbers in the width that there is."""

from collections.abc import Sequence

from rich.table import Table

GAP = 2
"""Columns of the terminal between two of the table."""

NARROWEST_TEXT = 24
"""Least width of a column of text beside numbers."""


def fitting_table(head: Sequence[str], lines: Sequence[Sequence[str]], width: int) -> tuple[Table, list[str]]:
    """Table of the columns that fit a width, and the titles of those that do not.

    The first column, of names, and the second are always there; the last one is text that may be wrapped.
    """
    words = max((len(word) for line in lines for word in line[0].split()), default=1)
    names = max((len(line[0]) for line in lines), default=1)
    least = [max(words, min(names, width // 3)), *(_natural(head[place], [line[place] for line in lines])
                                                  for place in range(1, len(head) - 1)), NARROWEST_TEXT]
    kept, room = [0, 1], width - least[0] - least[1] - GAP
    for place in range(2, len(head)):
        if least[place] + GAP > room:
            break
        kept.append(place)
        room -= least[place] + GAP
    table = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False)
    for place in kept:
        is_text = place in (0, len(head) - 1)
        spare = room if place == kept[-1] and is_text or kept[-1] != len(head) - 1 and place == 0 else 0
        table.add_column(head[place], width=least[place] + spare if is_text else least[place], no_wrap=False,
                         overflow="fold")
    for line in lines:
        table.add_row(*(line[place] for place in kept))
    return table, [head[place] for place in range(len(head)) if place not in kept]


def _natural(title: str, cells: Sequence[str]) -> int:
    """Width of a column whose cells are not broken, and whose title is broken between words only."""
    return max(map(len, [*title.split(), *cells]), default=1)
