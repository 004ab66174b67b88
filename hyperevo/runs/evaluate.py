"""Genotypes → weights → outputs → fitness, a block of networks at a time."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from hyperevo import devices
from hyperevo.abilities import Acts, Calibrates, Writes
from hyperevo.encodings._table import TabledGraphs, distinct
from hyperevo.genotypes import Drawn, Genotypes, Neighbours, as_graphs
from hyperevo.geometry import WITH_OWN_NODES
from hyperevo.parts import Batch, Encoding, Target, Task
from hyperevo.runs.pulse import beat
from hyperevo.signals import Abandoned
from hyperevo.weights import Weights

BLOCK = 32
"""Number of networks evaluated at a time on the CPU, where memory allows: more are not faster, unless they are small.
Elsewhere it is as many as keep a device busy, see ENOUGH_NUMBERS."""

ENOUGH_NUMBERS = 2**28
"""Number of weights and values of units, 1 GB, that keep any device busy, while the next block is got ready."""

FEW_NUMBERS = 2**20
"""Number of weights and values of units, 4 MB, up to which an operation takes about as long to start as to compute."""

Play = Callable[[Target, Weights, Tensor, Tensor], Tensor]
"""Function of a target, P networks' weights, inputs and wanted outputs (N, …); gives outcomes (P, N, …)."""

Measure = Callable[[Tensor, Tensor], Tensor]
"""Function of outputs and wanted outputs to values (P,)."""

Elsewhere = Callable[[Genotypes, list[slice]], list[Tensor] | None]
"""Function that has blocks of genotypes evaluated by other processes: the values of every block, or None where this
process shall evaluate them."""


@torch.no_grad()
def evaluate(encoding: Encoding, target: Target, genotypes: Genotypes, batch: Batch, measure: Measure,
             memory_gb: float, calibration: Batch | None = None, acting: Play | None = None,
             together: int = Task.act_together, elsewhere: Elsewhere = lambda genotypes, blocks: None,
             precision: torch.dtype = torch.float32) -> Tensor:
    """Values (P,) of `measure(outputs, wanted)` for every genotype on the same batch, float32 on the CPU.

    calibration: inputs and wanted outputs from which every network first takes its running statistics or a fitted
    readout. acting: what networks do instead of reading the inputs, such as acting in an environment; `together` is the
    largest number of networks that do so side by side. elsewhere: other processes, which may take the blocks.
    precision: that of the networks' own numbers, see `precision_of`.

    Blocks bound memory. Which networks share one depends on neither the processes nor their number, and so no bit does.
    On the CPU graphs that are equal, numbers and all, are evaluated once, and every thread has blocks of its own.
    """
    own, places = _distinct(genotypes, batch[0].device)
    values = block_values(encoding, target, batch, measure, memory_gb, calibration, acting, precision)
    # Who acts step by step acts together with as many as there are, up to what the task allows.
    most = None if acting is None else min(1 << len(own).bit_length(), together)
    blocks, threads = division(len(own), target, batch[0], memory_gb, most=most)
    found = elsewhere(own, blocks) or in_threads(lambda block: values(own[block]), blocks, threads)
    joined = torch.cat(found).float().cpu()
    return joined if places is None else joined[places]


def block_values(encoding: Encoding, target: Target, batch: Batch, measure: Measure, memory_gb: float,
                 calibration: Batch | None, acting: Play | None,
                 precision: torch.dtype = torch.float32) -> Callable[[Genotypes], Tensor]:
    """Function of one block of genotypes to their values; arguments are those of `evaluate`."""
    inputs, wanted = batch
    inputs = inputs if precision == torch.float32 else inputs.to(precision)
    # What is calibrated looks at every example by itself; else normalisation may be over those that are shown together.
    pieces = [inputs] if calibration is None else inputs.split(examples_at_once(target, inputs, memory_gb))

    @torch.no_grad()
    def values(genotypes: Genotypes) -> Tensor:
        weights = calibrated(target, encoding.express(genotypes), calibration)
        if acting is not None:
            return measure(acting(target, weights, inputs, wanted), wanted)
        weights = weights if precision == torch.float32 else weights.to(precision)
        return measure(torch.cat([target.forward(weights, piece) for piece in pieces], 1).float(), wanted)

    return values


def precision_of(wanted: str, task: Task, target: Target) -> torch.dtype:
    """Precision in which the networks of a generation compute, for that of a config: the wanted one, or float32 where
    there is a reason for it."""
    return torch.bfloat16 if wanted == "bfloat16" and not stays_in_float32(task, target) else torch.float32


def stays_in_float32(task: Task, target: Target) -> str:
    """Reason why networks are evaluated in float32 whatever is wanted; empty where there is none."""
    if isinstance(task, Acts):
        return "networks act in an environment"
    return "" if target.takes_bfloat16 else "the target computes in float32"


