"""A fixed graph paints what its CPPN paints, with genes in place of its numbers."""

import json
import math
import os

import pytest
import torch

from hyperevo.benchmark import random_graphs
from hyperevo.encodings import build_encoding
from hyperevo.encodings.cppn import CppnEncoding
from hyperevo.encodings.cppn import Settings as CppnSettings
from hyperevo.encodings.fixed_graph import Settings
from hyperevo.errors import UserError
from hyperevo.genotypes import pack_genotype
from hyperevo.geometry import ParameterGeometry, Sheet
from hyperevo.runs.files import write_folder

GEOMETRY = {"weight": ParameterGeometry(Sheet((3, 4)), Sheet((5, 2))), "bias": ParameterGeometry(Sheet((3, 4)))}
CPU = torch.device("cpu")
PAINTER = CppnEncoding(CppnSettings(threshold=0), GEOMETRY)


@pytest.fixture
def run(tmp_path):
    """A folder as a run leaves it, and its champion."""
    [graph] = random_graphs(PAINTER, 1)
    plain, tensors = pack_genotype(graph)
    write_folder(tmp_path / "champion", {"genotype": plain}, tensors)
    return tmp_path, graph


def test_the_champions_numbers_paint_its_weights(run):
    folder, graph = run
    encoding = build_encoding(Settings(graph=str(folder), threshold=0), GEOMETRY, CPU)
    assert encoding.genes == graph.genes
    weights = encoding.express(encoding.sample(2, torch.Generator())).dense()
    for name, value in PAINTER.express([graph]).dense().items():
        torch.testing.assert_close(weights[name], value.expand(2, *value.shape[1:]), atol=1e-5, rtol=1e-4)


def test_the_run_is_needed_only_once(run):
    folder, _ = run
    settings = Settings(graph=str(folder))
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    again = Settings(graph=settings.graph)
    assert again == settings and json.loads(again.graph)["inputs"] == 5


def test_gradient_reaches_the_genes_and_random_starts_differ(run):
    encoding = build_encoding(Settings(graph=str(run[0]), threshold=0, start="random"), GEOMETRY, CPU)
    genes = encoding.sample(2, torch.Generator().manual_seed(0)).requires_grad_()
    assert not torch.equal(genes[0], genes[1])
    sum(value.square().sum() for value in encoding.express(genes).dense().values()).backward()
    assert (genes.grad != 0).any(1).all()


def test_what_is_not_a_graph_is_one_line(run, tmp_path):
    with pytest.raises(ValueError, match="nowhere: is not a finished run"):
        Settings(graph="nowhere")
    with pytest.raises(UserError, match="encoding.graph: has 5 inputs, and the encoding needs 7"):
        build_encoding(Settings(graph=str(run[0]), delta=True), GEOMETRY, CPU)
    (folder := tmp_path / "champion").rename(tmp_path / "old")
    folder.mkdir()
    os.mkfifo(folder / "state.json")
    with pytest.raises(ValueError, match="state.json: cannot be read: it is a pipe"):
        Settings(graph=str(tmp_path))
    write_folder(tmp_path / "champion", {"genotype": {"kind": "genes"}}, {"genes": torch.zeros(3)})
    with pytest.raises(ValueError, match="its champion is not a graph"):
        Settings(graph=str(tmp_path))


SMALL = {"inputs": 5, "outputs": [1, 2, 3, 4], "responses": [1] * 5, "biases": [0.0] * 5, "weights": [1, 2, 3, 4, 5, 6],
         "nodes": [["sin", "sum", [0, 1]], *([["identity", "sum", [5]]] * 4)]}


def changed(**changes):
    return json.dumps(SMALL | changes)


@pytest.mark.parametrize(("text", "said"), [
    ('{"inputs": 3}', "outputs: Field required"),
    (changed(nodes=[["sin", "sum", [5, 1]], *SMALL["nodes"][1:]]), "nodes.0: source 5: is neither one of 5 inputs nor"),
    (changed(nodes=[*SMALL["nodes"][:4], ["sin", "sum", [10]]]), "nodes.4: source 10: is neither"),
    (changed(nodes=[["sin", "sum", [0, -1]], *SMALL["nodes"][1:]]), "nodes.0: source -1: is neither"),
    (changed(nodes=[["sine", "sum", [0, 1]], *SMALL["nodes"][1:]]), "nodes.0: no activation called 'sine'; did you"),
    (changed(nodes=[["sin", "summ", [0, 1]], *SMALL["nodes"][1:]]), "nodes.0: no aggregation called 'summ'; did you"),
    (changed(nodes=[["\n" * 9_999, "sum", [0, 1]], *SMALL["nodes"][1:]]), r"nodes.0: no activation called '\\n\\n"),
    (changed(outputs=[1, 2, 3, 5]), "outputs: there is no node 5 among 5"),
    (changed(outputs=[-1, 2, 3, 4]), "outputs: there is no node -1"),
    (changed(weights=[1] * 5), "weights: has 5 numbers, and the nodes need 6"),
    (changed(weights=[1] * 7), "weights: has 7 numbers, and the nodes need 6"),
    (changed(biases=[]), "biases: has 0 numbers, and the nodes need 5"),
    (changed(responses=[1] * 6), "responses: has 6 numbers"),
    (changed(weights=[math.nan] * 6), "weights.0: Input should be a finite number"),
    (changed(biases=[0, 0, 0, 0, -math.inf]), "biases.4: Input should be a finite number"),
    (changed(responses=[1e39] * 5), "responses.0: Input should be less than or equal to 34028"),
    (changed(weights=[7] * 6).replace("[7,", "[1e999,"), "weights.0: Input should be a finite number"),
    (changed(inputs=0.5), "inputs: Input should be a valid integer"),
    (changed(inputs=0).replace("0", "9" * 5000, 1), "Invalid JSON: number out of range"),
    (changed(links=6), "links: Extra inputs are not permitted"),
    ('{"inputs": ' + "[" * 100_000, "Invalid JSON: recursion limit exceeded"),
    ('{"inputs": "\\ud800"}', "Invalid JSON: unexpected end of hex escape"),
    (changed()[:-1], "Invalid JSON: EOF while parsing"),
])
def test_a_text_that_is_no_graph_is_one_line_that_names_the_place(text, said):
    Settings(graph=changed())
    with pytest.raises(ValueError, match=f"is neither a run folder nor a graph: {said}") as caught:
        Settings(graph=text)
    message = caught.value.errors()[0]["msg"]
    assert "\n" not in message and len(message) < 300
