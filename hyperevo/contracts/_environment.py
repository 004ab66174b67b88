"""Contract of control environments, as rules; see `hyperevo.control.environment`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Literal

import torch
from torch import Tensor

from hyperevo.contracts._rules import Rule, bits, check_attributes, far_apart, other_global_seeds, shape_line
from hyperevo.control import Sketch

LEADING = ((), (5,), (3, 5), (2, 3, 5))
"""Leading axes of states under test."""


class Environment:
    """Names that the module of an environment defines."""

    OBSERVATIONS: int
    OUTPUTS: int
    MOST_STEPS: int
    ACTIONS: Literal["discrete", "continuous"]
    reset: Callable[..., Tensor]
    observe: Callable[..., Tensor]
    act: Callable[..., Tensor]
    step: Callable[..., tuple[Tensor, Tensor, Tensor]]
    sketch: Callable[..., Sketch]
    wobble: Callable[..., Tensor] | None
    generalisation_starts: Callable[..., Tensor] | None


@dataclass(frozen=True)
class Case:
    """An environment under test."""

    part: ModuleType

    def starts(self, episodes: int, seed: int = 0) -> Tensor:
        """First states (episodes, values)."""
        return self.part.reset(episodes, torch.Generator().manual_seed(seed))

    def outputs(self, *leading: int) -> Tensor:
        """Outputs (…, OUTPUTS) of a network."""
        return torch.randn(*leading, self.part.OUTPUTS, generator=torch.Generator().manual_seed(1))


def keeps_attributes(case: Case) -> Iterator[str]:
    """Names are those of the contract."""
    return check_attributes(Environment, case.part)


def takes_any_axes(case: Case) -> Iterator[str]:
    """Any leading axes, in single and double precision."""
    for dtype in (torch.float32, torch.float64):
        for leading in LEADING:
            starts = case.starts(30).to(dtype)
            state = starts[: torch.Size(leading).numel()].reshape(*leading, starts.shape[1])
            following, reward, over = case.part.step(state, case.part.act(case.outputs(*leading).to(dtype)))
            yield from shape_line("the next state", following, state.shape)
            yield from shape_line("the reward", reward, leading)
            yield from shape_line("the mask of episodes that are over", over, leading)
            yield from shape_line("what is observed", case.part.observe(state), (*leading, case.part.OBSERVATIONS))
            yield from (f"{name} is {value.dtype}, not {wanted}" for name, value, wanted in (
                ("the next state", following, dtype), ("the reward", reward, dtype), ("the mask", over, torch.bool),
                ("what is observed", case.part.observe(state), dtype)) if value.dtype != wanted)


def keeps_episodes_apart(case: Case) -> Iterator[str]:
    """An episode does not depend on the others."""
    state, action = case.starts(40).double(), case.part.act(case.outputs(40).double())
    together, alone = case.part.step(state, action), case.part.step(state[7], action[7])
    if any(far_apart(of_all[7], one) for one, of_all in zip(alone, together, strict=True)):
        yield "episode 7 goes another way beside others"


def leaves_its_state(case: Case) -> Iterator[str]:
    """A state is not changed by what is done with it."""
    state = case.starts(5)
    before = bits(state)
    case.part.step(state, case.part.act(case.outputs(5)))
    case.part.observe(state)
    if bits(state) != before:
        yield "changes the state that it is given"


def starts_by_its_generator(case: Case) -> Iterator[str]:
    """First states follow from their generator, in single precision."""
    first = case.starts(5)
    if first.dtype != torch.float32:
        yield f"first states are {first.dtype}, not torch.float32"
    with other_global_seeds():
        if bits(case.starts(5)) != bits(first):
            yield "gives other states for the same generator"


def goes_on_finitely(case: Case) -> Iterator[str]:
    """Rewards stay finite, also of episodes that are over."""
    state, action = case.starts(5), case.part.act(case.outputs(5))
    for number in range(case.part.MOST_STEPS):
        state, reward, over = case.part.step(state, action)
        if not torch.isfinite(reward).all():
            yield f"a reward is not finite after {number + 1} steps"
            return
        if bool(over.all()) and number > 100:
            return


def is_drawn(case: Case) -> Iterator[str]:
    """One state has a sketch; stillness and further starts are functions or None."""
    if not isinstance(case.part.sketch(case.starts(1)[0]), Sketch):
        yield "sketch gives no Sketch"
    if case.part.wobble is not None:
        yield from shape_line("wobble", case.part.wobble(case.starts(5)), (5,))
    if case.part.generalisation_starts is not None:
        starts = case.part.generalisation_starts()
        yield from shape_line("generalisation_starts", starts, (len(starts), case.starts(1).shape[1]))
        if not isinstance(case.part.GENERALISATION_STEPS, int):
            yield "GENERALISATION_STEPS is not a number of steps"


RULES: dict[str, Rule] = {
    "attributes": keeps_attributes,
    "any leading axes": takes_any_axes,
    "step, episodes apart": keeps_episodes_apart,
    "step, state unchanged": leaves_its_state,
    "reset, same bits": starts_by_its_generator,
    "step, finite": goes_on_finitely,
    "sketch, wobble, generalisation_starts": is_drawn,
}
