import subprocess
import sys

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from scipy.spatial.distance import pdist
from sklearn.decomposition import PCA

from hyperevo.geometry import Sheet
from hyperevo.graph import Graph, Node, Topology
from hyperevo.measure import BITS_PER_CHARACTER
from hyperevo.plots import (
    cppn_graph,
    cppn_nodes,
    dct_coefficients,
    embedding_map,
    filmstrip,
    learning_curves,
    projective_fields,
    readout_maps,
    receptive_fields,
    species_over_time,
)
from hyperevo.plots._layout import lay_out, live_nodes, spaced
from hyperevo.plots._style import mosaic, symmetric_limit, tiled
from hyperevo.plots.curves import MOST_SPECIES, SPECIES_COLOURS, tabulate_species
from hyperevo.plots.embeddings import principal_components
from hyperevo.plots.weights import by_channel

LABEL = "run (seed 0) on MNIST"


def random_weights(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def images(figure):
    return [image for axes in figure.axes for image in axes.get_images()]


def maps(figure):
    """Images that show data, not those of colour bars."""
    return [image for image in images(figure) if image.get_cmap().name.startswith("RdBu")]


def title(figure):
    return figure.get_suptitle().replace("\n", " ")


def make_graph(nodes, outputs, inputs=5):
    topology = Topology(inputs, tuple(nodes), tuple(outputs))
    return Graph(topology, random_weights(topology.links), random_weights(len(nodes)), torch.ones(len(nodes)))


def assert_symmetric(figure):
    assert maps(figure)
    for image in maps(figure):
        low, high = image.get_clim()
        assert low == -high < 0


@pytest.mark.parametrize(("target", "source"), [((16, 16), (28, 28)), ((8, 8), (8, 8)), ((3, 5), (4, 2)), ((7,), (3,)),
                                                ((2, 3, 4), (5, 6))])
def test_every_tile_is_at_its_units_place(target, source):
    target, source = Sheet(target), Sheet(source)
    weights = torch.arange(target.units)[:, None].expand(-1, source.units).double()
    picture = tiled(weights, target, source)
    rows, columns = (target.units // target.sizes[-1], target.sizes[-1])
    height, width = ((size + 1) // count for size, count in zip(picture.shape, (rows, columns), strict=True))
    for row in range(rows):
        for column in range(columns):
            tile = picture[row * height : (row + 1) * height - 1, column * width : (column + 1) * width - 1]
            assert (tile == row * columns + column).all()
    shown = rows * columns * (height - 1) * (width - 1)
    assert picture.isfinite().sum() == shown
    assert picture.isnan().sum() == picture.numel() - shown > 0


def test_a_tile_keeps_its_orientation():
    picture = mosaic(torch.arange(6.0).reshape(1, 6), Sheet((1, 1)), Sheet((2, 3)))
    assert picture.tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(("target", "source"), [((16, 16), (28, 28)), ((3, 5), (4, 2)), ((7,), (9,))])
def test_receptive_fields(target, source):
    target, source = Sheet(target), Sheet(source)
    weights = random_weights(target.units, source.units)
    figure = receptive_fields(weights, target, source, LABEL)
    assert isinstance(figure, Figure)
    assert len(maps(figure)) == 1
    assert_symmetric(figure)
    assert title(figure) == f"{LABEL}: receptive fields"
    assert maps(figure)[0].get_clim()[1] == pytest.approx(np.percentile(weights.abs().numpy(), 99.5), rel=1e-5)


def test_projective_fields_are_what_every_unit_writes():
    target, source = Sheet((30, 25)), Sheet((2, 3))
    weights = torch.arange(6.0).expand(750, 6)  # one value for everything that a source unit writes
    figure = projective_fields(weights, target, source, LABEL)
    picture, = maps(figure)
    np.testing.assert_array_equal(picture.get_array()[15::31, 12::26], [[0, 1, 2], [3, 4, 5]])
    assert_symmetric(figure)
    assert title(figure) == f"{LABEL}: projective fields"


def test_fields_of_lines_are_one_below_the_other():
    weights = random_weights(3, 8)
    picture, = maps(projective_fields(weights, Sheet((3,)), Sheet((8,)), LABEL))
    shown = picture.get_array()
    assert shown.shape == (8 * 9 - 1, 3 * 8) and np.array_equal(shown[::9, ::8], weights.T)
    picture, = maps(projective_fields(weights[:1], Sheet((1,)), Sheet((8,)), LABEL))
    assert picture.get_array().shape == (24, 8 * 25 - 1)


@pytest.mark.parametrize("classes", [1, 3, 10])
def test_readout_maps(classes):
    weights = random_weights(classes, 6)
    figure = readout_maps(weights, Sheet((2, 3)), [f"class {unit}" for unit in range(classes)], LABEL)
    shown = maps(figure)
    assert len(shown) == classes
    assert_symmetric(figure)
    for unit, image in enumerate(shown):
        np.testing.assert_allclose(image.get_array(), weights[unit].reshape(2, 3).numpy())
        assert image.axes.get_title() == f"class {unit}"
    assert len({image.get_clim() for image in shown}) == 1


@pytest.mark.parametrize("count", [1, 5, 12])
def test_filmstrip(count):
    frames = [(10 * number, random_weights(30, 6) * number) for number in range(1, count + 1)]
    figure = filmstrip(frames, Sheet((5, 6)), Sheet((2, 3)), LABEL)
    shown = maps(figure)
    assert [image.axes.get_title() for image in shown] == [f"round {number}" for number, _ in frames]
    assert len({image.get_clim() for image in shown}) == 1
    assert_symmetric(figure)


def test_filmstrip_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one frame"):
        filmstrip([], Sheet((2, 2)), Sheet((2, 2)))


def test_symmetric_limit_of_nothing_and_of_sparse_weights():
    assert symmetric_limit(torch.zeros(5)) == 1
    sparse = torch.zeros(10_000)
    sparse[3] = -2
    assert symmetric_limit(sparse) == 2
    assert symmetric_limit(torch.tensor([torch.nan, -1.0])) == 1


@pytest.mark.parametrize(("target", "source"), [((4, 3), (2, 5)), ((2, 5), (8, 8)), ((6,), (20,))])
def test_dct_coefficients(target, source):
    target_units, source_units = int(np.prod(target)), int(np.prod(source))
    coefficients = random_weights(target_units, source_units)
    figure = dct_coefficients(coefficients, target, source, LABEL, "readout.weight")
    assert len(maps(figure)) == 1
    assert_symmetric(figure)
    axes = figure.axes[0]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == [str(number) for number in range(target[0])]
    assert "readout.weight" in title(figure)
    if len(target) == 1:
        np.testing.assert_allclose(maps(figure)[0].get_array(), coefficients.numpy(), rtol=1e-6)


def metrics(rounds=40, phase=False):
    rows = []
    for number in range(1, rounds + 1):
        best = -1.0 - 1e6 * (number < 3) - 1 / number
        row = {"round": number, "evaluations": 10 * number, "best": best, "mean": best - 1, "deviation": 0.5,
               "validation_accuracy": 0.5 if number % 5 == 0 else "", "champion_accuracy": 0.5 if number >= 5 else ""}
        rows.append({key: str(value) for key, value in row.items()} | ({"phase": str(number % 2)} if phase else {}))
    return rows


@pytest.mark.parametrize("phase", [False, True])
def test_learning_curves_leave_out_the_hugely_negative_start(phase):
    figure = learning_curves(metrics(phase=phase), 0.47, LABEL)
    upper, lower = figure.axes
    low, high = upper.get_ylim()
    assert -10 < low < -2.5 < -1 < high < 1
    assert any("the mean of 2 of 40 rounds" in text.get_text() for text in upper.texts)
    assert any("47.00 %" in text.get_text() for text in lower.get_legend().get_texts())


def test_learning_curves_have_a_log_axis_where_the_last_rounds_tower_above_the_others():
    rows = [{"round": place, "evaluations": 10 * place, "population": 10, "best": best, "mean": 1.0, "deviation": 2.0}
            for place, best in enumerate([1.5, 2.0, 2.0, 3.0, 500.0])]
    upper = learning_curves(rows, None, LABEL, examples="patterns").axes[0]
    assert upper.get_yscale() == "log" and upper.get_ylim()[0] < 1 < 500 < upper.get_ylim()[1]
    assert upper.get_ylabel() == "fitness\nin training"
    upper = learning_curves(rows[:-1], None, LABEL).axes[0]
    assert upper.get_yscale() == "linear" and upper.get_ylabel() == "fitness\non fresh training images"


def test_learning_curves_of_one_network_are_one_line():
    rows = [row | {"population": "1", "learning_rate": "0.1"} for row in metrics()]
    upper, _ = learning_curves(rows, -1.3, LABEL, fitness_name="fitness (minus nats per character)",
                               measure=BITS_PER_CHARACTER, examples="characters").axes
    assert [text.get_text() for text in upper.get_legend().get_texts()] == ["the network, mean of the round"]
    assert upper.get_ylabel() == "fitness (minus nats per character)\nin training"


def test_learning_curves_of_one_round_without_accuracy():
    figure = learning_curves(metrics(1)[:1], None, LABEL, "round")
    figure.canvas.draw()
    assert figure.axes[1].get_xlabel() == "round"


def species_rows():
    return [{"round": str(number), "species": str(species), "members": "3"}
            for number in range(1, 80) for species in range(1, 61) if species - 20 < number < species + 30]


def test_species_keep_their_colours():
    rows = species_rows()
    rounds, species, members = tabulate_species(rows)
    assert members.shape == (60, 79)
    assert members.sum() == 3 * len(rows)
    figure = species_over_time(rows, LABEL)
    bands = figure.axes[0].collections
    assert len(bands) == MOST_SPECIES + 1  # the smaller ones are one
    colours = [*SPECIES_COLOURS] * (60 // len(SPECIES_COLOURS))
    assert [to_hex(band.get_facecolor()[0]) for band in bands] == [*colours[:MOST_SPECIES], "#bbbbbb"]
    figure.canvas.draw()


def test_species_of_one_round():
    rows = [{"round": 3, "species": species, "members": members} for species, members in ((4, 9), (7, 2))]
    figure = species_over_time(rows, LABEL)
    figure.canvas.draw()
    [axes] = figure.axes
    assert [band.get_paths()[0].get_extents().intervaly.tolist() for band in axes.collections] == [[0, 9], [9, 11]]
    assert axes.get_ylim() == (0, 11) and axes.get_xlim() == (3, 4) and "2 species over time" in title(figure)


# Node 1 is dead, node 3 of two outputs' making, and nothing reads inputs 1 and 4.
NODES = [Node("sin", "sum", (0, 2)), Node("abs", "sum", (1,)), Node("gauss", "product", (5, 3)),
         Node("identity", "sum", (5, 7, 0)), Node("tanh", "sum", (2,)), Node("sigmoid", "sum", ())]


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_cppn_graph_leaves_out_dead_nodes():
    graph = make_graph(NODES, (3, 4, 5))
    assert live_nodes(graph.topology) == [0, 2, 3, 4, 5]
    figure = cppn_graph(graph, ["x1", "y1", "x2", "y2", "one"], ["first", "second", "third"], LABEL)
    shown = texts(figure)
    assert {"x1", "y1", "sin", "gauss of product", "identity", "first", "second", "third"} <= set(shown)
    assert "abs" not in shown
    assert "2 hidden nodes, 8 links" in title(figure)


def test_links_are_coloured_by_sign_and_wide_by_size():
    graph = make_graph([Node("identity", "sum", (0, 1))], (0,), inputs=2)
    graph = Graph(graph.topology, torch.tensor([3.0, -0.1]), graph.biases, graph.responses)
    thin, wide = cppn_graph(graph, ["a", "b"], ["out"]).axes[0].patches
    assert thin.get_linewidth() < wide.get_linewidth()
    assert thin.get_edgecolor()[2] > thin.get_edgecolor()[0]
    assert wide.get_edgecolor()[0] > wide.get_edgecolor()[2]


def test_layout_of_a_large_graph_has_no_overlaps_and_runs_to_the_right():
    generator = torch.Generator().manual_seed(1)
    nodes = [Node("sin", "sum", tuple(sorted(set(torch.randint(5 + at, (3,), generator=generator).tolist()))))
             for at in range(50)]
    graph = make_graph(nodes, range(38, 50))
    layout = lay_out(graph)
    assert len(layout.routes) == sum(len(nodes[at].sources) for at in live_nodes(graph.topology)) > 50
    for layer in layout.layers:
        heights = [layout.heights[vertex] for vertex in layer]
        rooms = [1.0 if vertex >= 0 else 0.45 for vertex in layer]
        distances = np.diff(heights)
        assert (distances >= (np.array(rooms[:-1]) + rooms[1:]) / 2 - 1e-9).all()
        assert min(heights) >= 0 and max(heights) <= layout.tallest
    places = layout.places
    for vertices, _ in layout.routes:
        assert (np.diff([places[vertex][0] for vertex in vertices]) == 1).all()


def test_spaced_stays_close_to_what_is_wanted():
    assert spaced([1.0, 5.0], [1, 1], 10) == [1.0, 5.0]
    assert spaced([4.0, 4.0], [1, 1], 10) == [3.5, 4.5]
    assert spaced([-3.0, 20.0], [1, 1], 10) == [0.5, 9.5]


def test_an_output_that_feeds_another_node_is_named():
    graph = make_graph([Node("sin", "sum", (0,)), Node("cos", "sum", (1,))], (0, 1), inputs=1)
    assert {"first", "second"} <= set(texts(cppn_graph(graph, ["x"], ["first", "second"])))


def test_cppn_nodes_are_drawn_over_the_right_sheet():
    source, target = Sheet((2, 3)), Sheet((4, 5))
    x1, y1 = (axis[None, :] for axis in source.places.T)
    x2, y2 = (axis[:, None] for axis in target.places.T)
    one = torch.ones(1, 1, dtype=torch.float64)
    nodes = [Node("identity", "sum", (0,)), Node("identity", "sum", (2,)), Node("identity", "sum", (4,)),
             Node("identity", "sum", (5, 6, 7))]
    graph = make_graph(nodes, (3,))
    figure = cppn_nodes(graph, [x1, y1, x2, y2, one], [0], target, source, ["painted"], LABEL)
    painted = {axes.get_title(): axes.get_images()[0].get_array() for axes in figure.axes if axes.get_images()}
    assert painted["0 identity"].shape == (2, 3)
    assert painted["1 identity"].shape == (4, 5)
    assert painted["2 identity"].mask.all()
    centre = 2 * 5 + 2
    weights, biases = graph.weights.double(), graph.biases.double()
    parts = [x1[0] * weights[0] + biases[0], x2[centre, 0] * weights[1] + biases[1], weights[2] + biases[2]]
    expected = sum(part * weight for part, weight in zip(parts, weights[3:], strict=True)) + biases[3]
    np.testing.assert_allclose(painted["painted\n3 identity"].ravel(), expected.numpy(), atol=1e-6)
    assert any("constant" in text.get_text() for axes in figure.axes for text in axes.texts)


def test_a_long_label_is_not_cut_off():
    label = "a-run-with-a-rather-long-name (seed 12345) on Fashion-MNIST, unfinished, round 1000 of 2000"
    figure = readout_maps(random_weights(2, 4), Sheet((2, 2)), (), label)
    figure.canvas.draw()
    box = figure._suptitle.get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.width


def test_no_pyplot_and_no_backend_is_chosen():
    code = ("import sys, torch; from hyperevo.plots import receptive_fields; from hyperevo.geometry import Sheet\n"
            "receptive_fields(torch.ones(4, 4), Sheet((2, 2)), Sheet((2, 2)))\n"
            "import matplotlib; assert 'matplotlib.pyplot' not in sys.modules\n"
            "assert matplotlib.rcParams._get_backend_or_none() is None")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_kernels_are_tiles_of_input_by_output_channels():
    target, source = Sheet((5,)), Sheet((3, 2, 2))
    weights = torch.arange(60.0).view(5, 12)
    pairs, sheet, kernel = by_channel(weights, target, source)
    assert sheet.sizes == (3, 5) and kernel.sizes == (2, 2)
    for channel in range(3):
        for unit in range(5):
            assert torch.equal(pairs[channel * 5 + unit], weights[unit].view(3, 4)[channel])
    figure = receptive_fields(weights, target, source, LABEL, "convolution.weight")
    assert "kernels" in title(figure) and "3 input channels" in figure.get_supxlabel()
    assert_symmetric(figure)
    assert len(maps(readout_maps(random_weights(4, 12), source, "abcd", LABEL))) == 4
    assert len(maps(filmstrip([(1, weights), (2, weights)], target, source, LABEL))) == 2


def embeddings_of_layers(size=6):
    return {f"layer{depth}": random_weights(1 + depth % 2, 1 + depth % 3, size) + depth for depth in range(5)}


def test_embeddings_lie_on_their_principal_components():
    embeddings = embeddings_of_layers()
    every = torch.cat([values.flatten(0, 1) for values in embeddings.values()])
    places, shares = principal_components(every.double())
    expected = PCA(2).fit(every.double().numpy())
    assert np.allclose(np.abs(places.numpy()), np.abs(expected.transform(every.double().numpy())), atol=1e-8)
    assert np.allclose(shares, expected.explained_variance_ratio_)
    assert torch.allclose(principal_components(-every.double())[0].abs(), places.abs())
    figure = embedding_map(embeddings, LABEL)
    assert f"{len(every)} embeddings of 5 layers" in title(figure)
    dots = sum(len(collection.get_offsets()) for collection in figure.axes[0].collections)
    assert dots == len(every)


@pytest.mark.parametrize("size", [1, 2])
def test_embeddings_of_few_numbers_have_a_map_too(size):
    embeddings = embeddings_of_layers(size)
    dots = embedding_map(embeddings, LABEL).axes[0].collections[0].get_offsets()
    every = torch.cat([values.flatten(0, 1) for values in embeddings.values()])
    np.testing.assert_allclose(pdist(dots), pdist(every), atol=1e-5)  # there is nothing that two axes would not show
    with pytest.raises(ValueError, match="at least three"):
        embedding_map({"only": random_weights(1, 2, 4)})
