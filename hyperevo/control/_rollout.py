"""Rollouts: P networks act in N episodes each, all at once."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hyperevo.abilities import InArrays, Steps, StepsInArrays
from hyperevo.control._actors import forward_own
from hyperevo.control._dynamics import together
from hyperevo.devices import Soon, takes_all_at_once
from hyperevo.parts import Target
from hyperevo.weights import Weights

STRIDE, LONGEST_STRIDE = 16, 128
"""Fewest and most steps between checks for episodes that still run; superfluous steps change nothing."""
LAST = 100
"""Final steps of an episode over which the wobbles are summed."""


@torch.no_grad()
def rollout(environment: Any, target: Target, weights: Weights, starts: Tensor,
            most_steps: int) -> tuple[Tensor, Tensor]:
    """Sums of rewards and step counts, both (P, N), of P networks in N episodes.

    All networks begin at the first states `starts` (N, values). An episode counts until it is over, or for `most_steps`
    steps. A target that has `step` keeps a memory; any other acts on the present observation alone. Weights and first
    states share one dtype, and everything is computed in it.
    """
    returns, steps, _ = _played(environment, target, _players(target, weights, starts), most_steps)
    return returns, steps.long()


@torch.no_grad()
def wobbling_rollout(environment: Any, target: Target, weights: Weights, starts: Tensor,
                     most_steps: int) -> tuple[Tensor, Tensor, Tensor]:
    """Results of `rollout`, and sums (P, N) of the environment's `wobble` over the last 100 steps of every episode."""
    players = _players(target, weights, starts)
    players.wobbles = starts.new_zeros(LAST, *players.returns.shape)
    returns, steps, wobbles = _played(environment, target, players, most_steps)
    return returns, steps.long(), wobbles


def _played(environment: Any, target: Target, players: "_Players", most_steps: int) -> tuple[Tensor, Tensor, Tensor]:
    """Sums of rewards, step counts, and sums of the last wobbles, all (P, N)."""
    results = players.results()
    all_are_over = Soon()
    first, stride, running = 0, STRIDE, players.running.numel()
    play = players.player(environment, target)
    while first < most_steps:
        play(range(first, min(first + stride, most_steps)))
        first += stride
        if takes_all_at_once(players.returns.device):
            if all_are_over(~players.running.any()):
                break
            continue
        left = int(players.running.sum())
        if not left:
            break
        if left == running:  # the next to end are longer in coming
            stride = min(2 * stride, LONGEST_STRIDE)
            continue
        stride, running = STRIDE, left
        acting = players.running.amax(1).nonzero()[:, 0]
        if 2 * len(acting) <= len(players.places):
            _note(results, players)
            players = players.chosen(acting)
            play = players.player(environment, target)
    _note(results, players)
    return results


def _note(results: tuple[Tensor, Tensor, Tensor], players: "_Players") -> None:
    """Write down what players have reached among the results of the population."""
    for own, reached in zip(results, players.results(), strict=True):
        own[players.places] = reached


@torch.no_grad()
def film(environment: Any, target: Target, weights: Weights, start: Tensor,
         most_steps: int) -> Iterator[tuple[int, float, Tensor, bool]]:
    """Frames of one network's episode from a first state (values,), one before every step and one after the last.

    A frame is (step, return so far, state (values,), whether it is the last frame).
    """
    players = _players(target, weights, start[None])
    for step in range(most_steps + 1):
        last = step == most_steps or not bool(players.running.any())
        yield step, float(players.returns), players.state[0, 0], last
        if last:
            return
        # Step by step, as others may let these networks act between two frames.
        players.player(environment, target)(range(step, step + 1))


