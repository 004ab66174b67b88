"""Cost of a run in arithmetic: floating-point operations of its products and convolutions."""


from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from hyperevo.genotypes import Genotypes
from hyperevo.parts import Batch, Encoding, Target
from hyperevo.runs.evaluate import calibrated, fitting_half


@torch.no_grad()
def operations(encoding: Encoding, target: Target, genotypes: Genotypes, examples: Batch) -> tuple[int, int]:
    """(per network, per example): floating-point operations of matrix products and convolutions to express one network,
    and to show it an example. Sines and other functions of single numbers are not counted, nor is solving for a fitted
    readout.

    genotypes: a population of one; examples: at least three inputs and their wanted outputs.
    """
    inputs, wanted = examples
    all_, two = (_count(encoding, target, genotypes, (inputs[:count], wanted[:count])) for count in (len(inputs), 2))
    per_example = (all_ - two) // (len(inputs) - 2)
    return two - 2 * per_example, per_example


def _count(encoding: Encoding, target: Target, genotypes: Genotypes, examples: Batch) -> int:
    fitting, (inputs, _) = fitting_half(target, examples)
    with _Counter() as counter:
        target.forward(calibrated(target, encoding.express(genotypes), fitting), inputs)
    return counter.operations


class _Counter(TorchFunctionMode):
    """Adds up the operations of every product and convolution that is called. (torch's own FlopCounterMode imports its
    compiler first, which takes seconds.)"""

    operations = 0

    def __torch_function__(self, function: Callable[..., Tensor], types: object, args: tuple[Tensor, ...] = (),
                           kwargs: Mapping[str, Tensor] | None = None) -> Tensor:
        result = function(*args, **(kwargs or {}))
        if function in PRODUCTS:
            self.operations += 2 * result.numel() * args[PRODUCTS[function]].shape[-1]
        elif function in CONVOLUTIONS:
            self.operations += 2 * result.numel() * args[1][0].numel()
        elif function is torch.lstm:  # every number of its matrices meets one of every row
            rows, matrices = args[0].numel() // args[0].shape[-1], [own for own in args[2] if own.dim() == 2]
            self.operations += 2 * rows * sum(matrix.numel() for matrix in matrices)
        return result


PRODUCTS = {torch.mm: 0, torch.bmm: 0, torch.matmul: 0, Tensor.matmul: 0, Tensor.__matmul__: 0, torch.addmm: 1,
            torch.baddbmm: 1, torch.nn.functional.linear: 0}
"""Functions that multiply matrices, and the index of the argument whose last axis is summed over."""

CONVOLUTIONS = {torch.nn.functional.conv1d, torch.nn.functional.conv2d, torch.nn.functional.conv3d}


def total(evaluations: int, examples: int, per_network: int, per_example: int, learns: bool) -> int:
    """Operations of a whole run: `evaluations` networks expressed and `examples` shown to them, times three where it
    learns, because a backward pass takes twice the operations of a forward pass."""
    return (evaluations * per_network + examples * per_example) * (3 if learns else 1)
