import json
import struct
import zlib

import pytest
import torch

from hyperevo.config import check_config, config_text, config_values
from hyperevo.encodings import build_encoding
from hyperevo.errors import UserError
from hyperevo.genotypes import pack_genotype
from hyperevo.geometry import Sheet
from hyperevo.graph import Graph, Node, Topology
from hyperevo.plots import run_figures as module
from hyperevo.plots import save_run_figures
from hyperevo.plots.run_figures import open_view, save_figure
from hyperevo.runs.checkpoint import Checkpoint, write_checkpoint
from hyperevo.runs.files import read_rows, write_folder, write_json
from hyperevo.runs.own_files import _figures
from hyperevo.runs.task_facts import read_task
from hyperevo.targets import mlp

ENCODINGS = {"dct": {"coefficients": [3]}, "direct": {}, "coordinate": {"hidden": [3], "direct": ["readout.bias"]},
             "cppn": {"patterns": ["readout.weight"], "delta": True}}
CLASSES = "abcdefghij"
COMMON = {"learning_curves", "receptive_fields", "readout_maps", "filmstrip"}
EXPECTED = {"dct": {"dct_coefficients_hidden.weight", "dct_coefficients_readout.weight"}, "direct": set(),
            "coordinate": set(),
            "cppn": {"species_over_time", "cppn_graph", "cppn_nodes_hidden.weight", "cppn_nodes_readout.weight"}}


def make_config(name):
    # Any search will do: figures do not build it.
    return check_config({"task": {"name": "digits"}, "target": {"name": "mlp", "hidden": [[3, 2]]},
                         "encoding": {"name": name, **ENCODINGS[name]}, "search": {"name": "snes"},
                         "run": {"rounds": 9, "validate_every": 2}, "seed": 5}, "test")


def make_genotype(config):
    encoding = build_encoding(config.encoding, mlp.build(config.target, Sheet((8, 8)), 10).geometry,
                              torch.device("cpu"))
    if encoding.genes:
        return torch.randn(encoding.genes, generator=torch.Generator().manual_seed(0))
    count, wanted = len(encoding.input_names), len(encoding.output_names)
    nodes = [Node("sin", "sum", (0, 2)), *(Node("tanh", "sum", (count, at % count)) for at in range(wanted))]
    topology = Topology(count, tuple(nodes), tuple(range(1, wanted + 1)))
    return Graph(topology, torch.linspace(-1, 1, topology.links, dtype=torch.float64),
                 torch.zeros(len(nodes), dtype=torch.float64), torch.ones(len(nodes), dtype=torch.float64))


def make_run(folder, name, finished=True):
    """A run folder as hyperevo.runs writes it, made by hand; returns its config."""
    config = make_config(name)
    for own in ("", "filmstrip", "checkpoint"):
        (folder / own).mkdir()
    (folder / "config.toml").write_text(config_text(config))
    write_json(folder / "task.json", {"data": "digits", "inputs": [8, 8], "classes": 10, "class_names": [*CLASSES]})
    lines = ["round,evaluations,best,mean,deviation,validation_accuracy,champion_accuracy"]
    lines += [f"{number},{number * 10},-{1 / number},-2,0.5,{'0.4,0.4' if number % 2 == 0 else ','}"
              for number in range(1, 10)]
    (folder / "metrics.csv").write_text("\n".join(lines) + "\n10,100,-0.")
    if name == "cppn":
        (folder / "species.csv").write_text("round,species,members\n1,1,10\n2,1,6\n2,2,4\n")
    genotype = make_genotype(config)
    for number in (2, 4):
        write_folder(folder / "filmstrip" / f"{number:06d}", *pack_genotype(genotype))
    add_champion(folder, config, genotype, finished)
    return config


def add_champion(folder, config, genotype, finished):
    if finished:
        plain, tensors = pack_genotype(genotype)
        write_folder(folder / "champion", {"genotype": plain, "round": 4, "validation_accuracy": 0.4}, tensors)
        write_json(folder / "result.json", {
            "name": "run", "data": "digits", "test_accuracy": 0.39, "test_images": 297, "validation_accuracy": 0.4,
            "champion_round": 4, "rounds": 9, "evaluations": 90, "images": 90, "seconds": 1.0, "seed": 5,
            "encoded_genes": 1, "direct_parameters": 1, "generated_weights": 1})
    else:
        write_checkpoint(folder, Checkpoint(config_values(config), 4, 40, 1.0, {}, {}, genotype, 4, 0.4))


