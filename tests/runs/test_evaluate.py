"""Fitness does not depend on how a population is cut into blocks, or on how many threads share them."""

import pytest
import torch
from torch import nn

from hyperevo import devices
from hyperevo.benchmark import random_graphs
from hyperevo.config import load_config
from hyperevo.encodings import cppn, dct
from hyperevo.encodings.direct import DirectEncoding, Settings
from hyperevo.geometry import Sheet
from hyperevo.runs import evaluate as evaluation
from hyperevo.runs.compose import compose, remarks
from hyperevo.runs.evaluate import block_size, evaluate, examples_at_once, precision_of
from hyperevo.targets import mlp, substrate
from hyperevo.targets.module import ModuleTarget

TARGET = mlp.build(mlp.Settings(hidden=((12, 12),)), Sheet((14, 14)), 10)
BATCH = torch.rand(50, 196, generator=torch.Generator().manual_seed(0)), torch.zeros(50, dtype=torch.long)


def mean_output(outputs, labels):
    return outputs.mean((1, 2))


def population(kind):
    if kind == "dct":
        encoding = dct.DctEncoding(dct.Settings(coefficients=(3,)), TARGET.geometry)
        return encoding, torch.randn(37, encoding.genes, generator=torch.Generator().manual_seed(1))
    encoding = cppn.CppnEncoding(cppn.Settings(), TARGET.geometry)
    graphs = random_graphs(encoding, 12)
    return encoding, graphs + graphs[3:5]


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("kind", ["dct", "cppn"])
def test_threads_and_blocks_share_the_work_and_change_no_result(kind, monkeypatch):
    encoding, genotypes = population(kind)
    torch.set_num_threads(1)
    alone = evaluate(encoding, TARGET, genotypes, BATCH, mean_output, 4.0)
    assert alone.shape == (len(genotypes),)
    for count in (2, 3):
        torch.set_num_threads(count)
        together = evaluate(encoding, TARGET, genotypes, BATCH, mean_output, 4.0)
        torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
        assert torch.equal(evaluate(encoding, TARGET, genotypes, BATCH, mean_output, 4.0), together)
        assert torch.get_num_threads() == count
    monkeypatch.setattr(evaluation, "BLOCK", 4)
    torch.testing.assert_close(evaluate(encoding, TARGET, genotypes, BATCH, mean_output, 4.0), alone,
                               atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["dct", "cppn"])
@pytest.mark.parametrize("activation", list(mlp.ACTIVATIONS))
def test_networks_in_bfloat16_are_near_those_in_float32(kind, activation):
    encoding, genotypes = population(kind)
    if kind == "cppn":  # weights so small that no sine is asked for of an argument far out
        encoding = cppn.CppnEncoding(cppn.Settings(maximum_weight=0.02), TARGET.geometry)
    target = mlp.build(mlp.Settings(hidden=((12, 12),), activation=activation), Sheet((14, 14)), 10)
    torch.set_num_threads(1)
    whole, half = (evaluate(encoding, target, genotypes, BATCH, lambda outputs, labels: outputs[:, 3, 4], 4.0,
                            precision=precision) for precision in (torch.float32, torch.bfloat16))
    assert half.dtype == torch.float32 and not torch.equal(whole, half)
    torch.testing.assert_close(half, whole, atol=0.02 * float(whole.abs().max()), rtol=0)


@pytest.mark.parametrize(("name", "overrides", "reason"), [
    ("dct-mnist", ["task.name=digits"], ""),
    ("dct-mnist", ["task.name=digits", "search.name=gradient"],
     "the search follows a gradient, whose precision is search.precision"),
    ("cartpole-dct", [], "networks act in an environment"),
    ("dct-mnist", ["task.name=digits", "target={name='convnet', channels=[2]}"], "the target computes in float32")])
def test_where_bfloat16_has_no_effect_a_line_says_so(name, overrides, reason):
    parts = compose(load_config(name, overrides).config)
    assert remarks(parts, "bfloat16") == ([f"run.precision: bfloat16 has no effect: {reason}"] if reason else [])
    assert remarks(parts) == []
    if "gradient" not in reason:
        assert precision_of("bfloat16", parts.task, parts.target) == (torch.float32 if reason else torch.bfloat16)
    assert precision_of("float32", parts.task, parts.target) == torch.float32


