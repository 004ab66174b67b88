"""The report of a comparison: one self-contained HTML file, which needs no other files and no network."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from math import isqrt
from pathlib import Path

import matplotlib
from jinja2 import Environment, StrictUndefined
from PIL import Image
from torch import Tensor

from hyperevo.compare.dots import dots, link_to, seed_values
from hyperevo.compare.figures import caption
from hyperevo.compare.outcomes import Outcome, by_name, rows, unfinished
from hyperevo.compare.plan import BUDGETS, as_text
from hyperevo.compare.tables import HEAD, table
from hyperevo.config import RunConfig, Values, config_text, config_values
from hyperevo.errors import UserError
from hyperevo.geometry import Sheet
from hyperevo.measure import ACCURACY, Measure
from hyperevo.plots._style import DIVERGING, DPI, GAP, symmetric_limit, tiled
from hyperevo.plots.run_figures import _frames, open_view
from hyperevo.plots.run_view import shown_data
from hyperevo.plots.weights import _middles, _spread, by_channel
from hyperevo.reading import read_text
from hyperevo.runs.files import write_text
from hyperevo.runs.schemas import METRICS, EnvironmentFile, read_checked, read_log
from hyperevo.toml import MOST_BYTES, flatten

TILES = 6
"""Units along each side of a filmstrip's frame."""

LEVELS = 33
"""Count of colours of a frame. With so few, a lossless picture takes about as many bytes as a lossy one; a lossy one
would mix the colours of neighbouring weights, which ruins weights that look like noise."""

WIDTH = 346
"""Largest width of a frame, in pixels of the page: three seeds fit beside each other."""

INCH = 112
"""Pixels of the page per inch of a figure, at which its letters are about as large as the text's."""


@dataclass(frozen=True)
class Frame:
    """A champion's weights: their round in words, their picture as a data URI, and its width in pixels of the page."""

    when: str
    picture: str
    width: int


@dataclass(frozen=True)
class Run:
    """One run as the report shows it."""

    seed: int
    state: str
    scale: str
    """Meaning of the frames' colours in words; empty without frames."""
    frames: Sequence[Frame]
    link: str
    """Address of the run's folder, relative to the report's; empty where it is elsewhere."""


