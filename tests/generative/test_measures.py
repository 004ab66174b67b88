"""Measures of ensembles against scikit-learn, against definitions written out, and against foolbox's attacks."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss, roc_auc_score
from torch import nn

from hyperevo.generative import attacks, measures


def outputs_and_labels(seed, networks=4, examples=60, classes=5):
    generator = torch.Generator().manual_seed(seed)
    outputs = 3 * torch.randn(networks, examples, classes, generator=generator)
    return outputs, torch.randint(classes, (examples,), generator=generator)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_likelihood_and_separation_equal_scikit_learns(seed):
    outputs, labels = outputs_and_labels(seed)
    probabilities = measures.soft_vote(outputs)
    torch.testing.assert_close(probabilities, torch.stack([own.double().softmax(1) for own in outputs]).mean(0))
    wanted = log_loss(labels, probabilities, labels=range(5))
    assert measures.negative_log_likelihood(probabilities, labels) == pytest.approx(wanted)
    generator = torch.Generator().manual_seed(seed)
    inside, outside = (torch.randint(high, (30,), generator=generator) / 7 for high in (6, 9))  # with ties
    wanted = roc_auc_score([0] * 30 + [1] * 30, torch.cat([inside, outside]))
    assert measures.separation(inside, outside) == pytest.approx(wanted)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_disagreement_and_calibration_are_their_definitions(seed):
    outputs, labels = outputs_and_labels(seed)
    answers = outputs.argmax(2)
    pairs = [(answers[i] != answers[j]).float().mean() for i in range(4) for j in range(4) if i != j]
    assert measures.disagreement(outputs) == pytest.approx(float(torch.stack(pairs).mean()), abs=1e-6)
    confidence, answer = measures.soft_vote(outputs).max(1)
    error = 0.0
    for low in range(10):
        own = (confidence > low / 10) & (confidence <= (low + 1) / 10)
        if own.any():
            gap = (answer[own] == labels[own]).double().mean() - confidence[own].mean()
            error += float(own.double().mean() * gap.abs())
    assert measures.calibration_error(measures.soft_vote(outputs), labels, 10) == pytest.approx(error)


def test_entropy_of_known_distributions():
    own = torch.tensor([[1.0, 0, 0, 0], [0.25, 0.25, 0.25, 0.25]])
    torch.testing.assert_close(measures.entropy(own), torch.tensor([0.0, math.log(4)]))


def test_norms_of_layers():
    weights = {"layer": torch.tensor([[3.0, 4.0], [6.0, 8.0]])}
    mean, spread = measures.layer_norms(weights)["layer"]
    assert mean == pytest.approx(7.5) and spread == pytest.approx(12.5**0.5)


@pytest.fixture(scope="module")
def victim():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 20), nn.Tanh(), nn.Linear(20, 4)).eval()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("epsilon", [0.03, 0.1, 0.5])
def test_attacks_equal_foolboxs(victim, epsilon):
    foolbox = pytest.importorskip("foolbox")
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(12, 1, 6, 6, generator=generator)
    labels = torch.randint(4, (12,), generator=generator)
    model = foolbox.PyTorchModel(victim, bounds=(0, 1))
    fast = foolbox.attacks.LinfFastGradientAttack(random_start=False)
    _, wanted, _ = fast(model, images, labels, epsilons=epsilon)
    found = attacks.fast_gradient_sign(victim, images, labels, epsilon)
    torch.testing.assert_close(found, wanted)
    slow = foolbox.attacks.LinfProjectedGradientDescentAttack(abs_stepsize=epsilon / 4, steps=10, random_start=False)
    _, wanted, _ = slow(model, images, labels, epsilons=epsilon)
    found = attacks.projected_gradient(victim, images, labels, epsilon, 10, epsilon / 4)
    torch.testing.assert_close(found, wanted)
    assert (found - images).abs().max() <= epsilon + 1e-6
