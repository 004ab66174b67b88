"""A comparison as a table, for the terminal, for Markdown and for LaTeX."""

import html
import re
from collections.abc import Mapping, Sequence

from hyperevo.compare.outcomes import Row
from hyperevo.compare.statistics import Estimate, probability_of_improvement
from hyperevo.errors import one_line
from hyperevo.measure import Measure

HEAD = ("", "test accuracy", "inter-quartile mean", "better than the best of the others", "encoded genes",
        "direct parameters", "generated weights", "evaluations", "images", "operations", "seconds", "seeds",
        "where weights come from")

SHOWN = 4
"""Most names of parameters in a cell; the count of further ones takes the place of the last."""


def table(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """Cells of a comparison under HEAD, one line for each row, the best mean first."""
    ordered = sorted(rows, key=lambda row: -row.mean.value)
    return [(row.name, estimated(row.mean, row.measure), estimated(row.middle, row.measure),
             _against_best(row, ordered),
             *(short(row.cost(key)) for key in ("encoded_genes", "direct_parameters", "generated_weights",
                                                "evaluations", "images", "operations", "seconds")),
             f"{len(row.results)}" + (f" of {len(row.outcomes)}" if len(row.results) < len(row.outcomes) else ""),
             _origins(row.results[0].get("origins", {})))
            for row in ordered]


def _origins(origins: Mapping[str, Sequence[str]]) -> str:
    """Origins of the parameters in words: generated: a, b; direct: c."""
    there = {kind: names for kind, names in origins.items() if names}
    if len(there) == 1:
        return f"all {next(iter(there))}"
    return "; ".join(f"{kind}: {_some(names)}" for kind, names in there.items())


def _some(names: Sequence[str]) -> str:
    more = [f"{len(names) - SHOWN + 1} more"] if len(names) > SHOWN else []
    return ", ".join([*(names[: SHOWN - 1] if more else names), *more])


def _against_best(row: Row, ordered: Sequence[Row]) -> str:
    """Probability, in percent, that a seed of this row beats one of the best other row."""
    others = [other for other in ordered if other is not row]
    return f"{100 * probability_of_improvement(row.accuracies, others[0].accuracies):.0f} %" if others else ""


def estimated(estimate: Estimate, measure: Measure) -> str:
    """An estimate as text, such as 92.8 % [92.6, 93.0]; a single seed has no interval."""
    value = measure.text(estimate.value)
    if estimate.low is None or estimate.high is None:
        return value
    low, high = sorted((estimate.low, estimate.high), key=lambda bound: measure.factor * bound)
    return f"{value} [{measure.number(low)}, {measure.number(high)}]"


def short(number: float) -> str:
    """A number as text: whole up to a billion, such as 4,810, and then with two digits, such as 1.2e+13."""
    return f"{number:,.0f}" if number < 1e9 else f"{number:.2g}"


def markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    every = [list(map(plain_markdown, line)) for line in (head, *lines)]
    every.insert(1, ["---"] * len(head))
    return "\n".join(f"| {' | '.join(line)} |" for line in every) + "\n"


MARKUP = re.compile(r"[|\\`*~]|(?<!\w)_|_(?!\w)|(?<=\])\(|^[#>+-](?= )")
"""Characters that Markdown gives a meaning where they stand."""


def plain_markdown(text: str) -> str:
    """Text as Markdown that shows it as it is, HTML too."""
    return MARKUP.sub(lambda found: f"\\{found[0]}", html.escape(one_line(text), quote=False))


LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
         **{letter: f"\\{letter}" for letter in "%_#&${}"}}
"""LaTeX for letters that have a meaning in LaTeX."""


IN_LATEX = ("", "test accuracy", "encoded genes", "direct parameters", "seeds")
"""Columns of the LaTeX table, which fits a page; the first is the row's name."""


def latex_columns(head: Sequence[str], lines: Sequence[Sequence[str]]) -> tuple[list[str], list[list[str]]]:
    """Titles and lines of the columns that the LaTeX table has."""
    places = [head.index(name) for name in IN_LATEX]
    return [head[place] for place in places], [[line[place] for place in places] for line in lines]


def latex(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A LaTeX tabular as wide as a page's text, for the package booktabs: names to the left, numbers to the right."""
    def cells(line: Sequence[str]) -> str:
        return " & ".join(_power(_plain_latex(text)) for text in line) + r" \\"

    columns = rf"@{{}}p{{0.25\linewidth}}{'r' * (len(head) - 1)}@{{}}"
    titles = " & ".join(map(_title, head)) + r" \\"
    return "\n".join([r"{\small", rf"\begin{{tabular}}{{{columns}}}", r"\toprule", titles, r"\midrule",
                      *(cells(line) for line in lines), r"\bottomrule", r"\end{tabular}}"]) + "\n"


def _title(text: str) -> str:
    """Title of a LaTeX column, in two lines where it has two words."""
    first, _, others = _plain_latex(text).partition(" ")
    return rf"\shortstack[r]{{{first}\\{others}}}" if others else first


def _plain_latex(text: str) -> str:
    """Text as LaTeX that shows it as it is."""
    return "".join(LATEX.get(letter, letter) for letter in one_line(text))


def _power(text: str) -> str:
    """Replace a number such as 7.6e+10 by its LaTeX with a power of ten."""
    return re.sub(r"^([\d.]+)e\+0*(\d+)$", r"$\1 \\times 10^{\2}$", text)
