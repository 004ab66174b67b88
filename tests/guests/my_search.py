"""Hill climbing: the best so far, and others around it."""

import torch

from hyperevo.components import ComponentSettings
from hyperevo.parts import Search
from hyperevo.randomness import generator_for


class Settings(ComponentSettings):
    population: int = 10
    step: float = 0.1


class HillClimber(Search):
    def __init__(self, settings, genes, seed):
        self.settings, self.seed, self.generation, self.best = settings, seed, 0, torch.zeros(genes)

    def ask(self):
        generator = generator_for(self.seed, self.generation)
        noise = torch.randn(self.settings.population, len(self.best), generator=generator)
        return self.best + self.settings.step * noise.index_fill(0, torch.tensor([0]), 0.0)

    def tell(self, fitness):
        self.best, self.generation = self.ask()[fitness.argmax()], self.generation + 1

    def candidates(self):
        return self.best[None]

    def statistics(self):
        return {"size": float(self.best.norm())}

    def state(self):
        return {"best": self.best, "generation": self.generation}

    def restore(self, state, told):
        self.best, self.generation = state["best"], state["generation"]


def build(settings, encoding, seed):
    return HillClimber(settings, encoding.genes, seed)
