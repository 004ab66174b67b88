"""Rounds of a run: ask, express, evaluate, tell; with a folder or without one."""

import logging
import math
import time
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from hyperevo.abilities import Acts, Continues, FollowsGradient, FollowsPolicyGradient, Lessons, ReadsOn, Teaches
from hyperevo.config import RunConfig
from hyperevo.errors import RunFailed
from hyperevo.genotypes import Drawn, Genotype, Genotypes, Neighbours
from hyperevo.loggers import Logger
from hyperevo.parts import Batch, Parts, Task
from hyperevo.randomness import mixed
from hyperevo.runs.compose import planned_rounds, remarks
from hyperevo.runs.elsewhere import elsewhere, gradients_elsewhere, slopes_elsewhere
from hyperevo.runs.environment import forget_peak_memory
from hyperevo.runs.evaluate import acting_in, evaluate, fitting_half, judged_by, precision_of
from hyperevo.runs.folder import record_round, write_checkpoint_of
from hyperevo.runs.learn import Carried, differentiable_fitness, dropping, learn
from hyperevo.runs.logged import told
from hyperevo.runs.policies import learn_policy
from hyperevo.runs.pulse import beat
from hyperevo.runs.result import Result, finish
from hyperevo.runs.state import Champion, Round, Run
from hyperevo.runs.steps import captures_of, steps_of
from hyperevo.signals import Abandoned, Interrupted, signals

log = logging.getLogger(__name__)


def execute(run: Run, observe: Callable[[Round], object] = lambda _: None, loggers: Sequence[Logger] = ()) -> Result:
    """Go through the remaining rounds and finish; returns the content of result.json.

    Every round ends with a checkpoint and a call of `observe`; the run stops early where that returns True. `loggers`
    get every round too, and so does that of `run.log`. The first SIGINT or SIGTERM raises `Interrupted` at once: a
    round that is not over is given up, and the checkpoint is that of the last one. A second signal does what it did
    before.
    """
    forget_peak_memory()
    for remark in remarks(run.parts, run.config.run.precision):
        log.warning(remark)
    received: list[int] = []
    try:
        with told(run, loggers) as tell, signals(raising=True) as received:
            stopped = False
            while spent(run) < 1 and not stopped:
                round_ = one_round(run)
                tell(round_)
                stopped = observe(round_) is True
                if received:  # and something swallowed what was raised
                    raise Abandoned
            if stopped and run.champion is None:
                _validate(run)
            run.result = finish(run)
            return run.result
    except Abandoned:
        raise Interrupted(received[0]) from None
    finally:
        run.close()


def one_round(run: Run) -> Round:
    """Ask, evaluate and tell once, validate where it is time, and write the round into the folder, if there is one."""
    started = time.perf_counter()
    settings, search = run.config.run, run.parts.search
    generation = search.generation
    _plan_by_clock(run)
    learned = isinstance(search, FollowsGradient)
    if isinstance(search, FollowsPolicyGradient):
        fitness, failed = _follow_policy_gradient(run, search)
    else:
        fitness, failed = _follow_gradient(run, search) if isinstance(search, FollowsGradient) else _evolve(run)
    run.round += 1
    before, run.seconds = run.seconds, run.seconds + time.perf_counter() - started
    score = _validate(run) if run.round % settings.validate_every == 0 or spent(run) >= 1 else None
    seconds = time.perf_counter() - started
    run.seconds = before + seconds
    champion = run.champion.validation_score if run.champion else None
    round_ = Round(run.round, generation, spent(run), fitness, failed, score, champion, seconds, learned)
    if run.writer is not None:
        with run.writer.writing():
            record_round(run, run.writer, round_)
            write_checkpoint_of(run, run.writer)
    return round_


def spent(run: Run) -> float:
    """Share of the rounds or the budget that a run has used up, the larger one; 1 where the champion has the wanted
    score, or is older than patience allows."""
    limits, champion = run.config.run, run.champion
    if champion is not None and limits.until is not None and champion.validation_score >= limits.until:
        return 1.0
    if champion is not None and limits.patience is not None and run.round - champion.round >= limits.patience:
        return 1.0
    return share_spent(run.config, run.round, run.evaluations, run.seconds, run.examples_per_batch)


def share_spent(config: RunConfig, rounds: int, evaluations: int, seconds: float, examples_per_batch: int) -> float:
    """Share of a config's limits, the largest one, that so many rounds, evaluations of a batch's examples, and seconds
    use up."""
    limits = config.run
    used = ((rounds, limits.rounds), (evaluations, limits.evaluations), (seconds, limits.seconds),
            (evaluations * examples_per_batch, limits.images))
    return max(have / limit for have, limit in used if limit is not None)


def _plan_by_clock(run: Run) -> None:
    """Re-estimate the rounds from the speed so far, for a budget in seconds, so that schedules end on time."""
    limit = run.config.run.seconds
    if limit is None or not run.seconds:
        return
    by_clock = math.ceil(run.round * limit / run.seconds)
    run.parts.search.plan(lambda evaluations: min(
        planned_rounds(run.config, evaluations, run.examples_per_batch), by_clock))


