"""Brighter half: is the upper or the lower half of a random field the brighter one?"""

import torch
from torch.nn.functional import cross_entropy

from hyperevo.components import ComponentSettings
from hyperevo.geometry import Sheet
from hyperevo.measure import ACCURACY
from hyperevo.parts import Task
from hyperevo.randomness import generator_for


class Settings(ComponentSettings):
    images: int = 40


class Halves(Task):
    inputs, outputs, measure, class_names = Sheet((4, 4)), 2, ACCURACY, ("upper", "lower")
    data_name, checksum = "halves", "drawn"

    def __init__(self, settings):
        self.settings = settings
        self.validation = self.batch(-1, 0)

    def batch(self, seed, generation):
        fields = torch.randn(self.settings.images, 16, generator=generator_for(seed, generation))
        return fields, (fields[:, 8:].sum(1) > fields[:, :8].sum(1)).long()

    def test(self):
        return self.batch(-1, 1)

    def fitness(self, outputs, wanted):
        return torch.stack([-cross_entropy(own, wanted) for own in outputs])

    def score(self, outputs, wanted):
        return (outputs.argmax(2) == wanted).float().mean(1)


def build(settings, device):
    return Halves(settings)
