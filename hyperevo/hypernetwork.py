"""A static hypernetwork around any module, for one's own training loop (Ha, Dai & Le 2016, section 3.1)."""

import fnmatch
from collections.abc import Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.parameter import is_lazy

from hyperevo.encodings.embedding import EmbeddingEncoding, Settings
from hyperevo.geometry import module_geometry


class StaticHyperNetwork(nn.Module):
    """A module whose chosen kernels and weight matrices come from embeddings, by one generator per kernel size.

    It is called as the module is. Its parameters are the embeddings, the generators and the module's parameters that
    are not generated; any optimiser trains them. See `hyperevo.encodings.embedding` for the equations.
    """

    def __init__(self, module: nn.Module, layers: Sequence[str] = ("*",), embedding: int = 64,
                 hidden: int | None = None, tile: tuple[int, int] = (16, 16), seed: int = 0):
        """layers: names of the convolutions and linear layers whose weights are generated, or patterns of names, such
        as "conv2.*"; a weight with `requires_grad=False` is not, and one that several layers share is for all of them.
        Raises ValueError where a pattern matches none. embedding, hidden: N_z and d; tile: N_in and N_out.

        The module becomes a submodule, and the parameters that are generated are removed from it. Weights are generated
        in the dtype that they have there, by generators in float32, or in float64 if any of them is."""
        super().__init__()
        self._names = _chosen(module, layers)
        geometry = {name: place for name, place in module_geometry(module).items() if name in self._names}
        dtype = reduce(torch.promote_types, (module.get_parameter(name).dtype for name in self._names), torch.float32)
        self.encoding = EmbeddingEncoding(
            Settings(embedding=embedding, hidden=hidden, tile=tile, plain=True), geometry)
        [genes] = self.encoding.sample(1, torch.Generator().manual_seed(seed))
        pieces = iter(genes.split([_count(shape) for own in self.encoding.generators for shape in own.parts.values()]))
        self.generators: Any = nn.ModuleList(nn.ParameterDict({
            part.replace(" ", "_"): nn.Parameter(next(pieces).view(shape).to(dtype, copy=True))
            for part, shape in own.parts.items()})
            for own in self.encoding.generators)
        self.module = module
        self._owned = [name for names in self._names.values() for name in names if _made_way(module, name)]

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """Call the module with weights generated from the current parameters."""
        weights = self.generated()
        own = {name: weights[name] for name in self._owned}
        return functional_call(self.module, own, inputs, options, tie_weights=False)

    def generated(self) -> dict[str, Tensor]:
        """The generated weights by name, in the module's shapes; differentiable. Shared ones are under all names."""
        weights = self.encoding.generate([{part: own[part.replace(" ", "_")][None] for part in generator.parts}
                                          for own, generator in zip(self.generators, self.encoding.generators,
                                                                    strict=True)])
        # Contiguous, as they are in the plain module: products then have the same bits there.
        shaped = {name: weights.tensor(name)[0].reshape(place.tensor_shape).contiguous()
                  .to(self.module.get_buffer(name).dtype) for name, place in self.encoding.geometry.items()}
        return {name: shaped[first] for first, names in self._names.items() for name in names}

    @property
    def embeddings(self) -> dict[str, Tensor]:
        """Embeddings (rows of tiles, columns of tiles, N_z) by parameter name."""
        found = {}
        for own, generator in zip(self.generators, self.encoding.generators, strict=True):
            for layer in generator.layers:
                tiles = own["embeddings"][layer.first : layer.first + layer.rows * layer.columns]
                found[layer.name] = tiles.unflatten(0, (layer.rows, layer.columns))
        return found

    def plain_state_dict(self) -> dict[str, Tensor]:
        """A `state_dict` for the original module: its own parameters and buffers, and the generated weights."""
        generated = {name: value.detach().clone() for name, value in self.generated().items()}
        return {**self.module.state_dict(), **generated}


def _count(shape: tuple[int, ...]) -> int:
    return torch.Size(shape).numel()


def _chosen(module: nn.Module, layers: Sequence[str]) -> dict[str, list[str]]:
    """All names of the weights of layers that match a pattern, by the first of them; raises ValueError where a pattern
    matches none."""
    names = _names_by_weight(module)
    known = {name: weight for name, part in module.named_modules(remove_duplicate=False)
             if isinstance(part, (nn.Linear, nn.modules.conv._ConvNd))
             and (weight := _weight(part)) is not None and weight.requires_grad}
    chosen: dict[str, list[str]] = {}
    for pattern in layers:
        matching = fnmatch.filter(known, pattern)
        if not matching:
            raise ValueError(f"layers: no convolution or linear layer is called {pattern!r}; there are: "
                             f"{', '.join(known) or 'none'}")
        for name in matching:
            if is_lazy(known[name]):
                raise ValueError(f"layers: {name!r} has no shape before the module's first call")
            own = names[id(known[name])]
            chosen[own[0]] = own
    return chosen


def _names_by_weight(module: nn.Module) -> dict[int, list[str]]:
    """All names of every parameter, by its identity."""
    names: dict[int, list[str]] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    return names


def _weight(part: nn.Module) -> nn.Parameter | None:
    """Weight of a layer; None where something else computes it."""
    return dict(part.named_parameters(recurse=False)).get("weight")


def _made_way(module: nn.Module, name: str) -> bool:
    """Put a buffer without elements in a parameter's place, for `functional_call` to fill; it keeps the dtype. False
    where that was done, as the layer has another name."""
    owner, _, last = name.rpartition(".")
    part = module.get_submodule(owner)
    parameter = dict(part.named_parameters(recurse=False)).get(last)
    if parameter is None:
        return False
    delattr(part, last)
    part.register_buffer(last, parameter.new_empty(0), persistent=False)
    return True