def division(networks: int, target: Target, inputs: Tensor, memory_gb: float, copies: int = 1,
             most: int | None = None) -> tuple[list[slice], int]:
    """Blocks of networks on the same inputs, and the number of threads that share them; see `block_size`."""
    threads = 1 if networks == 1 or devices.takes_all_at_once(inputs.device) else torch.get_num_threads()
    size = min(block_size(target, inputs, memory_gb / threads, copies, most), -(-networks // threads))
    return [slice(start, min(start + size, networks)) for start in range(0, networks, size)], threads


def in_threads(work: Callable[[slice], Tensor], blocks: list[slice], threads: int) -> list[Tensor]:
    """Results of `work` for every block, in order."""
    return _side_by_side(work, blocks, threads) if threads > 1 else _counted(map(work, blocks), blocks)


def _counted(results: Iterable[Tensor], blocks: Sequence[slice]) -> list[Tensor]:
    """Results of blocks, which say how many networks are done."""
    done = []
    for block, result in zip(blocks, results, strict=True):
        done.append(result)
        beat(block.stop, blocks[-1].stop)
    return done


def _side_by_side(work: Callable[[slice], Tensor], blocks: list[slice], threads: int) -> list[Tensor]:
    """Results of `work` for every block, on `threads` threads. Two networks on a thread each take less time than one
    after the other on two threads, which wait for each other at every operation."""
    torch.set_num_threads(1)  # here, and in every thread, or products may still be cut in two, with other rounding
    pool, waits = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)), True
    try:
        return _counted(pool.map(work, blocks), blocks)
    except (Abandoned, KeyboardInterrupt):
        waits = False  # for blocks that nobody asks for any more
        raise
    finally:
        pool.shutdown(waits, cancel_futures=True)
        torch.set_num_threads(threads)


def acting_in(task: Task) -> Play | None:
    """Play of a task in whose environment networks act; None for others."""
    return task.play if isinstance(task, Acts) else None


def judged_by(task: Task) -> Play | None:
    """Play with which networks are validated and tested: they act, or write by themselves; None for others."""
    return task.write if isinstance(task, Writes) else acting_in(task)


def calibrated(target: Target, weights: Weights, calibration: Batch | None) -> Weights:
    """Weights with what a `Calibrates` target takes from examples; unchanged without these, and for other targets."""
    return target.calibrate(weights, *calibration) if calibration is not None and isinstance(target, Calibrates) \
        else weights


def fitting_half(target: Target, batch: Batch) -> tuple[Batch | None, Batch]:
    """(half to fit readouts to, other half to judge them by) of a batch; (None, whole batch) where none is fitted."""
    if not target.fitted:
        return None, batch
    middle = len(batch[0]) // 2
    return (batch[0][:middle], batch[1][:middle]), (batch[0][middle:], batch[1][middle:])


def block_size(target: Target, inputs: Tensor, memory_gb: float, copies: int = 1, most: int | None = None) -> int:
    """Number of networks that fit into the memory at a time, a power of two up to `most`, by default BLOCK or more for
    small networks; 1 where not even one fits.

    Counted in float32: `copies` of every weight, which a gradient may need, and every unit's value for every example,
    twice, for values in the making.
    """
    numbers = _numbers(target, inputs, copies)
    fitting = memory_gb * 1e9 / (4 * numbers)
    # How large networks are whose nodes are found, their target cannot say.
    if most is None and any(key in target.geometry for key in WITH_OWN_NODES):
        most = BLOCK
    elif most is None and devices.takes_all_at_once(inputs.device):
        most = max(BLOCK, _power_of_two(ENOUGH_NUMBERS // numbers))
    elif most is None:
        most = max(BLOCK, _power_of_two(FEW_NUMBERS // numbers))
    return min(most, max(_power_of_two(int(fitting)), 1))


def alone_or_few(target: Target, inputs: Tensor) -> int:
    """Number of networks whose gradients are computed together: one, unless networks are small."""
    return max(_power_of_two(FEW_NUMBERS // _numbers(target, inputs)), 1)


def _numbers(target: Target, inputs: Tensor, copies: int = 1) -> int:
    """Numbers that one network takes, counted as in `block_size`."""
    return copies * target.size + 2 * target.values(inputs) * len(inputs)


def _power_of_two(most: int) -> int:
    """Largest power of two up to `most`; 0 for 0."""
    return 1 << most.bit_length() >> 1


def examples_at_once(target: Target, inputs: Tensor, memory_gb: float) -> int:
    """Number of examples that one network can be shown at a time within the memory, counted as in `block_size`."""
    return max(int((memory_gb * 1e9 / 4 - target.size) / (2 * target.values(inputs))), 1)


def _distinct(genotypes: Genotypes, device: torch.device) -> tuple[Genotypes, list[int] | None]:
    """Genotypes without repetitions, and the index of each of the population among them, or None where all are taken.
    Only reproduction of graphs leaves exact copies; tensors of genes are not compared. Nor are graphs, where looking at
    each takes longer than to evaluate it."""
    if isinstance(genotypes, Tensor):
        return genotypes.contiguous(), None  # as they arrive at other processes
    if isinstance(genotypes, Neighbours | Drawn) or devices.takes_all_at_once(device):
        return genotypes, None
    if isinstance(genotypes, TabledGraphs):
        return distinct(genotypes)
    graphs = as_graphs(genotypes)
    first: dict[object, int] = {}
    places = [first.setdefault(graph.key(), len(first)) for graph in graphs]
    order = {place: graph for graph, place in zip(reversed(graphs), reversed(places), strict=True)}
    return [order[place] for place in range(len(first))], places
