"""A fixed graph paints what its CPPN paints, with genes in place of its numbers."""

import json

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
    with pytest.raises(UserError, match="encoding.graph: is neither"):
        build_encoding(Settings(graph='{"inputs": 3}'), GEOMETRY, CPU)
    with pytest.raises(UserError, match="encoding.graph: has 5 inputs, and the encoding needs 7"):
        build_encoding(Settings(graph=str(run[0]), delta=True), GEOMETRY, CPU)
    write_folder(tmp_path / "champion", {"genotype": {"kind": "genes"}}, {"genes": torch.zeros(3)})
    with pytest.raises(ValueError, match="its champion is not a graph"):
        Settings(graph=str(tmp_path))
