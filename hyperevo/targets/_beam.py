"""Beam search: the likeliest answers of networks that write symbol by symbol, many sentences at once.

    s(Y, X) = log P(Y | X) / lp(Y) + cp(X, Y)                                       Wu et al. 2016, equation 14
    lp(Y) = ((5 + |Y|) / 6)^α        cp(X, Y) = β Σᵢ log min(Σⱼ p_ij, 1)            p_ij the attention of word j to i
"""

from collections.abc import Callable

import torch
from torch import Tensor

from hyperevo.abilities import Beam
from hyperevo.data import BEGIN, END, PADDING

State = tuple[Tensor, ...]
"""Knowledge of a network before it writes a symbol: tensors whose first axis is that of sentences."""

Step = Callable[[Tensor, State], tuple[Tensor, Tensor, State]]
"""Function of the last symbols (R,) and the state; gives log probabilities (R, symbols) of the next ones, attention (R,
source) and the state after."""


@torch.no_grad()
def beam_search(step: Step, state: State, source: Tensor, beam: Beam) -> Tensor:
    """Best answers (N, steps), PADDING after their END, which is not among them, where it was reached.

    source: symbols (N, S), PADDING after the last. A sentence is done when as many answers ended as the beam is wide;
    one of which none ended in time has the best unfinished one.
    """
    kept, count, width = source != PADDING, len(source), beam.width
    rows = torch.arange(count, device=source.device).repeat_interleave(width)
    state, written = tuple(part[rows] for part in state), source.new_full((count * width, 1), BEGIN)
    covered = torch.zeros(count * width, source.shape[1], device=source.device)
    # At first all answers of a sentence are one.
    totals = torch.full((count, width), -torch.inf, dtype=torch.double, device=source.device)
    totals[:, 0] = 0
    best, lines = _Best(count, beam, source), torch.arange(count, device=source.device)[:, None]
    for length in range(1, beam.most + 1):
        scores, attention, after = step(written[:, -1], state)
        symbols = scores.shape[-1]
        found, places = (totals[..., None] + scores.unflatten(0, (count, width))).flatten(1) \
            .topk(min(2 * width, width * symbols))
        parents, chosen = places // symbols, places % symbols
        covered = covered + attention
        ends = (chosen == END) & found.isfinite()
        ends[:, width:] = False
        rows = lines * width + parents
        best.take(found, ends, written[rows], covered[rows], kept, length)
        # The likeliest that go on, in order; ends are behind all of them.
        totals, order = torch.where(chosen == END, -torch.inf, found).topk(width)
        parents, chosen = parents.gather(1, order), chosen.gather(1, order)
        rows = (lines * width + parents).flatten()
        written = torch.cat([written[rows], chosen.reshape(-1, 1)], 1)
        state, covered = tuple(part[rows] for part in after), covered[rows]
        if bool((best.ended >= width).all()) or not bool(totals.isfinite().any()):
            break
    return best.answers(written.unflatten(0, (count, width))[:, 0])


class _Best:
    """Best answer of every sentence that has ended so far."""

    def __init__(self, count: int, beam: Beam, source: Tensor):
        self.beam = beam
        self.score = torch.full((count,), -torch.inf, dtype=torch.double, device=source.device)
        self.written = source.new_full((count, beam.most), PADDING)
        self.ended = torch.zeros(count, dtype=torch.long, device=source.device)

    def take(self, found: Tensor, ends: Tensor, written: Tensor, covered: Tensor, kept: Tensor, length: int) -> None:
        """Take answers that end here: totals and ends (N, C), what was written (N, C, length), their coverage (N, C,
        S), and the symbols of the source (N, S). What ended after a sentence was done is not looked at."""
        total = found / ((5 + length) / 6) ** self.beam.length_penalty
        missed = covered.double().clamp(1e-9, 1).log().where(kept[:, None], 0.0).sum(2)
        score = torch.where(ends & (self.ended < self.beam.width)[:, None],
                            total + self.beam.coverage_penalty * missed, -torch.inf)
        value, place = score.max(1)
        better = value > self.score
        self.score = torch.where(better, value, self.score)
        own = written[torch.arange(len(written)), place][:, 1:]
        self.written[better] = PADDING
        self.written[:, : length - 1] = torch.where(better[:, None], own, self.written[:, : length - 1])
        self.ended += ends.sum(1)

    def answers(self, unfinished: Tensor) -> Tensor:
        """Answers (N, steps), unfinished ones where none has ended."""
        steps = unfinished.shape[1] - 1
        answers = self.written[:, : max(steps, 1)].clone()
        none = self.score == -torch.inf
        answers[none, :steps] = unfinished[none, 1 : steps + 1]
        return answers
