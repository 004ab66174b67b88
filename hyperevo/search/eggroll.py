"""EGGROLL: an evolution strategy whose noise on a matrix of genes has low rank (Sarkar et al. 2025, arXiv 2511.16652).

    E_i = A_i B_iᵀ / √r               A_i (out, r) and B_i (in, r) standard normal; for a vector, E_i itself
    f_i = fitness(W + σ E_i)
    g   = Σ_i rank(f_i) E_i / P       which the centre W climbs, by Adam or plain ascent; ranks run from -½ to ½

No E_i is ever built: a network multiplies by W and by its two factors, and g is one product of all A, weighted, with
all B. A population's noise takes P · r · (out + in) numbers and not P · out · in, and g, a sum over the population,
has a high rank all the same. Individuals come in pairs, with σ E and -σ E. W are the weights themselves, or what an
encoding is linear in, as cosine coefficients: then a network multiplies by the expressed W and the expressed factors.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from hyperevo.abilities import TakesNeighbours
from hyperevo.components import NotNegative, Positive
from hyperevo.devices import resident
from hyperevo.errors import UserError
from hyperevo.genotypes import Neighbours
from hyperevo.parts import Encoding, Search
from hyperevo.randomness import generator_for
from hyperevo.search._restored import restored, restored_optimizer
from hyperevo.search._start import StartSettings, start_genes
from hyperevo.weights import Factored

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}
Blocks = Mapping[str, tuple[int, int | None]]
"""Rows and columns of every matrix of genes, or the length of a vector and None."""

NOISE_STREAM = 0x6567_6772_6F6C_6C00
"""Random stream of the noise, apart from the images of the same seed and generation."""


class Settings(StartSettings):
    """Options of EGGROLL. Sizes are in units of a gene."""

    name: Literal["eggroll"] = "eggroll"
    population: int = Field(1000, ge=2, multiple_of=2)
    """Number of genotypes in a generation, in pairs with opposite noise."""
    rank: int = Field(1, ge=1)
    """r, the rank of the noise on a matrix of genes."""
    deviation: Positive = 0.3
    """σ, the standard deviation of the noise."""
    start: str = ""
    """Run folder whose champion is the first centre; by default it is drawn. The run keeps a copy of it: the folder is
    needed once."""
    centre: NotNegative = 1.0
    """Standard deviation of a first centre drawn around 0; 0 itself is a saddle of networks with layers."""
    learning_rate: Positive = 0.1
    """Learning rate of the optimizer that moves the centre."""
    optimizer: Literal["adam", "sgd"] = "adam"
    """Optimizer that moves the centre along g: Adam, or plain ascent."""
    decay: float = Field(1.0, gt=0, le=1)
    """Factor on σ and on the learning rate from one generation to the next."""


class EggrollSearch(Search):
    """Ask for P neighbours of the centre, tell their fitness (P,), higher is better."""

    def __init__(self, settings: Settings, blocks: Blocks, seed: int,
                 start: Tensor | None = None, device: torch.device | str = "cpu"):
        """start: the first centre (genes,) where it is not drawn. device: of the centre and the noise."""
        self.settings, self.blocks, self.seed, self.generation = settings, blocks, seed, 0
        self._device = torch.device(device)
        genes = sum(rows * (columns or 1) for rows, columns in blocks.values())
        generator = torch.Generator().manual_seed(seed)
        first = torch.randn(genes, generator=generator) * settings.centre if start is None else start.clone()
        self._centre = first.to(self._device)
        self._optimizer = OPTIMIZERS[settings.optimizer]([self._centre], lr=settings.learning_rate, maximize=True)
        self._population = self._neighbours()

    def _decayed(self, value: float) -> float:
        return value * self.settings.decay**self.generation

    def _neighbours(self) -> Neighbours:
        """The population of this generation: a function of the centre, the seed and the generation."""
        generator = generator_for(self.seed, self.generation, NOISE_STREAM, self._device)
        deviation = self._decayed(self.settings.deviation)
        noise = {name: draw_pairs(rows, columns, self.settings, deviation, generator)
                 for name, (rows, columns) in self.blocks.items()}
        return Neighbours(self._centre.clone(), noise)

    def ask(self) -> Neighbours:
        """Population to evaluate next; the same until it is told."""
        return self._population

    def tell(self, fitness: Tensor) -> None:
        """Take the fitness (P,) of the population asked for last; raises ValueError for another number of values."""
        if fitness.shape != (len(self._population),):
            raise ValueError(f"fitness of shape {tuple(fitness.shape)} for a population of {len(self._population)}")
        shaped = centred_ranks(resident(fitness.detach().float(), self._device))
        slopes = [mean_noise(noise, shaped).flatten() for noise in self._population.noise.values()]
        self._centre.grad = torch.cat(slopes) / self._decayed(self.settings.deviation)
        for group in self._optimizer.param_groups:
            group["lr"] = self._decayed(self.settings.learning_rate)
        self._optimizer.step()
        self.generation += 1
        self._population = self._neighbours()

    def candidates(self) -> Tensor:
        """Genotype worth validating, (1, genes): the centre."""
        return self._centre.clone()[None]

    def statistics(self) -> dict[str, float]:
        """Numbers for metrics.csv: σ, and the root mean square of the centre's genes."""
        return {"step_size": self._decayed(self.settings.deviation),
                "centre_size": float(self._centre.square().mean().sqrt())}

    def state(self) -> dict[str, Any]:
        """Plain data on which the rest of the search depends. Noise is drawn again."""
        moments = self._optimizer.state[self._centre]
        return {"generation": self.generation, "centre": self._centre.clone(),
                **{f"optimizer.{key}": value.clone() for key, value in moments.items() if isinstance(value, Tensor)}}

    def restore(self, state: dict[str, Any], told: Sequence[Tensor] = ()) -> None:
        """Continue where `state` was taken, bit by bit; the fitness `told` so far is not needed."""
        self.generation = state["generation"]
        self._centre.copy_(restored(state, "centre", self._centre))
        self._optimizer.state[self._centre] = restored_optimizer(state, self._optimizer, self._centre)
        self._population = self._neighbours()

    def __repr__(self) -> str:
        return (f"{type(self).__name__}(population {self.settings.population:,}, {len(self._centre):,} genes, "
                f"generation {self.generation})")


