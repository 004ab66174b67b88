"""Every encoding of fixed length under every kind of search: a new file of either is tested without an edit."""

import pytest
from safetensors.torch import load_file

from hyperevo.components import component_names
from hyperevo.config import load_config
from hyperevo.errors import UserError
from hyperevo.runs import create_run, execute
from hyperevo.weights import Weights

GRAPH = """{"inputs": 5, "outputs": [1, 2, 3, 4], "responses": [1, 1, 1, 1, 1],
    "nodes": [["sin", "sum", [0, 1, 2, 3]], ["identity", "sum", [5, 4]], ["identity", "sum", [5, 2]],
              ["identity", "sum", [5, 0]], ["identity", "sum", [5, 3]]],
    "weights": [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1], "biases": [0, 0, 0, 0, 0]}"""
ENCODINGS = [name for name in component_names("encoding") if name not in ("cppn", "es-hyperneat")]
OWN_SEARCHES = {"eggroll": {"direct"}, "neat": set()}
"""Searches that go with some encodings only."""
PAIRS = [(encoding, search) for encoding in ENCODINGS for search in component_names("search")
         if encoding in OWN_SEARCHES.get(search, ENCODINGS)]


OPTIONS = {"embedding": ", embedding=3, tile=[4, 4]", "fixed-graph": f", graph='''{GRAPH}'''".replace("\n", " "),
           "gradient": ", steps_per_round=2"}


def small_config(encoding, search):
    return load_config("dct-mnist", [
        "task.name=digits", "task.images=30", "target.hidden=[[3,3]]", "run.rounds=2", "run.validate_every=1",
        f"encoding={{name='{encoding}'{OPTIONS.get(encoding, '')}}}", "threads=1",
        f"search={{name='{search}', population=4{OPTIONS.get(search, '')}}}"]).config


@pytest.mark.parametrize(("encoding", "search"), PAIRS)
def test_a_run_ends_with_a_result(encoding, search, tmp_path):
    run = create_run(small_config(encoding, search), tmp_path / "run")
    result, task = execute(run), run.parts.task
    assert result["encoded_genes"] + result["direct_parameters"] > 0
    champion = load_file(tmp_path / "run" / "champion" / "weights.safetensors")
    images, labels = task.test()
    outputs = run.parts.target.forward(Weights({name: value[None] for name, value in champion.items()}), images)
    assert float(task.score(outputs, labels)) == pytest.approx(result["test_accuracy"], abs=1 / len(labels))


def test_evolved_graphs_have_no_gradient(tmp_path):
    config = load_config("cppn-mnist", ["task.name=digits", "search={name='gradient'}"]).config
    with pytest.raises(UserError, match="a gradient needs a fixed one: set encoding.graph"):
        create_run(config, tmp_path / "run")


@pytest.mark.parametrize("search", ["cmaes", "xnes"])
def test_a_covariance_of_too_many_genes_is_refused(search, tmp_path):
    config = load_config("direct-mnist", ["task.name=digits", "target.hidden=[[20,20]]",
                                          f"search={{name='{search}'}}"]).config
    with pytest.raises(UserError, match="a covariance of 30,010 genes is too large; use search.name=snes"):
        create_run(config, tmp_path / "run")
