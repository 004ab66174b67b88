"""Curves over a run: fitness, accuracy and species."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from hyperevo.measure import ACCURACY, Measure
from hyperevo.plots._style import FAINT, INK, SMALL, TEXT, bare, new_figure

BEST, MEAN, REFINED, CHAMPION, TEST = "#0072b2", "#d55e00", "#b0559a", "#222222", "#009e73"
PEAK = 20
"""Ratio of the highest best fitness to the rounds' median above which the axis is logarithmic: a linear one would show
nothing but the peak."""
# Twelve quiet colours, neighbours far apart in hue and lightness (after Paul Tol's muted and light schemes).
SPECIES_COLOURS = ("#332288", "#ddcc77", "#117733", "#cc6677", "#88ccee", "#882255", "#44aa99", "#999933", "#aa4499",
                   "#bbcc33", "#77aadd", "#ee8866")


def column(rows: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
    """One column as floats, not-a-number where a row has no value there."""
    return np.array([float(row[name]) if row.get(name) not in (None, "") else np.nan for row in rows])


def learning_curves(rows: Sequence[Mapping[str, Any]], test_accuracy: float | None = None, label: str = "",
                    x: str = "evaluations", fitness_name: str = "fitness", measure: Measure = ACCURACY,
                    examples: str = "images") -> Figure:
    """Fitness (best, mean, spread) above accuracy (validation, champion, final test), over x: `evaluations` or `round`.
    For a search by gradient, x is its steps.

    rows: one mapping per round, with the columns of a run's metrics.csv. `measure` names and formats accuracy,
    `examples` names what networks are trained on. Raises ValueError where there are no rows.
    """
    if not rows:
        raise ValueError("learning curves need at least one round")
    learned = "learning_rate" in rows[0]
    figure = new_figure(9.5, 7.0, label, f"fitness and {measure.name}")
    upper, lower = figure.subplots(2, 1, sharex=True)
    places = column(rows, "evaluations") / column(rows, "population") if learned else column(rows, x)
    _draw_fitness(upper, rows, places)
    shown = f"on {'' if learned else 'fresh '}training images" if examples == "images" else "in training"
    upper.set_ylabel(f"{fitness_name}\n{shown}", fontsize=TEXT)
    _draw_accuracy(lower, rows, places, test_accuracy, measure)
    lower.set_ylabel(measure.name, fontsize=TEXT)
    lower.set_xlabel("steps along the gradient" if learned else {"evaluations": "networks evaluated"}.get(x, x),
                     fontsize=TEXT)
    lower.xaxis.set_major_formatter("{x:,.0f}")
    # Shares rise to the right, and leave room below.
    for axes, place in ((upper, "best"), (lower, "lower right" if measure.is_share else "best")):
        bare(axes)
        axes.legend(fontsize=SMALL, loc=place, framealpha=0.9)
    return figure


def _draw_fitness(axes: Axes, rows: Sequence[Mapping[str, Any]], places: np.ndarray) -> None:
    best, mean, deviation = (column(rows, name) for name in ("best", "mean", "deviation"))
    if (column(rows, "population") == 1).all():
        axes.plot(places, best, color=BEST, linewidth=1.2, label="the network, mean of the round")
        _limit(axes, best, best, best)
        return
    # Rounds that refine one champion measure its neighbourhood, not the population: drawn apart, as they differ.
    refining = column(rows, "phase") == 1 if "phase" in rows[0] else np.zeros(len(rows), bool)
    if refining.any():
        _band(axes, places[refining], mean[refining], deviation[refining], " around the refined champion", REFINED)
        axes.errorbar(places[~refining], mean[~refining], deviation[~refining], color=MEAN, fmt="o", markersize=4,
                      ecolor=(*to_rgb(MEAN), 0.35), elinewidth=1, capsize=2, label="mean ± deviation of the population")
    else:
        _band(axes, places, mean, deviation, "", MEAN)
    axes.plot(places, best, color=BEST, linewidth=1.2, label="best of the round")
    low = mean - deviation
    _limit(axes, best, mean, low[refining] if refining.any() else low)


def _band(axes: Axes, places: np.ndarray, mean: np.ndarray, deviation: np.ndarray, what: str, colour: str) -> None:
    axes.fill_between(places, mean - deviation, mean + deviation, color=colour, alpha=0.2, linewidth=0,
                      label=f"mean ± deviation{what}")
    axes.plot(places, mean, color=colour, linewidth=1.2, label=f"mean{what}")


def _limit(axes: Axes, best: np.ndarray, mean: np.ndarray, low: np.ndarray) -> None:
    """Set limits that leave out the first rounds' hugely negative fitness, with a note that counts the rounds cut off.
    The axis is logarithmic where a peak would otherwise flatten all other rounds."""
    if np.nanmin(best) > 0 and np.nanmin(mean) > 0 and np.nanmax(best) > PEAK * np.nanmedian(best):
        axes.set_yscale("log")
        axes.set_ylim(np.nanmin(mean) / 1.5, np.nanmax(best) * 1.5)
        axes.yaxis.set_major_formatter("{x:,g}")
        return
    top, usual = float(np.nanmax(best)), float(np.nanpercentile(low, 15))
    bottom = max(float(np.nanmin([low.min(), mean.min()])), usual - (top - usual))
    margin = 0.06 * (top - bottom) or 0.1
    axes.set_ylim(bottom - margin, top + margin)
    hidden = int((mean < bottom - margin).sum())
    if hidden:
        note = axes.annotate(f"lower than shown: the mean of {hidden} of {len(mean)} rounds", (0.012, 0.03), zorder=6,
                             xycoords="axes fraction", fontsize=SMALL, color=FAINT)
        note.set_bbox({"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": "none", "alpha": 0.85})


def _draw_accuracy(axes: Axes, rows: Sequence[Mapping[str, Any]], places: np.ndarray,
                   test_accuracy: float | None, measure: Measure) -> None:
    validation, champion = (measure.drawn(column(rows, f"{name}_accuracy")) for name in ("validation", "champion"))
    seen, kept = np.isfinite(validation), np.isfinite(champion)
    axes.plot(places[seen], validation[seen], "o", color=BEST, markersize=4, alpha=0.7,
              label="validation, best network")
    axes.plot(places[kept], champion[kept], color=CHAMPION, linewidth=1.4, drawstyle="steps-post",
              label="validation, champion so far")
    if test_accuracy is not None:
        test = measure.drawn(test_accuracy)
        axes.axhline(test, color=TEST, linewidth=1.2, linestyle="--")
        axes.plot(places[-1:], [test], "D", color=TEST, markersize=8, clip_on=False, zorder=5,
                  label=f"test, champion: {measure.text(test_accuracy)}")
    if not measure.is_share:
        return
    # Accuracies that are all near the top get an axis of the top only.
    reached = [*validation[seen][seen.sum() // 4 :], *([] if test_accuracy is None else [test_accuracy])]
    low = float(min(reached, default=0.0))
    bottom = 0.0 if low < 0.8 or low == 1 else low - 0.3 * (1 - low)
    axes.set_ylim(bottom, 1 + 0.02 * (1 - bottom))
    axes.yaxis.set_major_formatter("{x:.0%}" if bottom < 0.96 else "{x:.1%}")


MOST_SPECIES = 20
"""Largest number of species with a band of their own; all others share one."""


def species_over_time(rows: Sequence[Mapping[str, Any]], label: str = "") -> Figure:
    """Members of every species over the rounds, stacked; rows: mappings with `round`, `species` and `members`.

    A species keeps its colour for life; colours repeat after twelve species. Beyond twenty species those with the
    fewest members over all rounds are one grey band. Raises ValueError where there are no rows.
    """
    if not rows:
        raise ValueError("a run without species has no species to draw")
    rounds, species, members = tabulate_species(rows)
    shown, members = grouped_species(species, members)
    left = len(species) - len(shown)
    others = f"; the grey band is {left} smaller species" if left else ""
    figure = new_figure(10.0, 5.2, label, f"{len(species)} species over time",
                        f"a band's height is a species' members; numbers name the larger species{others}")
    axes = figure.add_subplot()
    colours = [SPECIES_COLOURS[index % len(SPECIES_COLOURS)] for index in range(len(shown))] + ["#bbbbbb"]
    axes.stackplot(rounds, members, colors=colours[: len(members)], alpha=0.85, edgecolor="white", linewidth=0.5,
                   step="post")
    _name_species(axes, rounds, shown, members)
    axes.set_xlim(rounds[0], rounds[-1] if len(rounds) > 1 else rounds[0] + 1)
    axes.set_ylim(0, members.sum(0).max())
    axes.set_xlabel("round", fontsize=TEXT)
    axes.set_ylabel("members", fontsize=TEXT)
    bare(axes)
    return figure


def grouped_species(species: Sequence[int], members: np.ndarray) -> tuple[list[int], np.ndarray]:
    """Species that have bands of their own, in order, and the bands (bands, rounds): theirs, and a last one of all
    other species, if there are any."""
    if len(species) <= MOST_SPECIES:
        return list(species), members
    large = np.sort(np.argsort(-members.sum(1), kind="stable")[:MOST_SPECIES])
    others = members.sum(0) - members[large].sum(0)
    return [species[line] for line in large], np.concatenate([members[large], others[None]])


def tabulate_species(rows: Sequence[Mapping[str, Any]]) -> tuple[np.ndarray, list[int], np.ndarray]:
    """Rounds, species in order of appearance, and members (species, rounds), zero where a species was not alive."""
    rounds = sorted({int(row["round"]) for row in rows})
    species = list(dict.fromkeys(int(row["species"]) for row in sorted(rows, key=lambda row: int(row["round"]))))
    columns, lines = ({key: index for index, key in enumerate(keys)} for keys in (rounds, species))
    members = np.zeros((len(species), len(rounds)))
    for row in rows:
        members[lines[int(row["species"])], columns[int(row["round"])]] = int(row["members"])
    return np.array(rounds), species, members


def _name_species(axes: Axes, rounds: np.ndarray, species: Sequence[int], members: np.ndarray) -> None:
    """Write a species' number where its band is high, and long enough at that height to hold the number."""
    tops, total = members.cumsum(0), members.sum(0).max()
    reach = max(len(rounds) // 40, 1)
    for line, name in enumerate(species):
        # A number needs room to both sides: the smallest height within its reach counts.
        room = np.array([members[line, max(at - reach, 0) : at + reach + 1].min() for at in range(len(rounds))])
        room[:reach] = room[len(rounds) - reach :] = 0
        at = int(room.argmax())
        if room[at] < 0.06 * total:
            continue
        text = axes.text(rounds[at], tops[line, at] - members[line, at] / 2, str(name), ha="center", va="center",
                         fontsize=SMALL, color=INK)
        text.set_bbox({"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.75})