def draw_pairs(rows: int, columns: int | None, settings: Settings, deviation: float, generator: torch.Generator) \
        -> Factored | Tensor:
    """Noise σ E on one parameter's genes for P networks, the second half that of the first with the other sign: a
    matrix's `Factored`, a vector's (P, rows)."""
    pairs = settings.population // 2
    if columns is None:
        noise = torch.randn(pairs, rows, generator=generator, device=generator.device) * deviation
        return torch.cat([noise, -noise])
    left, right = (torch.randn(pairs, own, settings.rank, generator=generator, device=generator.device)
                   for own in (rows, columns))
    left *= deviation / settings.rank**0.5
    return Factored(torch.cat([left, -left]), torch.cat([right, right]))


def centred_ranks(fitness: Tensor) -> Tensor:
    """Ranks (P,) of fitness (P,), from -½ for the lowest to ½ for the highest; equal values share the mean of their
    ranks."""
    ordered = fitness.sort().values
    twice = torch.searchsorted(ordered, fitness) + torch.searchsorted(ordered, fitness, right=True) - 1
    return twice / (2 * (len(fitness) - 1)) - 0.5


def mean_noise(noise: Factored | Tensor, shaped: Tensor) -> Tensor:
    """Σ_i shaped_i noise_i / P of noise in pairs, in the shape of one parameter. A pair's two terms are one."""
    pairs = len(noise) // 2
    balance = (shaped[:pairs] - shaped[pairs:]) / len(noise)
    if isinstance(noise, Factored):
        left, right = noise.left[:pairs] * balance[:, None, None], noise.right[:pairs]
        return torch.tensordot(left, right, dims=([0, 2], [0, 2]))
    return balance @ noise[:pairs]


def build(settings: Settings, encoding: Encoding, seed: int) -> EggrollSearch:
    """The search over matrices of genes; raises UserError for an encoding without matrices to perturb."""
    if not isinstance(encoding, TakesNeighbours):
        raise UserError("search.name: eggroll perturbs matrices of genes that weights are linear in and needs "
                        f"encoding.name = direct or dct, not {encoding.settings.name}")
    return EggrollSearch(settings, encoding.blocks_of_genes(), seed, start_genes(settings, encoding), encoding.device)