def test_threads_do_not_get_into_each_others_module():
    module = nn.Sequential(*(nn.Linear(196, 196) for _ in range(6)), nn.BatchNorm1d(196), nn.Linear(196, 10))
    target = ModuleTarget(module, (196,))
    encoding = DirectEncoding(Settings(scale=1.0), target.geometry)
    genotypes = encoding.sample(32, torch.Generator().manual_seed(1))
    torch.set_num_threads(1)
    alone = evaluate(encoding, target, genotypes, BATCH, mean_output, 4.0)
    torch.set_num_threads(4)
    torch.testing.assert_close(evaluate(encoding, target, genotypes, BATCH, mean_output, 4.0), alone,
                               atol=1e-4, rtol=1e-4)


def test_a_failure_in_a_thread_is_raised_and_leaves_the_threads_as_they_were():
    encoding, genotypes = population("dct")
    torch.set_num_threads(2)
    with pytest.raises(ZeroDivisionError):
        evaluate(encoding, TARGET, genotypes, BATCH, lambda outputs, labels: 1 / 0, 4.0)
    assert torch.get_num_threads() == 2


def test_no_gradient_is_kept_in_any_thread():
    encoding, genotypes = population("dct")
    torch.set_num_threads(2)
    assert not evaluate(encoding, TARGET, genotypes.requires_grad_(), BATCH, mean_output, 4.0).requires_grad


def test_memory_decides_how_many_networks_are_evaluated_at_a_time():
    assert [block_size(TARGET, BATCH[0], memory) for memory in (4.0, 0.002, 1e-9)] == [32, 8, 1]


def test_of_small_networks_more_are_evaluated_at_a_time():
    small, inputs = mlp.build(mlp.Settings(hidden=((2, 4), (1, 4))), Sheet((2, 4)), 2), torch.zeros(256, 8)
    # 118 weights, and twice 14 values of units for every example: 2^20 numbers hold 143 such networks.
    assert [block_size(small, inputs, memory) for memory in (4.0, 0.001)] == [128, 32]
    found = substrate.build(substrate.Settings(), Sheet((3,)), 1)
    assert block_size(found, torch.zeros(8, 3), 4.0) == 32


def test_a_device_that_takes_all_at_once_is_kept_busy_by_every_block(monkeypatch):
    monkeypatch.setattr(devices, "takes_all_at_once", lambda device: True)
    small, inputs = mlp.build(mlp.Settings(hidden=((2, 4), (1, 4))), Sheet((2, 4)), 2), torch.zeros(256, 8)
    # 7,286 numbers a network: 2^28 of them are 36,843 networks, a gigabyte.
    assert [block_size(small, inputs, memory) for memory in (4.0, 0.1, 0.001)] == [32768, 2048, 32]


def test_where_not_even_one_network_fits_it_is_shown_a_part_of_the_examples_at_a_time(monkeypatch):
    encoding, genotypes = population("dct")
    examples = torch.rand(300, 196, generator=torch.Generator().manual_seed(2))
    calibration = examples[:20], torch.zeros(20, dtype=torch.long)
    shown = []
    forward = TARGET.forward
    monkeypatch.setattr(TARGET, "forward",
                        lambda weights, inputs: shown.append(len(inputs)) or forward(weights, inputs))

    def accuracy(memory_gb, calibration):
        return evaluate(encoding, TARGET, genotypes[:4], (examples, torch.arange(300) % 10),
                        lambda outputs, labels: (outputs.argmax(2) == labels).float().mean(1), memory_gb, calibration)

    torch.set_num_threads(1)
    whole = accuracy(1.0, calibration)
    assert set(shown) == {300}
    shown.clear()
    little = 1e-5 + 4e-9 * sum(parameter.size for parameter in TARGET.geometry.values())
    assert torch.equal(accuracy(little, calibration), whole)
    assert max(shown) == examples_at_once(TARGET, examples, little) < 20
    shown.clear()
    accuracy(1e-5, None)  # what normalises over the batch must see all of it
    assert set(shown) == {300}
