"""Rank one: every matrix is the outer product of a number for each target unit and one for each source unit."""

import torch

import hyperevo as he


class Settings(he.Settings):
    scale: float = 0.3


class RankOne(he.Encoding):
    def __init__(self, settings, geometry, device):
        self.settings, self.geometry, self.device = settings, geometry, device
        self.genes = sum(sum(place.shape) for place in geometry.values())

    def sample(self, size, generator):
        return torch.randn(size, self.genes, generator=generator)

    def express(self, genotypes):
        parts = iter(genotypes.split([units for place in self.geometry.values() for units in place.shape], 1))
        values = {name: [next(parts) for _ in place.shape] for name, place in self.geometry.items()}
        return he.Weights({name: own[0] * self.settings.scale if len(own) == 1 else
                           own[0][:, :, None] * own[1][:, None] * self.settings.scale for name, own in values.items()})


def build(settings, geometry, device):
    return RankOne(settings, geometry, device)
