"""Cross-entropy by blocks is torch's own, value and gradient."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from hyperevo.tasks import _smoothed_cross_entropy
from hyperevo.tasks._smoothed_cross_entropy import smoothed_cross_entropy


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6),
                                                  (torch.bfloat16, 4e-3)])
def test_it_is_torchs_own(monkeypatch, dtype, tolerance, smoothing):
    monkeypatch.setattr(_smoothed_cross_entropy, "BLOCK", 7 * 50)
    generator = torch.Generator().manual_seed(0)
    scores = (5 * torch.randn(38, 50, generator=generator, dtype=torch.float64)).to(dtype).requires_grad_()
    wanted = torch.randint(0, 50, (38,), generator=generator)
    wanted[::5] = 0
    exact = scores.detach().double().requires_grad_()
    expected = cross_entropy(exact, wanted, ignore_index=0, label_smoothing=smoothing)
    found = smoothed_cross_entropy(scores, wanted, 0, smoothing)
    # Only gradients are rounded to the scores' precision.
    assert found.item() == pytest.approx(expected.item(), rel=min(tolerance, 1e-6))
    (3 * found).backward()
    (3 * expected).backward()
    torch.testing.assert_close(scores.grad.double(), exact.grad, atol=1e-12 if tolerance < 1e-9 else 1e-7,
                               rtol=2 * tolerance)


def test_scores_beyond_the_range_of_exponentials_have_a_finite_loss():
    scores = torch.tensor([[0.0, 500.0, -500.0]], requires_grad=True)
    loss = smoothed_cross_entropy(scores, torch.tensor([2]), 0, 0.0)
    loss.backward()
    assert loss.item() == 1000 and scores.grad.tolist() == [[0.0, 1.0, -1.0]]