def write_report(outcomes: Sequence[Outcome], path: Path, title: str, notes: Sequence[str],
                 figures: Sequence[Path]) -> None:
    """Write the report of the runs on disk, whole or not at all; the same runs give the same bytes.

    notes: differences that make the comparison less than fair, a sentence each; figures: PNG files, shown in this
    order. Raises UserError where a finished run cannot be read.
    """
    template = resources.files("hyperevo.compare").joinpath("report.html.jinja").read_text("utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    runs = {name: [_run(outcome, path.parent) for outcome in own] for name, own in by_name(outcomes)}
    head, lines, sorted_by = _table(outcomes)
    write_text(path, environment.from_string(template).render(
        title=title, notes=notes, missing=len(unfinished(outcomes)), every=len(outcomes), absent=_absent(outcomes),
        facts=_facts(outcomes), values=seed_values(outcomes), dots=dots(rows(outcomes)), head=head, lines=lines,
        sorted_by=sorted_by, runs=runs, configs=_configs(outcomes), numbers=range(1, len(HEAD) - 1), tiles=TILES,
        frame_width=WIDTH, figures=[_figure(file) for file in figures], environments=_environments(outcomes)))


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _figure(file: Path) -> Values:
    with Image.open(file) as picture:
        width = round(picture.width / DPI * INCH)
    return {"name": file.stem.replace("_", " "), "picture": _data_uri("png", file.read_bytes()), "width": width,
            "caption": caption(file.stem)}


def _absent(outcomes: Sequence[Outcome]) -> list[tuple[str, str]]:
    """Seeds without a result and their progress, by name."""
    return [(name, ", ".join(f"seed {outcome.entry.seed} ({_progress(outcome)})" for outcome in own))
            for name, own in by_name(unfinished(outcomes))]


def _progress(outcome: Outcome) -> str:
    metrics = read_log(outcome.entry.folder / "metrics.csv", METRICS)
    if not metrics:
        return "stands before its first round" if (outcome.entry.folder / "config.toml").is_file() else "not begun"
    return f"stands at round {int(metrics[-1]['round']):,}"


def _facts(outcomes: Sequence[Outcome]) -> list[tuple[str, str]]:
    """Facts about the comparison, (term, text) each: runs, data, and what the configs share."""
    configs = [outcome.entry.config for outcome in outcomes]
    every = [dict(flatten(config_values(config))) for config in configs]
    data = dict.fromkeys(shown_data(config, config.task.data_set()) for config in configs)
    seeds = sorted({outcome.entry.seed for outcome in outcomes})
    names = len(dict.fromkeys(outcome.entry.name for outcome in outcomes))
    return [("Runs", f"{names} rows, {len(outcomes)} runs; seeds {', '.join(map(str, seeds))}"),
            ("Data", " and ".join(data)), ("Task", _settings("task", every)),
            ("Target network", _settings("target", every)), ("Budget of a run", _budget(every))]


def _settings(kind: str, every: Sequence[Mapping[str, object]]) -> str:
    """Settings of one part that are the same for all runs, and the keys of those that are not."""
    keys = [key for key in dict.fromkeys(key for values in every for key in values) if key.startswith(f"{kind}.")]
    same = [key for key in keys if all(key in values and values[key] == every[0][key] for values in every)]
    texts = [f"{key.removeprefix(f'{kind}.')} {as_text(every[0][key])}" for key in same if key != f"{kind}.name"]
    if f"{kind}.name" in same:
        texts.insert(0, as_text(every[0][f"{kind}.name"]))
    differ = [key.removeprefix(f"{kind}.") for key in keys if key not in same]
    return "; ".join([", ".join(texts)] * bool(texts) + [f"not the same for all: {', '.join(differ)}"] * bool(differ))


def _budget(every: Sequence[Values]) -> str:
    texts = []
    for kind in BUDGETS:
        amounts = [values[f"run.{kind}"] for values in every if f"run.{kind}" in values]
        if amounts:
            texts.append(f"{_range(amounts)} {kind}" + ("" if len(amounts) == len(every) else " for some rows"))
    return ", ".join(texts) or f"none; {_range([values['run.rounds'] for values in every])} rounds"


def _range(amounts: Sequence[float]) -> str:
    least, most = min(amounts), max(amounts)
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def _table(outcomes: Sequence[Outcome]) -> tuple[list[str], list[list[str]], int]:
    """Titles, one line for every name, and the index of the column that sorts them; names without a finished seed are
    last."""
    finished = rows(outcomes)
    measures = {row.measure for row in finished}
    measure = measures.pop() if len(measures) == 1 else ACCURACY
    lines = [list(line) for line in table(finished)]
    for name, own in by_name(outcomes):
        if name not in {line[0] for line in lines}:
            lines.append([name, *[""] * (len(HEAD) - 3), f"0 of {len(own)}", ""])
    head = [title.replace("accuracy", measure.name) for title in HEAD]
    return ["row", *head[1:]], lines, HEAD.index("test accuracy")


def _run(outcome: Outcome, out: Path) -> Run:
    result, seed, link = outcome.result, outcome.entry.seed, link_to(outcome.entry.folder, out)
    try:
        view = open_view(outcome.entry.folder)
    except UserError:
        if result is not None:
            raise
        return Run(seed, f"unfinished: {_progress(outcome)}", "", (), link)
    if result is None:
        state, last = f"unfinished: {_progress(outcome)}", "the best so far"
    else:
        measure = Measure.read(result)
        state = f"test {measure.name} {measure.text(result['test_accuracy'])}"
        last = f"the final champion, of round {result['champion_round']:,}"
    if not view.matrices:
        return Run(seed, state, "", (), link)
    name, sheets = next(iter(view.matrices.items()))
    stages = [(f"round {number:,}", weights) for number, weights in _frames(view, name)]
    stages.append((last, view.over_image(name, view.weights[name])))
    limit = symmetric_limit([weights for _, weights in stages])
    frames = [Frame(when, *_picture(weights, *sheets, limit)) for when, weights in stages]
    scale = "; ".join([f"{name}, blue −{limit:.2g} to red {limit:.2g}", *filter(None, [view.remark(name)])])
    return Run(seed, state, scale, frames, link)


def _picture(weights: Tensor, target: Sheet, source: Sheet, limit: float) -> tuple[str, int]:
    """Some units' weights as tiles: a data URI, and its width in pixels of the page."""
    if len(source.sizes) == 3:
        weights, target, source = by_channel(weights, target, source)
    units, shown = _chosen(target)
    levels = (tiled(weights[units], shown, source) / limit).clamp(-1, 1) * (LEVELS // 2)
    colours = matplotlib.colormaps[DIVERGING].with_extremes(bad=GAP)
    pixels = colours((levels.round() / (LEVELS // 2) + 1).numpy() / 2, bytes=True)[..., :3]
    content = io.BytesIO()
    # For lossless pictures quality is the effort: more takes three times as long for three bytes in a hundred.
    Image.fromarray(pixels).save(content, "WEBP", lossless=True, quality=20)
    width = pixels.shape[1]
    return _data_uri("webp", content.getvalue()), width * max(WIDTH // width, 1)


def _chosen(target: Sheet) -> tuple[Tensor, Sheet]:
    """Indices of units spread evenly over a sheet, and the sheet they are shown on, a square for those of a line."""
    if target.units > target.sizes[-1]:
        return _spread(target, TILES)
    side = min(isqrt(target.units), TILES)
    return _middles(target.units, side**2), Sheet((side, side))


def _configs(outcomes: Sequence[Outcome]) -> list[tuple[str, str]]:
    """Resolved config of every name's first seed; where that ran, as it ran, with the checksum of its data."""
    return [(name, _config_text(own[0].entry.folder / "config.toml", own[0].entry.config))
            for name, own in by_name(outcomes)]


def _config_text(path: Path, config: RunConfig) -> str:
    return read_text(path, MOST_BYTES) if path.is_file() else config_text(config)


def _environments(outcomes: Sequence[Outcome]) -> list[tuple[str, str]]:
    """Environments of the runs, key by key: one value where all agree, else all different ones."""
    files = [outcome.entry.folder / "environment.json" for outcome in outcomes]
    every = [dict(flatten(read_checked(file, EnvironmentFile))) for file in files if file.is_file()]
    keys = dict.fromkeys(key for values in every for key in values)
    return [(key, _values([values[key] for values in every if key in values])) for key in keys]


def _values(values: Sequence[object]) -> str:
    numbers = sorted({value for value in values if isinstance(value, int | float)})
    different = [*numbers, *sorted({as_text(value) for value in values if not isinstance(value, int | float)})]
    if len(different) > 2 and len(numbers) == len(different):
        return f"{different[0]:g} to {different[-1]:g}"
    return " or ".join(map(as_text, different))
