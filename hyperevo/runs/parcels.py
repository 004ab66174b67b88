"""Genotypes as a few arrays, which travel from process to process in little more than the bytes of their numbers."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from hyperevo.functions import ACTIVATIONS, AGGREGATIONS
from hyperevo.genotypes import Drawn, Genotypes, Neighbours
from hyperevo.graph import Graph, Node, Topology
from hyperevo.weights import Factored

Parted = TypeVar("Parted", list[int], np.ndarray)


@dataclass(frozen=True)
class Parcel:
    """Genotypes as arrays, by their kind: genes, graphs, neighbours, whose centre travels apart from them, or codes
    that were drawn, whose generator does. Names are those of the nodes' functions, or of the parameters."""

    kind: str
    arrays: list[np.ndarray]
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.arrays[0])

    @property
    def bytes(self) -> int:
        """Bytes of the arrays."""
        return sum(array.nbytes for array in self.arrays)


def pack(genotypes: Genotypes) -> Parcel:
    """Parcel of a population."""
    if isinstance(genotypes, Tensor):
        return Parcel("genes", [_array(genotypes)])
    if isinstance(genotypes, Drawn):
        return Parcel("drawn", [_array(genotypes.codes)])
    if isinstance(genotypes, Neighbours):
        factors = [_factors(noise) for noise in genotypes.noise.values()]
        names = tuple(f"{len(own)}{name}" for name, own in zip(genotypes.noise, factors, strict=True))
        return Parcel("neighbours", [_array(factor) for own in factors for factor in own], names)
    return _graph_parcel(genotypes)


def common_part(genotypes: Genotypes) -> list[np.ndarray]:
    """Arrays that all genotypes of a population share, which travel once: the centre of neighbours, the generator of
    codes that were drawn."""
    if isinstance(genotypes, Drawn):
        return [_array(genotypes.shared)]
    return [_array(genotypes.centre)] if isinstance(genotypes, Neighbours) else []


def unpack(parcel: Parcel, common: Sequence[np.ndarray], device: torch.device) -> Genotypes:
    """Population of a parcel and the arrays that travelled apart."""
    if parcel.kind == "graphs":
        return _graphs(parcel.names, *parcel.arrays)
    tensors = [read_only(array).to(device) for array in parcel.arrays]
    if parcel.kind == "genes":
        return tensors[0]
    if parcel.kind == "drawn":
        return Drawn(read_only(common[0]).to(device), tensors[0])
    noise: dict[str, Factored | Tensor] = {}
    for counted in parcel.names:
        own, tensors = tensors[:int(counted[0])], tensors[int(counted[0]):]
        noise[counted[1:]] = own[0] if len(own) == 1 else Factored(*own)
    return Neighbours(read_only(common[0]).to(device), noise)


def packed_state(tensors: Sequence[Tensor]) -> list[np.ndarray]:
    """Arrays of tensors; of bfloat16 as float32, which holds it."""
    return [_array(tensor.float() if tensor.dtype == torch.bfloat16 else tensor) for tensor in tensors]


def unpacked_state(arrays: Sequence[np.ndarray] | None, device: torch.device) -> tuple[Tensor, ...] | None:
    """Tensors of arrays; None for None."""
    return None if arrays is None else tuple(read_only(array).to(device) for array in arrays)


def _array(tensor: Tensor) -> np.ndarray:
    # Contiguous, or a block would take all rows of its population along.
    return tensor.detach().cpu().contiguous().numpy()


