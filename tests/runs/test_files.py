"""Files are whole or not there; logs can be cut back to what a checkpoint knows."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hyperevo.errors import UserError
from hyperevo.genotypes import pack_genotype, unpack_genotype
from hyperevo.graph import Graph, Node, Topology
from hyperevo.runs.files import (
    AppendLog,
    read_folder,
    read_json,
    write_folder,
    write_json,
    write_text,
)
from hyperevo.runs.fitness_log import pack_fitness, read_fitness


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    write_json(tmp_path / "a.json", {"x": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert read_json(tmp_path / "a.json") == {"x": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_folder_round_trip_replaces_the_old_one(tmp_path):
    write_folder(tmp_path / "one", {"a": [1, 0.1]}, {"t": torch.arange(3)})
    write_folder(tmp_path / "one", {"a": [2]}, {"t": torch.arange(4)})
    values, tensors = read_folder(tmp_path / "one")
    assert values == {"a": [2]} and tensors["t"].tolist() == [0, 1, 2, 3]
    assert [file.name for file in tmp_path.iterdir()] == ["one"]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe"])
def test_damaged_json_is_one_line_that_names_the_file(tmp_path, content):
    (tmp_path / "state.json").write_bytes(content)
    with pytest.raises(UserError, match=r"state.json: is cut short or damaged") as caught:
        read_json(tmp_path / "state.json")
    assert "\n" not in str(caught.value)


def test_log_is_cut_back_to_its_known_length(tmp_path):
    log = AppendLog(tmp_path / "log")
    log.append(b"one\n")
    known = log.length()
    log.append(b"two, cut sho")
    log.close()
    again = AppendLog(tmp_path / "log", known)
    again.append(b"three\n")
    again.close()
    assert (tmp_path / "log").read_bytes() == b"one\nthree\n"


def test_log_shorter_than_its_checkpoint_is_an_error(tmp_path):
    write_text(tmp_path / "log", "one")
    with pytest.raises(UserError, match="shorter than the checkpoint says"):
        AppendLog(tmp_path / "log", 10)


@given(st.lists(st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=5), max_size=5))
def test_fitness_log_round_trip(tmp_path_factory, rounds):
    path = tmp_path_factory.mktemp("log") / "fitness.bin"
    path.write_bytes(b"".join(pack_fitness(torch.tensor(values)) for values in rounds))
    assert [record.tolist() for record in read_fitness(path)] == rounds


def test_cut_fitness_log_is_an_error(tmp_path):
    path = tmp_path / "fitness.bin"
    path.write_bytes(pack_fitness(torch.ones(3)) + pack_fitness(torch.ones(3))[:-1])
    with pytest.raises(UserError, match=r"fitness.bin: is cut short or damaged at byte 16"):
        read_fitness(path)


def test_genotypes_round_trip():
    topology = Topology(2, (Node("sin", "sum", (0, 1)), Node("identity", "product", (2, 0))), (1,))
    graph = Graph(topology, torch.randn(4), torch.randn(2), torch.ones(2))
    plain, tensors = pack_genotype(graph)
    again = unpack_genotype(plain, tensors)
    assert again.topology == topology
    assert torch.equal(again.weights, graph.weights) and torch.equal(again.biases, graph.biases)
    genes = torch.randn(7)
    assert torch.equal(unpack_genotype(*pack_genotype(genes)), genes)
