"""One tiny batch from genotype to score, before a run begins: parts that cannot work fail at once and in one line."""

from collections.abc import Callable

import torch
from torch import Tensor

from hyperevo.abilities import Acts, FollowsGradient, Steps, Writes
from hyperevo.config import RunConfig
from hyperevo.control import forward_own
from hyperevo.errors import RunFailed, UserError
from hyperevo.genotypes import Genotype, Genotypes, stack
from hyperevo.parts import Batch, Parts
from hyperevo.runs.evaluate import calibrated, fitting_half
from hyperevo.runs.learn import Carried
from hyperevo.weights import Weights

EXAMPLES = 8
"""Number of examples in a trial; half of them fit a readout, where there is one."""


def try_parts(parts: Parts, config: RunConfig) -> None:
    """Express one genotype, show its network a few examples, and take fitness and score. Raises UserError, in one line
    that names the parts, for any error."""
    genotype = _tried(lambda: parts.search.ask()[:1], config)
    _tried(lambda: _act(parts, genotype) if isinstance(parts.task, Acts) else _read(parts, genotype, config), config)


def _tried(work: Callable[[], Genotypes | None], config: RunConfig) -> Genotypes:
    try:
        result = work()
    except (UserError, RunFailed, KeyboardInterrupt):
        raise
    except Exception as error:  # a guest's part may raise anything
        names = ", ".join(f"{kind} {config.part(kind).name}" for kind in ("task", "target", "encoding", "search"))
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{names} do not work together: {type(error).__name__}{f': {reason}' if reason else ''}") \
            from error
    return result if result is not None else torch.empty(0)


@torch.no_grad()
def check_state(parts: Parts, champion: Genotype | None) -> None:
    """Express the population of a search that was restored, and the champion; raises whatever is wrong with them."""
    population = parts.search.ask()
    for start in range(0, len(population), EXAMPLES):
        _check_weights(parts, population[start : start + EXAMPLES])
    if champion is not None:
        _check_weights(parts, stack(champion))


def _check_weights(parts: Parts, genotypes: Genotypes) -> None:
    if isinstance(genotypes, Tensor) and not torch.isfinite(genotypes).all():
        raise ValueError("genes are no finite numbers")
    parts.encoding.express(genotypes).network(0)


@torch.no_grad()
def _act(parts: Parts, genotype: Genotypes) -> None:
    """Answer first observations, without going through an episode."""
    observations, _ = parts.task.calibration(2)
    weights, target = parts.encoding.express(genotype), parts.target
    if isinstance(target, Steps):
        target.step(weights, target.initial(1, len(observations), observations), observations[None])
    else:
        forward_own(target, weights, observations[None])


def _read(parts: Parts, genotype: Genotypes, config: RunConfig) -> None:
    inputs, wanted = parts.task.batch(config.seed, 0)
    batch = inputs[:EXAMPLES], wanted[:EXAMPLES]
    follows = isinstance(parts.search, FollowsGradient)
    if follows and isinstance(genotype, Tensor):
        genotype = genotype.detach().requires_grad_()
    with torch.set_grad_enabled(follows):
        outputs, weights = _outputs(parts, genotype, batch)
        fitness = parts.task.fitness(outputs, fitting_half(parts.target, batch)[1][1])
    if fitness.shape != (1,):
        raise ValueError(f"fitness is of shape {tuple(fitness.shape)}, and one value a network is wanted, (1,)")
    if follows and not fitness.requires_grad:
        raise ValueError("no gradient of the fitness reaches the genes")
    if follows and isinstance(genotype, Tensor):
        torch.autograd.grad(fitness.sum(), genotype)
    with torch.no_grad():
        score = parts.task.score(outputs.detach(), fitting_half(parts.target, batch)[1][1])
        if score.shape != (1,):
            raise ValueError(f"score is of shape {tuple(score.shape)}, and one value a network is wanted, (1,)")
        if isinstance(parts.task, Writes):  # its description writes all tests
            parts.task.score(parts.task.write(parts.target, weights, *batch), batch[1])
        else:
            parts.task.describe(parts.target, weights)


def _outputs(parts: Parts, genotype: Genotypes, batch: Batch) -> tuple[Tensor, Weights]:
    fitting, (inputs, _) = fitting_half(parts.target, batch)
    weights = calibrated(parts.target, parts.encoding.express(genotype), fitting)
    shown = inputs.clone()
    outputs = Carried().outputs(parts.target, weights, shown) if isinstance(parts.search, FollowsGradient) \
        else parts.target.forward(weights, shown)
    if not torch.equal(shown.nan_to_num(), inputs.nan_to_num()):
        raise ValueError("the target writes into its inputs, which are other networks' too")
    return outputs.float(), weights
