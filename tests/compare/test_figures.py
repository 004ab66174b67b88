"""Which rows of a comparison go into which figure."""

from dataclasses import replace

import pytest
import torch

from hyperevo.compare.figures import CAPTIONS, _sweeps, caption, comparison_figures, save_figures
from hyperevo.compare.outcomes import Outcome, read_outcomes, rows
from hyperevo.compare.plan import parse_vary, plan
from hyperevo.errors import UserError
from hyperevo.geometry import Sheet
from hyperevo.plots.comparison import spectra
from hyperevo.runs import create_run, execute

SMALL = ["task.name=digits", "task.images=40", "run.rounds=4", "run.validate_every=2", "threads=1"]
PERCEPTRON = ["target.hidden=[[3,3]]", "search={name='snes', population=8}"]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Two perceptrons that evolve, and a convolutional network that a gradient trains."""
    out = tmp_path_factory.mktemp("study")
    entries = [*plan(["dct-mnist", "coordinate-mnist"], 2, out, [*SMALL, "task.scale_outputs=2.0", *PERCEPTRON]),
               *plan(["static-mnist"], 1, out, [*SMALL, "search.steps_per_round=2", "search.schedule=constant"])]
    for entry in entries:
        execute(create_run(entry.config, entry.folder))
    return read_outcomes(entries)


def drawn(outcomes):
    return {name: draw() for name, draw in comparison_figures(rows(outcomes), outcomes)}


def legend(figure):
    return [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


def colours(figure):
    own = figure.axes[0].get_legend()
    return {text.get_text(): handle.get_color() for text, handle in zip(own.get_texts(), own.get_lines(), strict=True)}


def test_rows_that_do_not_fit_are_left_out_and_titles_say_so(outcomes):
    figures = drawn(outcomes)
    assert list(figures) == list(CAPTIONS)
    assert legend(figures["accuracy_against_genes"]) == ["dct-mnist", "coordinate-mnist", "static-mnist"]
    # Kernels are no images, and a population of one has no distribution.
    assert legend(figures["spectra"]) == ["dct-mnist", "coordinate-mnist"]
    assert len([axes for axes in figures["receptive_fields"].axes if axes.get_images()]) == 2
    assert len(figures["fitness_distribution"].axes[0].get_yticklabels()) == 2
    assert "outputs scaled to a deviation of 2" in figures["fitness_distribution"].axes[0].get_xlabel()
    titles = {name: " ".join(figure.get_suptitle().split()) for name, figure in figures.items()}
    assert titles["accuracy_against_genes"] == "scikit-learn digits: test accuracy against size"
    assert all("2 of 3 rows" in titles[name] for name in ("spectra", "receptive_fields", "fitness_distribution"))


def test_names_keep_their_colours(outcomes):
    whole = colours(drawn(outcomes)["accuracy_along_evaluations"])
    assert len(set(whole.values())) == 3
    part = [replace(outcome, result=None) if outcome.entry.name == "dct-mnist" else outcome for outcome in outcomes]
    later = drawn(part)
    assert colours(later["accuracy_along_evaluations"]) == {name: whole[name] for name in ("coordinate-mnist",
                                                                                         "static-mnist")}
    assert colours(later["spectra"]) == {"coordinate-mnist": whole["coordinate-mnist"]}


def scaled(outcome, scale):
    """The same outcome, of a task whose fitness is of another kind."""
    config = outcome.entry.config
    task = config.part("task").model_copy(update={"scale_outputs": scale})
    return replace(outcome, entry=replace(outcome.entry, config=config.model_copy(update={"task": task})))


def test_fitness_of_different_kinds_shares_no_axis(outcomes):
    mixed = [scaled(outcome, 4.0) if outcome.entry.name == "dct-mnist" else outcome for outcome in outcomes]
    axes = drawn(mixed)["fitness_distribution"].axes
    shown = [[text.get_text() for text in own.get_yticklabels()] for own in axes]
    assert shown == [["dct-mnist"], ["coordinate-mnist"]]
    assert ["deviation of 4" in own.get_xlabel() for own in axes] == [True, False]


def test_what_is_measured_in_different_ways_shares_no_axis(outcomes):
    def measured(outcome):
        return replace(outcome, result={**outcome.result, "measure": "variance explained"})

    explained = drawn([measured(outcome) for outcome in outcomes])
    assert explained["accuracy_against_genes"].axes[0].get_ylabel() == "test variance explained"
    mixed = [measured(outcome) if outcome.entry.name == "dct-mnist" else outcome for outcome in outcomes]
    assert list(drawn(mixed)) == ["receptive_fields", "spectra", "fitness_distribution"]


def test_seeds_that_are_not_finished_are_not_drawn(outcomes):
    part = [replace(outcomes[0], result=None), *outcomes[1:]]
    lines = [len(drawn(own)["accuracy_along_seconds"].axes[0].lines) for own in (outcomes, part)]
    assert lines == [5 + 3, 4 + 3]  # every seed, and the means of three names


def test_kernels_alone_have_no_place_in_an_image(outcomes):
    assert list(drawn(outcomes[-1:])) == ["accuracy_against_genes", "accuracy_along_evaluations",
                                          "accuracy_along_seconds"]


def test_nothing_finished_has_no_figure(outcomes):
    assert drawn([replace(outcome, result=None) for outcome in outcomes]) == {}


def test_figures_are_saved_and_have_captions(outcomes, tmp_path):
    paths = save_figures(rows(outcomes), outcomes, tmp_path / "new" / "figures")
    assert [path.stem for path in paths] == list(CAPTIONS)
    assert all(path.read_bytes().startswith(b"\x89PNG") and caption(path.stem) for path in paths)
    assert caption("accuracy_against_search_population") and caption("mine") == ""
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file/figures: cannot be written"):
        save_figures(rows(outcomes), outcomes, tmp_path / "file" / "figures")


def swept(tmp_path, texts, **genes):
    """Outcomes of a sweep of two seeds each that were never run; genes: how many a row searches, by its name."""
    entries = plan(["coordinate-mnist", "dct-mnist"], 2, tmp_path, SMALL, parse_vary(texts))
    return [Outcome(entry, {"test_accuracy": 0.5, "encoded_genes": genes.get(entry.name, 100), "direct_parameters": 0,
                            "data": "digits"}, None) for entry in entries]


def sweeps(outcomes):
    """Only the figures of sweeps: there is no run for others to read."""
    return {name: draw() for name, draw in _sweeps(rows(outcomes))}


def test_a_sweep_has_a_curve_for_every_config_and_other_value(tmp_path):
    figures = sweeps(swept(tmp_path, ["search.population=8,16,256", "search.deviation=0.1,0.2"]))
    assert list(figures) == ["accuracy_against_search_population", "accuracy_against_search_deviation"]
    axes = figures["accuracy_against_search_population"].axes[0]
    assert legend(axes.figure) == [f"{name} deviation={value}" for name in ("coordinate-mnist", "dct-mnist")
                                   for value in ("0.1", "0.2")]
    assert list(axes.lines[0].get_xdata()) == [8, 16, 256] and axes.get_xscale() == "log"
    assert axes.get_xlabel() == "search.population"
    assert [text.get_text() for text in axes.get_xticklabels()] == ["8", "16", "256"]
    assert figures["accuracy_against_search_deviation"].axes[0].get_xscale() == "linear"


def test_a_sweep_that_sets_the_number_of_genes_goes_along_it(tmp_path):
    entries = plan(["dct-mnist"], 2, tmp_path, SMALL, parse_vary(["encoding.coefficients=[4],[2]"]))
    genes = {"dct-mnist coefficients=[4]": 408, "dct-mnist coefficients=[2]": 40}
    own = [Outcome(entry, {"test_accuracy": 0.5 + 0.1 * entry.seed, "encoded_genes": genes[entry.name] - 10,
                           "direct_parameters": 10, "data": "digits"}, None) for entry in entries]
    [figure] = sweeps(own).values()
    axes = figure.axes[0]
    assert "searched numbers" in axes.get_xlabel() and list(axes.lines[0].get_xdata()) == [40, 408]
    assert list(axes.lines[0].get_ydata()) == pytest.approx([0.55, 0.55])
    [above] = axes.child_axes
    assert [text.get_text() for text in above.get_xticklabels()] == ["[4]", "[2]"]
    assert above.get_xlabel() == "encoding.coefficients"
    # Values that are no numbers lie beside each other.
    words = sweeps(swept(tmp_path, ["task.fitness=accuracy,cross-entropy"]))["accuracy_against_task_fitness"].axes[0]
    assert list(words.lines[0].get_xdata()) == [0, 1]
    assert sweeps(swept(tmp_path, ["search.population=8"])) == {}


def test_two_dozen_names_are_told_apart():
    names = [f"a rather long name population={2 ** place} coefficients=[8,8,{place},8]" for place in range(24)]
    figure = spectra({name: torch.randn(4, 30) for name in names[6:]}, Sheet((5, 6)), "study", names)
    lines = figure.axes[0].lines
    assert len({(line.get_color(), line.get_marker(), line.get_linestyle()) for line in lines}) == 18
    assert all(len(line) <= 32 for name in legend(figure) for line in name.split("\n"))
    assert figure.get_figwidth() > spectra({"one": torch.randn(4, 30)}, Sheet((5, 6))).get_figwidth()
