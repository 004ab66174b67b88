"""Thousands of networks, trained by policy gradient and kept on the way, sorted into groups by their score.

Every network has a start of its own. A block of them learns side by side; a snapshot of all is taken every few steps,
and scored. In every group that lacks networks, one of a network's snapshots is drawn, scored again on other episodes,
and kept if that score is in the group too. So a group never holds two snapshots of one network. Blocks follow each
other until all groups are full. Each block depends on the seed and its number alone, so a killed collection goes on
to the same bits.
"""

import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from hyperevo.abilities import Acts, FollowsPolicyGradient
from hyperevo.config import RunConfig
from hyperevo.errors import UserError
from hyperevo.generative.networks import Networks, join_networks, read_networks
from hyperevo.genotypes import as_genes
from hyperevo.parts import Batch, Parts
from hyperevo.randomness import generator_for, mixed
from hyperevo.runs.compose import compose
from hyperevo.runs.files import write_tensors
from hyperevo.runs.policies import learn_policy

SCORING_STREAM, CHOOSING_STREAM = (1 << 61) + (1 << 60), (1 << 61) + (1 << 59)
"""Streams of first states for scoring, and of the choice of snapshots."""


@dataclass(frozen=True)
class Group:
    """Number of networks wanted whose score is above `above` and at most `most`."""

    above: float
    most: float
    count: int

    def holds(self, scores: Tensor) -> Tensor:
        """Mask (…) of scores in this group."""
        return (scores > self.above) & (scores <= self.most)


@dataclass(frozen=True)
class Course:
    """Steps along the gradient of every network, steps between snapshots, and episodes that score a snapshot, and those
    that score what is kept."""

    steps: int
    every: int = 1
    episodes: int = 10
    last_episodes: int = 100


@dataclass(frozen=True)
class Snapshots:
    """Genotypes (snapshots, P, genes) of a block's networks on the way, their scores (snapshots, P), and the steps
    (snapshots,) after which they were taken."""

    genotypes: Tensor
    scores: Tensor
    steps: Tensor


def collect(config: RunConfig, groups: Sequence[Group], course: Course, file: Path, workers: int = 2,
            told: Callable[[str], object] = print) -> Networks:
    """Collect networks into a file, or go on with a collection that was cut short, whose blocks lie in FILE.parts;
    search.population is a block's number of networks. Raises UserError where the search follows no policy gradient."""
    parts_folder = file.with_name(f"{file.name}.parts")
    parts_folder.mkdir(parents=True, exist_ok=True)
    kept = [read_networks(path) for path in sorted(parts_folder.glob("*.safetensors"))]
    parts, started = compose(config), time.perf_counter()
    blocks = _snapshots_of_blocks(config, course, len(kept), workers)
    try:
        while any(lacking := [group.count - _members(kept, group) for group in groups]):
            number, snapshots = next(blocks)
            kept.append(_kept(parts, config.seed, number, snapshots, groups, lacking, course))
            write_tensors(parts_folder / f"{number:06d}.safetensors", kept[-1].tensors())
            told(f"block {number}: {sum(map(len, kept)):,} networks, lacking {lacking}, "
                 f"{time.perf_counter() - started:.0f} s")
    finally:
        blocks.close()
    networks = join_networks(kept)
    write_tensors(file, networks.tensors())
    for path in parts_folder.glob("*.safetensors"):
        path.unlink()
    parts_folder.rmdir()
    return networks


def _members(kept: Sequence[Networks], group: Group) -> int:
    return sum(int(group.holds(own.table["score"]).sum()) for own in kept)


def _snapshots_of_blocks(config: RunConfig, course: Course, first: int, workers: int) \
        -> Generator[tuple[int, Snapshots], None, None]:
    """Numbers and snapshots of blocks without end, in order, `workers` of them in the making."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            waiting = [pool.submit(snapshots_of, config, course, first + own) for own in range(workers)]
            number = first
            while True:
                snapshots = waiting.pop(0).result()
                waiting.append(pool.submit(snapshots_of, config, course, number + workers))
                yield number, snapshots
                number += 1
    finally:
        torch.set_num_threads(before)


def _seed_of(seed: int, block: int) -> int:
    """Seed of a block of a collection, as a config may have it."""
    return mixed(seed, block) % 2**31


def snapshots_of(config: RunConfig, course: Course, block: int) -> Snapshots:
    """Snapshots of a block's networks while they learn."""
    seed = _seed_of(config.seed, block)
    parts = compose(config.model_copy(update={"seed": seed}))
    if not isinstance(parts.search, FollowsPolicyGradient):
        raise UserError(f"search.name: {config.part('search').name} follows no policy gradient")
    genotypes, scores, steps = [], [], []
    for step in range(course.steps + 1):
        if step % course.every == 0:
            genotypes.append(as_genes(parts.search.candidates()))
            starts = _starts(parts, seed, step, course.episodes)
            scores.append(scores_of(parts, genotypes[-1], starts))
            steps.append(step)
        if step < course.steps:
            learn_policy(parts.search, parts, seed)
    return Snapshots(torch.stack(genotypes), torch.stack(scores), torch.tensor(steps))


def _starts(parts: Parts, seed: int, number: int, episodes: int) -> Batch:
    """First states for scoring, apart from those that networks learn from."""
    longest = parts.task.batch(0, 0)[1][:1]
    starts = parts.task.environment.reset(episodes, generator_for(seed, number, SCORING_STREAM))  # type: ignore[attr-defined]
    return starts.to(longest.device), longest.expand(episodes)


@torch.no_grad()
def scores_of(parts: Parts, genotypes: Tensor, starts: Batch) -> Tensor:
    """Scores (P,) of networks that take their likeliest actions."""
    assert isinstance(parts.task, Acts)
    played = parts.task.play(parts.target, parts.encoding.express(genotypes), *starts)
    return parts.task.score(played, starts[1]).float()


def _kept(parts: Parts, seed: int, number: int, snapshots: Snapshots, groups: Sequence[Group],
          lacking: Sequence[int], course: Course) -> Networks:
    """A block's networks that are kept: at most one snapshot of each network in each group that lacks networks."""
    generator = generator_for(seed, number, CHOOSING_STREAM)
    starts = _starts(parts, _seed_of(seed, number), course.steps + 1, course.last_episodes)
    kept = []
    for group, wanted in zip(groups, lacking, strict=True):
        held = group.holds(snapshots.scores).double()
        members = held.any(0).nonzero()[:, 0]
        if not wanted or not len(members):
            continue
        rows = torch.multinomial(held[:, members].T, 1, generator=generator)[:, 0]
        genotypes = snapshots.genotypes[rows, members]
        scores = scores_of(parts, genotypes, starts)
        room = group.holds(scores).nonzero()[:wanted, 0]
        with torch.no_grad():
            weights = parts.encoding.express(genotypes[room]).dense()
        kept.append(Networks(weights, {"score": scores[room], "block": torch.full((len(room),), number),
                                       "member": members[room], "steps": snapshots.steps[rows][room]}))
    return join_networks(kept)