def assert_whole_png(path):
    content = path.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    start, last = 8, b""
    while start < len(content):
        size, last = struct.unpack(">I4s", content[start : start + 8])
        assert zlib.crc32(content[start + 4 : start + 8 + size]) == struct.unpack(
            ">I", content[start + 8 + size : start + 12 + size])[0]
        start += 12 + size
    assert last == b"IEND"


@pytest.mark.parametrize("name", ENCODINGS)
def test_every_figure_that_applies_is_written_whole(tmp_path, name):
    make_run(tmp_path / "run", name)
    paths = save_run_figures(tmp_path / "run")
    assert {path.stem for path in paths} == COMMON | EXPECTED[name]
    assert sorted(path.name for path in (tmp_path / "run" / "figures").iterdir()) == sorted(path.name for path in paths)
    for path in paths:
        assert_whole_png(path)


def test_outputs_that_are_no_classes_have_projective_fields_and_a_measure_of_their_own(tmp_path):
    make_run(tmp_path / "run", "direct")
    write_json(tmp_path / "run" / "task.json", {"data": "digits", "inputs": [8, 8], "classes": 10, "class_names": [],
                                                "measure": "variance explained"})
    figures = dict(module.run_figures(open_view(tmp_path / "run")))
    assert figures.keys() == COMMON - {"readout_maps"} | {"projective_fields"}
    curves = figures["learning_curves"]()
    assert "fitness and variance explained" in curves.get_suptitle()
    assert curves.axes[1].get_ylabel() == "variance explained"


def titles(folder):
    return [draw().get_suptitle().replace("\n", " ") for _, draw in module.run_figures(open_view(folder))]


def test_every_title_names_the_run_the_seed_and_the_data(tmp_path):
    make_run(tmp_path / "dct-digits", "dct")
    found = titles(tmp_path / "dct-digits")
    assert len(found) == len(COMMON | EXPECTED["dct"])
    assert all("dct-digits (seed 5) on scikit-learn digits:" in title for title in found)


def test_shuffled_pixels_are_drawn_where_they_are_in_the_image(tmp_path):
    config = make_run(tmp_path / "run", "direct")
    plain = open_view(tmp_path / "run")
    task = config.task.model_copy(update={"shuffle_pixels": 7})
    (tmp_path / "run" / "config.toml").write_text(config_text(config.model_copy(update={"task": task})))
    view = open_view(tmp_path / "run")
    image, weights = torch.randn(64), view.weights["hidden.weight"]
    read = image[torch.randperm(64, generator=torch.Generator().manual_seed(7))]  # as the task shuffles it
    torch.testing.assert_close(view.over_image("hidden.weight", weights) @ image, weights @ read)
    readout = view.weights["readout.weight"]
    assert torch.equal(view.over_image("readout.weight", readout), readout)
    assert torch.equal(plain.over_image("hidden.weight", weights), weights) and not plain.remark("hidden.weight")
    figures = {name: draw() for name, draw in module.run_figures(view)}
    for name in ("receptive_fields", "filmstrip"):
        assert "shuffled pixels are drawn where they are" in " ".join(figures[name].get_supxlabel().split())
        assert "digits with shuffled pixels" in figures[name].get_suptitle()
    assert "shuffled pixels are" not in figures["readout_maps"].get_supxlabel()
    frames = [weights for _, weights in module._frames(view, "hidden.weight")]
    assert torch.equal(frames[0], view.over_image("hidden.weight", weights))


def test_an_unfinished_run_says_so_in_every_title(tmp_path):
    make_run(tmp_path / "run", "cppn", finished=False)
    found = titles(tmp_path / "run")
    assert len(found) == len(COMMON | EXPECTED["cppn"])
    assert all("unfinished, round 4 of 9" in title for title in found)


