"""A static hypernetwork around any module, for one's own training loop (Ha, Dai & Le 2016, section 3.1)."""

import fnmatch
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from hyperevo.encodings.embedding import EmbeddingEncoding, Settings
from hyperevo.geometry import module_geometry


class StaticHyperNetwork(nn.Module):
    """A module whose chosen kernels and weight matrices come from embeddings, by one generator per kernel size.

    It is called as the module is. Its parameters are the embeddings, the generators and the module's parameters that
    are not generated; any optimiser trains them. See `hyperevo.encodings.embedding` for the equations.
    """

    def __init__(self, module: nn.Module, layers: Sequence[str] = ("*",), embedding: int = 64,
                 hidden: int | None = None, tile: tuple[int, int] = (16, 16), seed: int = 0):
        """`layers`: names of the convolutions and linear layers whose weights are generated, or patterns of names, such
        as "conv2.*"; raises ValueError where a pattern matches none. embedding, hidden: N_z and d; tile: N_in and
        N_out. The module becomes a submodule, and the parameters that are generated are removed from it."""
        super().__init__()
        chosen = _chosen(module, layers)
        geometry = {name: place for name, place in module_geometry(module).items() if name in chosen}
        self.encoding = EmbeddingEncoding(
            Settings(embedding=embedding, hidden=hidden, tile=tile, plain=True), geometry)
        [genes] = self.encoding.sample(1, torch.Generator().manual_seed(seed))
        pieces = iter(genes.split([_count(shape) for own in self.encoding.generators for shape in own.parts.values()]))
        self.generators: Any = nn.ModuleList(nn.ParameterDict({
            part.replace(" ", "_"): nn.Parameter(next(pieces).view(shape)) for part, shape in own.parts.items()})
            for own in self.encoding.generators)
        self.module = module
        for name in chosen:
            owner, _, parameter = name.rpartition(".")
            # The name stays, for `functional_call` to fill.
            delattr(module.get_submodule(owner), parameter)
            module.get_submodule(owner).register_buffer(parameter, None, persistent=False)

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """Call the module with weights generated from the current parameters."""
        return functional_call(self.module, self.generated(), inputs, options)

    def generated(self) -> dict[str, Tensor]:
        """The generated weights by name, in the module's shapes; differentiable."""
        weights = self.encoding.generate([{part: own[part.replace(" ", "_")][None] for part in generator.parts}
                                          for own, generator in zip(self.generators, self.encoding.generators,
                                                                    strict=True)])
        return {name: weights.tensor(name)[0].reshape(place.tensor_shape)
                for name, place in self.encoding.geometry.items()}

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


def _chosen(module: nn.Module, layers: Sequence[str]) -> list[str]:
    """Names of the weights of all layers that match a pattern; raises ValueError where a pattern matches none."""
    kinds = (nn.Linear, nn.modules.conv._ConvNd)
    known = {name: f"{name}.weight" if name else "weight" for name, part in module.named_modules()
             if isinstance(part, kinds)}
    parameters = {name for name, _ in module.named_parameters()}
    chosen = []
    for pattern in layers:
        named = [known[name] for name in fnmatch.filter(known, pattern) if known[name] in parameters]
        if not named:
            raise ValueError(f"layers: no convolution or linear layer is called {pattern!r}; there are: "
                             f"{', '.join(known) or 'none'}")
        chosen += [name for name in named if name not in chosen]
    return chosen