def _evolve(run: Run) -> tuple[Tensor, int]:
    """Evaluate and tell one generation: fitness (P,), and the number of networks that failed."""
    parts, search = run.parts, run.parts.search
    teacher = search if isinstance(search, Teaches) else None
    lessons = None if teacher is None else teacher.lessons()
    genotypes = search.ask() if lessons is None else _taught(run, lessons)
    fitting, batch = fitting_half(parts.target, parts.task.batch(run.config.seed, search.generation))
    fitness, failed = finite(evaluate(parts.encoding, parts.target, genotypes, batch, parts.task.fitness,
                                      run.memory_gb, fitting, acting_in(parts.task), parts.task.act_together,
                                      elsewhere(run, "fitness"),
                                      precision_of(run.config.run.precision, parts.task, parts.target)), parts.task)
    if teacher is None or lessons is None:
        search.tell(fitness)
    else:
        teacher.tell_learned(fitness, genotypes)
    run.evaluations += len(fitness)
    return fitness, failed


def _taught(run: Run, lessons: Lessons) -> Genotypes:
    """Graphs of a generation after their steps along the gradient."""
    parts = run.parts
    if run.fitness is None:
        run.fitness = differentiable_fitness(parts.encoding, parts.target, parts.task)
        run.captures = captures_of(parts)
    run.evaluations += len(lessons) * lessons.steps
    return learn(lessons, run.fitness, parts.target, parts.task, run.config.seed, parts.search.generation,
                 run.memory_gb, run.captures, partial(gradients_elsewhere, run))


def _follow_gradient(run: Run, search: FollowsGradient) -> tuple[Tensor, int]:
    """Take a round's steps along the gradient: mean fitness (P,) over them, and 0 failed networks. Raises RunFailed
    where the loss is not finite."""
    parts = run.parts
    if run.steps is None:
        run.steps = steps_of(parts, search, run.config.seed, run.memory_gb, slopes_elsewhere(run))
    steps = run.steps

    def take() -> Tensor:
        return steps.take(parts.task.batch(run.config.seed, parts.search.generation), _carried(run))

    return _step_by_step(run, search.steps_per_round, take, "loss"), 0


def _follow_policy_gradient(run: Run, search: FollowsPolicyGradient) -> tuple[Tensor, int]:
    """Take a round's steps along the policy gradient: mean return (P,) of the episodes whose actions were drawn, and 0
    failed networks. Raises RunFailed where it is not finite."""
    def take() -> Tensor:
        return learn_policy(search, run.parts, run.config.seed)

    return _step_by_step(run, search.steps_per_round, take, "return"), 0


def _step_by_step(run: Run, steps: int, take: Callable[[], Tensor], what: str) -> Tensor:
    """Mean (P,) over a round's steps of what each step gives; raises RunFailed where it is not finite."""
    seen = []
    for step in range(steps):
        beat(step, steps)
        seen.append(take())
        run.evaluations += len(seen[-1])
    mean = torch.stack(seen).mean(0).float().cpu()
    if not torch.isfinite(mean).all():
        raise RunFailed(f"the {what} is not finite after step {run.parts.search.generation}; a smaller "
                        "search.learning_rate or search.clip may help")
    return mean


def _carried(run: Run) -> Carried | None:
    """Seed of the dropout at this step and state of a target that reads on, reset unless this batch continues the one
    before; None for a target with neither."""
    generation, target = run.parts.search.generation, run.parts.target
    if not isinstance(target, ReadsOn):
        return dropping(target, run.config.seed, generation)
    run.carried = run.carried or Carried()
    run.carried.draw = mixed(run.config.seed, generation)
    if not (isinstance(run.parts.task, Continues) and run.parts.task.continues(generation)):
        run.carried.state = None
    return run.carried


def finite(fitness: Tensor, task: Task) -> tuple[Tensor, int]:
    """Fitness (P,) in which networks whose fitness is not finite are worse than all others, and their number. Raises
    RunFailed where no network's fitness is finite."""
    good = torch.isfinite(fitness)
    if not good.any():
        hint = "" if isinstance(task, Acts) else "; smaller weights may help"
        raise RunFailed(f"no network of the population has a finite fitness on {task.data_name}{hint}")
    worst = fitness[good].min() - 1
    return torch.where(good, fitness, worst), int((~good).sum())


def _validate(run: Run) -> float | None:
    """Validate the search's candidates: score of the best one, which becomes the champion if it beats the last one;
    None where no candidate's is finite. A score that is not finite is worse than all others."""
    parts = run.parts
    candidates = parts.search.candidates()
    scores = evaluate(parts.encoding, parts.target, candidates, parts.task.validation, parts.task.score,
                      run.memory_gb, calibration_of(parts), judged_by(parts.task), parts.task.act_together,
                      elsewhere(run, "score"))
    scores = scores.where(torch.isfinite(scores), -math.inf)
    parts.search.validated(scores)
    best = int(scores.argmax())
    score = float(scores[best])
    if not math.isfinite(score):
        if run.champion is None and run.round <= run.config.run.validate_every:
            log.warning("no candidate of round %d has a finite %s on %s, so that there is no champion yet", run.round,
                        parts.task.measure.name, parts.task.data_name)
        return None
    if run.champion is None or score > run.champion.validation_score:
        run.champion = Champion(_chosen(candidates, best), run.round, score)
    return score


def _chosen(genotypes: Genotypes, index: int) -> Genotype:
    if isinstance(genotypes, Neighbours):
        raise ValueError("candidates of a search are a tensor (C, genes), graphs, or drawn from a generator")
    return genotypes.genotype(index) if isinstance(genotypes, Drawn) else genotypes[index]


def calibration_of(parts: Parts) -> Batch:
    """Training examples from which the target takes statistics or a readout; none for most targets."""
    return parts.task.calibration(parts.target.calibration_examples)