def read_only(array: np.ndarray) -> Tensor:
    """Tensor on the memory of an array that nobody writes to, as what has travelled is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of just that
        return torch.from_numpy(array)


def _factors(noise: Factored | Tensor) -> list[Tensor]:
    if isinstance(noise, Tensor):
        return [noise]
    return [noise.left, noise.right, *([] if noise.core is None else [noise.core])]


def _graph_parcel(graphs: Sequence[Graph]) -> Parcel:
    """Index of every graph's topology; of every topology the numbers of its inputs, nodes and outputs, and whether it
    is recurrent; its outputs; of every node its two functions and its number of sources; their sources; their time
    constants, unless all are 1; and the graphs' numbers."""
    topologies: dict[Topology, int] = {}
    places = [topologies.setdefault(graph.topology, len(topologies)) for graph in graphs]
    nodes = [node for topology in topologies for node in topology.nodes]
    names = (*ACTIVATIONS, *AGGREGATIONS)
    place = {name: index for index, name in enumerate(names)}
    times = [node.time_constant for node in nodes]
    functions = [[place[node.activation], place[node.aggregation]] for node in nodes]
    numbers = [_array(torch.cat([vars(graph)[name] for graph in graphs])) for name in NUMBERS]
    return Parcel("graphs", [
        _integers(places),
        _integers([[own.inputs, len(own.nodes), len(own.outputs), own.recurrent] for own in topologies], (-1, 4)),
        _integers([output for topology in topologies for output in topology.outputs]),
        _integers([[*own, len(node.sources)] for own, node in zip(functions, nodes, strict=True)], (-1, 3)),
        _integers([source for node in nodes for source in node.sources]),
        np.array([] if all(time == 1 for time in times) else times, np.float64), *numbers], names)


NUMBERS = ("weights", "biases", "responses")


def _integers(values: Sequence[object], shape: tuple[int, ...] = (-1,)) -> np.ndarray:
    """Integers in as few bytes as hold the largest."""
    array = np.array(values, np.int64).reshape(shape)
    return array.astype(np.min_scalar_type(int(array.max(initial=0))))


def _graphs(names: Sequence[str], places: np.ndarray, sizes: np.ndarray, outputs: np.ndarray, nodes: np.ndarray,
            sources: np.ndarray, times: np.ndarray, *numbers: np.ndarray) -> list[Graph]:
    times = times if len(times) else np.ones(len(nodes))
    read = _parted(nodes[:, 2].tolist(), sizes[:, 1].tolist())
    parts = zip(sizes[:, [0, 3]].tolist(), _parted(nodes, sizes[:, 1].tolist()),
                _parted(sources, [sum(own) for own in read]), _parted(outputs, sizes[:, 2].tolist()),
                _parted(times, sizes[:, 1].tolist()), strict=True)
    topologies = [_topology(tuple(names), inputs, recurrent == 1, *(part.astype(np.int64).tobytes() for part in own),
                            own_times.tobytes()) for (inputs, recurrent), *own, own_times in parts]
    own = [topologies[place] for place in places.tolist()]
    links, counts = [topology.links for topology in own], [len(topology.nodes) for topology in own]
    values = [read_only(array).split(lengths) for array, lengths in zip(numbers, (links, counts, counts), strict=True)]
    return [Graph(topology, *numbers_of) for topology, *numbers_of in zip(own, *values, strict=True)]


@lru_cache(maxsize=4096)
def _topology(names: tuple[str, ...], inputs: int, recurrent: bool, nodes: bytes, sources: bytes,
              outputs: bytes, times: bytes) -> Topology:
    """Topology of the bytes of int64 arrays and of time constants. That of a structure which was seen lately is the
    same object, so that what caches hold of it is found at once."""
    rows, read, ends = (np.frombuffer(part, np.int64) for part in (nodes, sources, outputs))
    rows = rows.reshape(-1, 3)
    own = [Node(names[activation], names[aggregation], tuple(links), time)
           for (activation, aggregation, _), links, time in zip(
               rows.tolist(), _parted(read.tolist(), rows[:, 2].tolist()), np.frombuffer(times).tolist(), strict=True)]
    return Topology(inputs, tuple(own), tuple(ends.tolist()), recurrent)


def _parted(values: Parted, lengths: list[int]) -> list[Parted]:
    """Consecutive parts of a list or an array, of these lengths."""
    return [values[start:stop] for start, stop in pairwise(accumulate(lengths, initial=0))]
