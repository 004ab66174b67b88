"""A weight's gradient, made in one product at the end, is what autograd adds up step by step."""

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck, gradgradcheck

from hyperevo.dynamic.products import LONG, every_step

SIZES = [3, 3, 2, 1]
every_length = pytest.mark.parametrize("sizes", [SIZES, SIZES[:1] * LONG + SIZES], ids=["short", "long"])


@pytest.fixture
def weight():
    return torch.randn(4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)


def recur(weight, start, product=None, sizes=SIZES):
    """A small recurrent network over batches that shrink."""
    product = product or every_step(weight, sizes)
    states = [start]
    for t, size in enumerate(sizes):
        states.append(torch.tanh(product(states[-1][:size], t)))
    return torch.cat(states[1:])


def start():
    return torch.randn(3, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64, requires_grad=True)


@every_length
def test_gradients_are_autograds(weight, sizes):
    first = start()
    own = recur(weight, first, sizes=sizes)
    usual = recur(weight, first, lambda vector, t: F.linear(vector, weight), sizes)
    torch.testing.assert_close(own, usual)
    for mine, theirs in zip(torch.autograd.grad(own.square().sum(), (weight, first)),
                            torch.autograd.grad(usual.square().sum(), (weight, first)), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-14, rtol=1e-12)


@every_length
def test_first_and_second_and_forward_derivatives_are_right(weight, sizes):
    def states(weight, first):
        return recur(weight, first, sizes=sizes)

    assert gradcheck(states, (weight, start()), check_forward_ad=True)
    assert gradgradcheck(states, (weight, start()), fast_mode=sizes != SIZES)


def test_the_gradient_is_one_product(weight):
    output = recur(weight, start())
    with torch.profiler.profile() as profile:
        torch.autograd.grad(output.sum(), weight)
    [products] = [event.count for event in profile.key_averages() if event.key == "aten::mm"]
    # One at each step, for the state before it; and one for the weight.
    assert products == len(SIZES) + 1


def test_steps_that_nothing_hangs_on_add_nothing(weight):
    product = every_step(weight, [2, 2, 2])
    first, unused = start()[:2], start()[1:]
    product(unused, 2)
    product(first, 0).sum().backward()
    torch.testing.assert_close(weight.grad, first.sum(0).expand(4, 4))


@every_length
def test_a_population_of_weights_is_as_each_alone(weight, sizes):
    first = start().detach()
    gradient = torch.func.grad(lambda own: recur(own, first, sizes=sizes).square().sum())
    weights = torch.stack([weight.detach(), 2 * weight.detach()])
    torch.testing.assert_close(torch.vmap(gradient)(weights), torch.stack([gradient(own) for own in weights]))


def test_a_frozen_weight_still_passes_gradients_on(weight):
    first = start()
    recur(weight.detach(), first).sum().backward()
    assert weight.grad is None and first.grad.abs().min() > 0


def test_stacks_of_matrices_have_gradients_of_their_own(weight):
    stack, sizes = torch.stack([weight.detach(), weight.detach().mT]).requires_grad_(), [3, 3, 3]
    first = torch.stack([start().detach(), 2 * start().detach()]).requires_grad_()
    own = recur(stack, first, sizes=sizes)
    usual = recur(stack, first, lambda vector, t: vector @ stack.mT, sizes)
    torch.testing.assert_close(own, usual)
    for mine, theirs in zip(torch.autograd.grad(own.square().sum(), (stack, first)),
                            torch.autograd.grad(usual.square().sum(), (stack, first)), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-14, rtol=1e-12)


def test_a_weight_is_cast_once_under_autocast(weight):
    single, first = weight.detach().float().requires_grad_(), start().detach().float()
    with torch.autocast("cpu", torch.bfloat16), torch.profiler.profile(record_shapes=True) as profile:
        output = recur(single, first)
    casts = [event.count for event in profile.key_averages(group_by_input_shape=True)
             if event.key == "aten::_to_copy" and event.input_shapes[0] == [4, 4]]
    assert casts == [1]
    gradient, = torch.autograd.grad(output.square().sum(), single)
    exact, = torch.autograd.grad(recur(single, first).square().sum(), single)
    assert gradient.dtype == torch.float32
    torch.testing.assert_close(gradient, exact, atol=0.05, rtol=0.05)
