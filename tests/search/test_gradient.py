"""The gradient search takes the steps that torch's optimisers take, each genotype as if alone, and resumes exactly."""

from types import SimpleNamespace

import pytest
import torch

from hyperevo.encodings.direct import DirectEncoding
from hyperevo.encodings.direct import Settings as DirectSettings
from hyperevo.errors import UserError
from hyperevo.geometry import ParameterGeometry, Sheet
from hyperevo.search.gradient import Settings, build

GEOMETRY = {"hidden.weight": ParameterGeometry(Sheet((2, 3)), Sheet((4,))),
            "hidden.bias": ParameterGeometry(Sheet((2, 3)))}
ENCODING = DirectEncoding(DirectSettings(scale=1.0), GEOMETRY)


def make(seed=0, rounds=4, **options):
    search = build(Settings(**{"steps_per_round": 5, **options}), ENCODING, seed)
    search.plan(lambda evaluations: rounds)
    return search


def fitness_of(genes):
    return -((genes - 0.7) * torch.arange(1, 31)).square().sum(1) / 100


def run(search, steps):
    for _ in range(steps):
        search.tell(fitness_of(search.ask()))
    return search


OPTIMIZERS = {
    "adam": (dict(learning_rate=0.1, weight_decay=0.01), lambda genes: torch.optim.Adam(genes, 0.1, weight_decay=0.01)),
    "adamw": (dict(learning_rate=0.1, weight_decay=0.1), lambda genes: torch.optim.AdamW(genes, 0.1, weight_decay=0.1)),
    "sgd": (dict(learning_rate=0.1, momentum=0.8, clip=0.5),
            lambda genes: torch.optim.SGD(genes, 0.1, momentum=0.8, nesterov=True)),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_genotype_learns_as_it_would_alone(optimizer):
    options, make_own = OPTIMIZERS[optimizer]
    search = make(population=3, optimizer=optimizer, **options)
    starts = search.ask().detach().clone()
    assert not torch.equal(starts[0], starts[1])
    run(search, 8)
    for start, learned in zip(starts, search.candidates(), strict=True):
        genes = start.clone().requires_grad_()
        own = make_own([genes])
        for _ in range(8):
            own.zero_grad()
            (-fitness_of(genes[None])).sum().backward()
            if "clip" in options:
                torch.nn.utils.clip_grad_norm_([genes], options["clip"])
            own.step()
        torch.testing.assert_close(learned, genes.detach(), atol=1e-5, rtol=1e-4)


def test_a_member_starts_as_a_run_of_its_own_seed_would_not_disturb():
    assert torch.equal(make(population=2).candidates()[0], make(population=1).candidates()[0])
    assert not torch.equal(make(seed=1).candidates(), make(seed=0).candidates())


def rates(search, steps):
    seen = []
    for _ in range(steps):
        seen.append(search.learning_rate())
        run(search, 1)
    return seen


def test_schedules():
    assert rates(make(learning_rate=0.5), 3) == [0.5] * 3
    assert rates(make(schedule="steps", learning_rate=0.5, steps=[[2, 0.1], [3, 0.01]]), 5) \
        == [0.5, 0.5, 0.1, 0.01, 0.01]
    cosine = rates(make(schedule="cosine", learning_rate=0.5), 20)
    assert cosine[0] == 0.5 and cosine[10] == pytest.approx(0.25) and cosine[19] < 0.01
    cycle = rates(make(schedule="one-cycle", learning_rate=0.5), 20)
    assert cycle[0] == pytest.approx(0.02) and cycle[6] == pytest.approx(0.5) == max(cycle)
    assert cycle[13] == pytest.approx(0.25) and cycle[19] < 0.01


def test_one_cycle_is_torchs():
    search = make(schedule="one-cycle", learning_rate=0.5, rounds=20)
    parameter = torch.zeros(1, requires_grad=True)
    own = torch.optim.SGD([parameter], 0.5)
    # torch counts one step less, so it is up to one step ahead.
    schedule = torch.optim.lr_scheduler.OneCycleLR(own, 0.5, total_steps=101, final_div_factor=1e9)
    for rate in rates(search, 100):
        assert rate == pytest.approx(schedule.get_last_lr()[0], abs=0.03)
        own.step()
        schedule.step()


def test_validation_keeps_everyones_best():
    search = make(population=2)
    first = search.candidates()
    search.validated(torch.tensor([0.5, 0.5]))
    second = run(search, 1).candidates()
    search.validated(torch.tensor([0.4, 0.6]))
    assert torch.equal(search.selected(), torch.stack([first[0], second[1]]))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("steps", [0, 1, 7])
def test_restored_search_goes_on_bit_for_bit(optimizer, steps):
    options = dict(population=2, optimizer=optimizer, schedule="one-cycle", clip=1.0)
    unbroken = run(make(**options), steps)
    unbroken.validated(torch.tensor([0.5, 0.6]))
    state = unbroken.state()
    kept = {key: value.clone() for key, value in state.items() if isinstance(value, torch.Tensor)}
    restored = make(**options)
    restored.restore(state, [])
    for _ in range(4):
        assert torch.equal(restored.ask(), unbroken.ask())
        assert restored.statistics() == unbroken.statistics()
        assert torch.equal(restored.selected(), unbroken.selected())
        run(unbroken, 1)
        run(restored, 1)
    assert all(torch.equal(state[key], value) for key, value in kept.items())


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="steps and schedule"):
        Settings(schedule="steps")
    with pytest.raises(ValueError, match="not in order"):
        Settings(schedule="steps", steps=[[3, 0.1], [2, 0.2]])
    with pytest.raises(ValueError, match="population of 1"):
        make().tell(torch.zeros(3))

    graphs = SimpleNamespace(settings=SimpleNamespace(name="cppn"))
    with pytest.raises(UserError, match="genotypes of encoding 'cppn' are graphs"):
        build(Settings(), graphs, 0)