@dataclass
class _Players:
    """Networks that act, and the state of their episodes.

    `places` (P,) are the networks' indices in the population. `state` is (P, N, values); `running`, `returns` and
    `steps` are (P, N); `memory` is the target's own; `wobbles` (LAST, P, N) are those of the last steps, where wanted.
    `running` is 1 until an episode is over, and 0 after: in the dtype of the others it needs no conversion at a step.
    """

    places: Tensor
    weights: Weights
    memory: Tensor | None
    state: Tensor
    running: Tensor
    returns: Tensor
    steps: Tensor
    wobbles: Tensor | None = None

    def play(self, environment: Any, target: Target, steps: range) -> None:
        """Take these steps in every episode. Episodes that are over go on with the others, but do not count."""
        remembering = target if isinstance(target, Steps) else None
        for step in steps:
            seen = environment.observe(self.state)
            if remembering is not None and self.memory is not None:
                self.memory, outputs = remembering.step(self.weights, self.memory, seen)
            else:
                outputs = forward_own(target, self.weights, seen)
            self.state, reward, over = environment.step(self.state, environment.act(outputs))
            self.returns.addcmul_(reward, self.running)
            self.steps += self.running
            if self.wobbles is not None:
                own = self.wobbles[step % LAST]
                own.copy_(torch.where(self.running > 0, environment.wobble(self.state), own))
            self.running.masked_fill_(over, 0)

    def player(self, environment: Any, target: Target) -> Callable[[range], None]:
        """Function that plays: by numpy, where the environment and the target can. Nobody else may step these networks
        while it is in use."""
        mover = vars(environment).get("mover")
        networks = target.in_arrays(self.weights, self.memory) \
            if mover is not None and isinstance(target, StepsInArrays) and self.memory is not None else None
        if mover is None or networks is None:
            return partial(self.play, environment, target)
        self.state, running = self.state.movedim(-1, 0).contiguous().clone().movedim(0, -1), self.running.numpy() > 0
        seen, move = mover(self.state.movedim(-1, 0).numpy())
        return partial(self._play_in_arrays, environment, networks, seen, move, running)

    def _play_in_arrays(self, environment: Any, networks: InArrays, seen: np.ndarray,
                        move: Callable[[np.ndarray], np.ndarray], running: np.ndarray, steps: range) -> None:
        """Take these steps by numpy, which writes to `state` and `running`; every reward is 1."""
        taken, counted = np.zeros(running.shape, np.uint8 if len(steps) < 256 else np.int32), running.view(np.uint8)
        with np.errstate(all="ignore"):  # as torch computes
            for step in steps:
                over = move(networks(seen))
                np.add(taken, counted, taken)
                if self.wobbles is not None:
                    np.copyto(self.wobbles[step % LAST].numpy(), environment.wobble(self.state).numpy(), where=running)
                np.greater(running, over, running)  # and not over
        self.memory = networks.memory()
        self.running.copy_(torch.from_numpy(running))
        self.returns += torch.from_numpy(taken)
        self.steps += torch.from_numpy(taken)

    def results(self) -> tuple[Tensor, Tensor, Tensor]:
        """Copies of the sums of rewards, step counts, and sums of the last wobbles, all (P, N); 0 where not wanted."""
        wobbles = torch.zeros_like(self.returns) if self.wobbles is None else self.wobbles.sum(0)
        return self.returns.clone(), self.steps.clone(), wobbles

    def chosen(self, acting: Tensor) -> "_Players":
        """The networks at these indices."""
        weights = Weights({name: value[acting] for name, value in self.weights.dense().items()})
        memory = None if self.memory is None else self.memory[acting]
        return _Players(self.places[acting], weights, memory, together(*self.state[acting].unbind(-1)),
                        self.running[acting], self.returns[acting], self.steps[acting],
                        None if self.wobbles is None else self.wobbles[:, acting])


def _players(target: Target, weights: Weights, starts: Tensor) -> _Players:
    """All networks, before their first step."""
    population, episodes = weights.population, len(starts)
    memory = target.initial(population, episodes, starts) if isinstance(target, Steps) else None
    returns = starts.new_zeros(population, episodes)
    # Every step reads all weights: those built on demand are built here, once.
    return _Players(torch.arange(population, device=starts.device), Weights(weights.dense()), memory,
                    together(*starts.expand(population, -1, -1).unbind(-1)), torch.ones_like(returns), returns,
                    torch.zeros_like(returns))
