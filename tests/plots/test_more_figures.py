"""Figures of what a champion mistakes, of modules, of large CPPNs, of tasks and of many species."""

import networkx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import hyperevo as he
from hyperevo.components import component_names, find_component
from hyperevo.graph import Graph, Node, Topology
from hyperevo.plots import cppn_graph, save_run_figures
from hyperevo.plots.classes import confusion_matrix
from hyperevo.plots.curves import grouped_species, species_over_time
from hyperevo.plots.encodings import draw_picture
from hyperevo.plots.films import Shot, _columns, frame_strip, picture
from hyperevo.plots.modules import find_modules, modules_figure
from hyperevo.tensors import read_tensors


def test_confusion_counts_the_champions_answers(tmp_path):
    result = he.run("dct-mnist", task={"name": "digits", "images": 60}, target={"hidden": [[3, 3]]},
                    search={"population": 6}, run={"rounds": 3, "validate_every": 3}, out=tmp_path / "run")
    counts = read_tensors(tmp_path / "run" / "champion" / "examples.safetensors")["confusion"]
    assert counts.sum() == 297 and counts.shape == (10, 10)
    assert int(counts.diagonal().sum()) / 297 == pytest.approx(result["test_accuracy"])
    labels = he.task("digits").test()[1]
    assert counts.sum(1).tolist() == labels.bincount().tolist()
    assert "confusion.png" in {path.name for path in save_run_figures(tmp_path / "run")}


def test_a_confusion_matrix_shows_its_counts():
    axes = confusion_matrix(torch.tensor([[7, 3], [0, 4]]), ("cat", "dog")).axes[0]
    assert sorted(text.get_text() for text in axes.texts) == ["3", "4", "7"]
    assert axes.images[0].get_array().tolist() == [[0.7, 0.3], [0.0, 1.0]]
    assert not confusion_matrix(torch.eye(30), [str(number) for number in range(30)]).axes[0].texts
    with pytest.raises(ValueError, match="2 classes"):
        confusion_matrix(torch.eye(3), ("a", "b"))


GRAPHS = st.integers(2, 9).flatmap(lambda nodes: st.lists(st.integers(0, 3), min_size=nodes**2, max_size=nodes**2))


@given(GRAPHS)
@settings(max_examples=40, deadline=None)
def test_modularity_is_networkxs(values):
    nodes = int(len(values) ** 0.5)
    half = np.triu(np.array(values, float).reshape(nodes, nodes), 1)
    modules, quality = find_modules(half + half.T)
    groups = [{node for node in range(nodes) if modules[node] == module} for module in set(modules)]
    graph = networkx.from_numpy_array(half + half.T)
    wanted = networkx.community.modularity(graph, groups) if half.any() else 0.0
    assert quality == pytest.approx(wanted) and quality >= -1e-9


def test_two_networks_side_by_side_are_two_modules():
    layer = torch.block_diag(torch.ones(2, 3), -torch.ones(2, 3))
    modules, quality = find_modules(np.block([[np.zeros((6, 6)), layer.abs().T.numpy()],
                                              [layer.abs().numpy(), np.zeros((4, 4))]]))
    assert modules == [0, 0, 0, 1, 1, 1, 0, 0, 1, 1] and quality == pytest.approx(0.5)
    figure = modules_figure([layer, torch.zeros(1, 4)])
    assert "Q = 0.50" in figure.get_suptitle()


def large_graph(links):
    nodes = [Node("sin", "sum", tuple(range(3 + at))) for at in range(links)]
    topology = Topology(3, tuple(nodes), (links - 1,))
    weights = torch.randn(topology.links, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return Graph(topology, weights, torch.zeros(links, dtype=torch.float64), torch.ones(links, dtype=torch.float64))


def test_a_cppn_of_many_links_is_a_matrix_of_its_weights():
    graph = large_graph(18)
    figure = cppn_graph(graph, ("x", "y", "one"), ("weight",))
    drawn = np.ma.filled(figure.axes[0].images[0].get_array(), np.nan)
    assert graph.topology.links > 150 and "as a matrix" in figure.get_suptitle()
    assert sorted(drawn[~np.isnan(drawn)]) == pytest.approx(sorted(graph.weights.tolist()))
    assert drawn[1, :4] == pytest.approx(graph.weights[3:7].tolist())
    assert "as a matrix" not in cppn_graph(large_graph(8), ("x", "y", "one"), ("weight",)).get_suptitle()


def test_species_beyond_twenty_share_a_band():
    members = np.arange(1, 31)[:, None] * np.ones((1, 3))
    shown, bands = grouped_species(list(range(30)), members)
    assert shown == list(range(10, 30)) and len(bands) == 21
    assert bands.sum(0).tolist() == members.sum(0).tolist() and bands[-1, 0] == sum(range(1, 11))
    rows = [{"round": round_, "species": one, "members": one + 1} for round_ in (1, 2) for one in range(30)]
    assert "10 smaller species" in species_over_time(rows).get_supxlabel()


def test_frames_are_in_rows():
    shots = [Shot(step, 0.0, picture(np.zeros((40, 60, 3), np.uint8))) for step in range(30)]
    places = {tuple(axes.get_subplotspec().get_geometry()[:2]) for axes in frame_strip(shots).axes}
    assert places == {(3, 3)}
    assert [_columns(9, aspect) for aspect in (0.3, 1.0, 5.0)] == [3, 5, 5] and _columns(1, 1.0) == 1


@pytest.mark.parametrize("name", [name for name in component_names("task")
                                  if find_component("task", name).settings.needs_no_data])
def test_tasks_without_data_have_pictures_of_themselves(name):
    drawn = [draw_picture(own, name) for own in he.task(name).figures()]
    assert drawn and all(axes.images for figure in drawn for axes in figure.axes if axes.axison)


def test_the_marked_place_of_boxes_is_the_middle_of_the_larger():
    [own] = he.task("boxes").figures()
    for _, field, (row, column) in own.panels:
        side = slice(int(row) - 1, int(row) + 2), slice(int(column) - 1, int(column) + 2)
        assert field[side].min() > 0 and field.count_nonzero() == 10
