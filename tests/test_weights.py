"""Dense, factored and mixed weights multiply alike."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hyperevo import devices
from hyperevo.weights import Deferred, Factored, Perturbed, Pieces, Weights, join, project, project_and_add


def random(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


SHARED_CORE = Factored(random(4, 3), random(5, 2), random(6, 3, 2))
OWN_OUTER = Factored(random(6, 4, 3), random(6, 5, 3))
OWN_LEFT = Factored(random(6, 4, 3), random(5, 3))
OWN_RIGHT = Factored(random(4, 3), random(6, 5, 3))
ALL_OWN = Factored(random(6, 4, 3), random(6, 5, 2), random(6, 3, 2))
PERTURBED = Perturbed(random(4, 5, seed=4), random(6, 4, 2), random(6, 5, 2))
AROUND_FACTORS = Perturbed(SHARED_CORE[2:3], random(6, 4, 2, seed=5), random(6, 5, 2, seed=6))
# Of so high a rank that its matrices are built where every network has inputs of its own.
SMALL_OF_HIGH_RANK = Factored(random(4, 4), random(5, 40), random(6, 4, 40))
MIXED = Pieces((random(2, 4, 5), OWN_OUTER[0:2], PERTURBED[2:3], SHARED_CORE[3:4]))
KINDS = [SHARED_CORE, OWN_OUTER, OWN_LEFT, OWN_RIGHT, ALL_OWN, PERTURBED, AROUND_FACTORS, SMALL_OF_HIGH_RANK, MIXED,
         random(6, 4, 5)]


@pytest.mark.parametrize("columns", [7, 20])
@pytest.mark.parametrize("weight", KINDS)
def test_every_kind_multiplies_as_its_dense_matrices(weight, columns):
    dense = weight if isinstance(weight, torch.Tensor) else weight.dense()
    assert len(weight) == 6 and tuple(weight.shape) == tuple(dense.shape) == (6, 4, 5)
    shared, own = random(5, columns, seed=1), random(6, 5, columns, seed=2)
    for inputs in (shared, own):
        expected = torch.stack([dense[p] @ (inputs if inputs.dim() == 2 else inputs[p]) for p in range(6)])
        torch.testing.assert_close(project(weight, inputs), expected, atol=1e-10, rtol=0)
        with torch.no_grad():
            torch.testing.assert_close(project(weight, inputs), expected, atol=1e-10, rtol=0)


@pytest.mark.parametrize("columns", [7, 20])
@pytest.mark.parametrize("weight", KINDS)
def test_a_bias_is_added_to_every_kind(weight, columns):
    bias = random(6, 4, seed=7)
    for inputs in (random(5, columns, seed=1), random(6, 5, columns, seed=2)):
        expected = project(weight, inputs) + bias[:, :, None]
        torch.testing.assert_close(project_and_add(weight, inputs, bias), expected, atol=1e-10, rtol=0)
        with torch.no_grad():
            torch.testing.assert_close(project_and_add(weight, inputs, bias), expected, atol=1e-10, rtol=0)


@pytest.mark.parametrize("weight", [*KINDS, Deferred(lambda: random(1, 4, 5), torch.Size((1, 4, 5)))])
def test_every_kind_is_rounded_to_half_precision(weight):
    rounded = Weights({"one": weight}).to(torch.bfloat16)
    product = project(rounded["one"], random(5, 7).bfloat16())
    assert product.dtype == rounded.tensor("one").dtype == torch.bfloat16
    torch.testing.assert_close(product.double(), project(weight, random(5, 7)), atol=0.7, rtol=0.05)


@given(st.integers(0, 5), st.integers(1, 6))
def test_a_slice_holds_the_same_networks(start, length):
    for weight in (SHARED_CORE, OWN_OUTER, OWN_LEFT, ALL_OWN, PERTURBED, AROUND_FACTORS, MIXED):
        torch.testing.assert_close(weight[start : start + length].dense(), weight.dense()[start : start + length])


def test_pieces_are_multiplied_where_they_belong():
    parts = [random(2, 4, 5), OWN_OUTER[:1], Deferred(lambda: random(1, 4, 5, seed=3), torch.Size((1, 4, 5)))]
    joined = join(parts)
    inputs = random(5, 7)
    assert len(joined) == 4 and tuple(joined.shape) == (4, 4, 5)
    expected = joined.dense() @ inputs
    torch.testing.assert_close(project(joined, inputs), expected)
    with torch.no_grad():
        torch.testing.assert_close(project(joined, inputs), expected)
        torch.testing.assert_close(project(joined[1:4], random(3, 5, 7)), joined.dense()[1:4] @ random(3, 5, 7))
    assert join([OWN_OUTER]) is OWN_OUTER


@pytest.mark.parametrize("parts", [(OWN_OUTER[:2], random(2, 4, 5), ALL_OWN[2:5], SHARED_CORE[5:6]),
                                   (OWN_OUTER[:2], ALL_OWN[2:5], SHARED_CORE[5:6]), (random(2, 4, 5), PERTURBED[2:5])],
                         ids=["mixed", "factored", "built"])
def test_a_device_that_takes_all_at_once_gets_one_value(parts, monkeypatch):
    pieces, inputs, own = Pieces(parts), random(5, 20, seed=1), random(sum(map(len, parts)), 5, 20, seed=2)
    monkeypatch.setattr(devices, "takes_all_at_once", lambda device: True)
    joined = join(parts)
    assert isinstance(joined, torch.Tensor if any(not isinstance(part, Factored) for part in parts) else Factored)
    torch.testing.assert_close(joined if isinstance(joined, torch.Tensor) else joined.dense(), pieces.dense())
    for columns in (inputs, own):
        torch.testing.assert_close(project(joined, columns), pieces.dense() @ columns)
        with torch.no_grad():
            torch.testing.assert_close(project(joined, columns), pieces.dense() @ columns)


@pytest.mark.parametrize("weight", KINDS)
def test_all_at_once_is_the_same_product(weight, monkeypatch):
    shared, own = random(5, 20, seed=1), random(6, 5, 20, seed=2)
    expected = [project(weight, inputs) for inputs in (shared, own)]
    monkeypatch.setattr(devices, "takes_all_at_once", lambda device: True)
    with torch.no_grad():
        for inputs, other in zip((shared, own), expected, strict=True):
            torch.testing.assert_close(project(weight, inputs), other)


def test_perturbed_matrices_are_one_and_their_changes():
    base, left, right = PERTURBED.base, PERTURBED.left, PERTURBED.right
    for network in range(6):
        torch.testing.assert_close(PERTURBED.dense()[network], base + left[network] @ right[network].T)


def test_gradient_reaches_every_part_of_perturbed_matrices():
    for inputs in (random(5, 7, seed=1), random(6, 5, 7, seed=2)):
        parts = [part.clone().requires_grad_() for part in (PERTURBED.base, PERTURBED.left, PERTURBED.right)]
        project(Perturbed(*parts), inputs).square().sum().backward()
        same = [part.detach().clone().requires_grad_() for part in parts]
        (Perturbed(*same).dense() @ inputs).square().sum().backward()
        for part, expected in zip(parts, same, strict=True):
            torch.testing.assert_close(part.grad, expected.grad)


class LargestTensor(TorchDispatchMode):
    """Notes the numbers in the largest memory that any operation's result lies in."""

    numbers = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self.numbers = max(self.numbers, tensor.untyped_storage().nbytes() // tensor.element_size())
        return result


@pytest.mark.parametrize("shape", [(80, 3), (50, 80, 3)])
def test_perturbed_matrices_are_not_built(shape):
    weight = Perturbed(random(60, 80), random(50, 60, 1), random(50, 80, 1))
    with torch.no_grad(), LargestTensor() as largest:
        project(weight, random(*shape))
    assert largest.numbers <= max(50 * 60 * 3, 50 * 80 * 3)
    with LargestTensor() as largest:
        weight.dense()
    assert largest.numbers == 50 * 60 * 80


def test_one_network_is_a_plain_state_dict():
    weights = Weights({"w": SHARED_CORE, "b": random(6, 4)})
    network = weights.network(2)
    torch.testing.assert_close(network["w"], SHARED_CORE.dense()[2])
    assert network["b"].shape == (4,) and weights.population == 6
    assert repr(weights) == "Weights(w (6, 4, 5), b (6, 4))"


def test_populations_must_agree():
    with pytest.raises(ValueError, match="differ in their number of networks"):
        Weights({"a": random(2, 3), "b": random(3, 3)})
    with pytest.raises(ValueError, match="no factor has a population axis"):
        Factored(random(4, 3), random(5, 3))
