"""Brighter half: is the upper or the lower half of a random field the brighter one?"""

import torch

import hyperevo as he
from hyperevo.measure import ACCURACY


class Halves(he.Task):
    inputs, outputs, measure, class_names = he.Sheet((4, 4)), 2, ACCURACY, ("upper", "lower")
    data_name, checksum = "halves", "drawn"

    def __init__(self, settings, device):
        self.settings, self.validation = settings, self.batch(10**9, 0)

    def batch(self, seed, generation):
        fields = torch.randn(40, 16, generator=torch.Generator().manual_seed(1000 * seed + generation))
        return fields, (fields[:, 8:].sum(1) > fields[:, :8].sum(1)).long()

    def test(self):
        return self.batch(10**9, 1)

    def fitness(self, outputs, wanted):
        return torch.stack([-torch.nn.functional.cross_entropy(own, wanted) for own in outputs])

    def score(self, outputs, wanted):
        return (outputs.argmax(2) == wanted).float().mean(1)


build = Halves
