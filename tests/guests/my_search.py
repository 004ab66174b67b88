import torch

import hyperevo as he


class HillClimber(he.Search):  # the best so far, and others around it
    def __init__(self, settings, encoding, seed):
        self.seed, self.generation, self.best = seed, 0, torch.zeros(encoding.genes)

    def ask(self):
        generator = torch.Generator().manual_seed(1000 * self.seed + self.generation)
        return self.best + 0.1 * torch.arange(9)[:, None].sign() * torch.randn(9, len(self.best), generator=generator)

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


build = HillClimber