def test_figures_are_the_same_every_time(tmp_path):
    make_run(tmp_path / "run", "direct")
    first = [path.read_bytes() for path in save_run_figures(tmp_path / "run")]
    assert first == [path.read_bytes() for path in save_run_figures(tmp_path / "run")]


def test_a_run_without_a_champion(tmp_path):
    config = make_run(tmp_path / "run", "direct", finished=False)
    write_checkpoint(tmp_path / "run", Checkpoint(config_values(config), 5, 50, 1.0, {}, {}, None, 0, 0.0))
    with pytest.raises(UserError, match="no champion yet after round 5 of 9") as caught:
        save_run_figures(tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run" / "figures").exists()


@pytest.mark.parametrize(("damage", "problem"), [
    (lambda run: (run / "task.json").unlink(), "/task.json: cannot be read"),
    (lambda run: (run / "task.json").write_text('{"data": "digits"}'), "/task.json: inputs: Field required"),
    (lambda run: (run / "task.json").write_text('{"data'), "/task.json: is cut short or damaged"),
    (lambda run: (run / "config.toml").unlink(), ": is not a run: it has no config.toml"),
    (lambda run: (run / "champion" / "tensors.safetensors").write_bytes(b"short"),
     "/champion/tensors.safetensors: is cut short or damaged"),
    (lambda run: (run / "champion" / "state.json").write_text("{}"), "/champion/state.json: genotype: Field required"),
    (lambda run: (run / "figures").write_text("a file where the folder should be"), "/figures: cannot be written"),
    (lambda run: (run / "task.json").write_text(
        json.dumps({"data": "digits", "inputs": [9, 9], "classes": 3, "class_names": ["a", "b", "c"]})),
     "/task.json: has 81 inputs and 3 outputs, and the config's task 64 and 10"),
])
def test_a_damaged_run_is_a_one_line_error(tmp_path, damage, problem):
    make_run(tmp_path / "run", "direct")
    damage(tmp_path / "run")
    with pytest.raises(UserError, match=f"^{tmp_path}/run{problem}") as caught:
        save_run_figures(tmp_path / "run")
    assert "\n" not in str(caught.value)


def test_a_figure_that_fails_leaves_nothing(tmp_path):
    class Failing:
        def findobj(self, kind):
            return []

        def savefig(self, path, **options):
            path.write_bytes(b"half")
            raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        save_figure(Failing(), tmp_path / "figure.png")
    assert list(tmp_path.iterdir()) == []


def test_a_line_cut_short_is_left_out(tmp_path):
    make_run(tmp_path / "run", "direct")
    assert [row["round"] for row in read_rows(tmp_path / "run" / "metrics.csv")] == [str(n) for n in range(1, 10)]
    assert read_rows(tmp_path / "run" / "no.csv") == []


def test_read_task(tmp_path):
    make_run(tmp_path / "run", "direct")
    task = read_task(tmp_path / "run")
    assert (task.data, task.inputs, task.outputs, task.class_names) == ("digits", Sheet((8, 8)), 10, tuple(CLASSES))


def test_formats_of_the_config_or_of_the_caller_are_drawn_and_known_as_a_runs_own(tmp_path):
    make_run(tmp_path / "run", "dct")
    paths = save_run_figures(tmp_path / "run", formats=["svg", "pdf"])
    assert {path.suffix for path in paths} == {".svg", ".pdf"} and len({path.stem for path in paths}) * 2 == len(paths)
    first = [path.read_bytes() for path in paths]
    assert first[0].startswith(b"<?xml") and first[1].startswith(b"%PDF")
    assert first == [path.read_bytes() for path in save_run_figures(tmp_path / "run", formats=["svg", "pdf"])]
    (tmp_path / "run" / "figures" / "mine.pdf").write_bytes(first[1].replace(b"hyperevo", b"somebody"))
    assert set(_figures(tmp_path / "run")) == set(paths)
    said = []
    save_run_figures(tmp_path / "run", observe=lambda done, total, name: said.append((done, total, name)))
    assert [done for done, _, _ in said] == list(range(said[0][1])) and "learning_curves" in {name for *_, name in said}
