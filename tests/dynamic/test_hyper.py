"""Any cell's weight matrices are scaled row by row, as if they had been built."""

import shutil

import pytest
import torch
from torch import nn
from torch.func import functional_call, vmap

from hyperevo.dynamic import Hyper, HyperState, LayerNormLSTMCell


class Layered(nn.Module):
    """A cell of one's own, of linear layers."""

    def __init__(self):
        super().__init__()
        self.input_size, self.hidden_size = 3, 5
        self.read, self.recur = nn.Linear(3, 7), nn.Linear(5, 7, bias=False)
        self.write = nn.Linear(7, 5)

    def forward(self, input, state=None):
        hidden = input.new_zeros(len(input), 5) if state is None else state
        return torch.tanh(self.write(torch.relu(self.read(input) + self.recur(hidden))))


class Opaque(Layered):
    """Uses a matrix in a way that is not a product with examples."""

    def forward(self, input, state=None):
        return super().forward(input, state) + self.write.weight.square().mean()


has_compiler = pytest.mark.skipif(not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="no C++ compiler")
CELLS = {"rnn": lambda: nn.RNNCell(3, 5), "relu": lambda: nn.RNNCell(3, 5, nonlinearity="relu"),
         "lstm": lambda: nn.LSTMCell(3, 5), "gru": lambda: nn.GRUCell(3, 5, bias=False), "layered": Layered,
         "opaque": Opaque, "ours": lambda: LayerNormLSTMCell(3, 5)}
every_cell = pytest.mark.parametrize("kind", CELLS)


def tensors(state):
    return (state,) if isinstance(state, torch.Tensor) else tuple(part for own in state for part in tensors(own))


def normal(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def close(state, other):
    for part, expected in zip(tensors(state), tensors(other), strict=True):
        torch.testing.assert_close(part, expected)


@every_cell
def test_a_cell_starts_as_it_was(kind):
    cell = CELLS[kind]().double()
    first, second = normal(2, 3), normal(2, 3, seed=2)
    expected = cell(second, cell(first))
    hyper = Hyper(cell, hyper_size=4, embedding=2)
    close(hyper(second, hyper(first)).main, expected)


@every_cell
def test_every_example_has_its_own_matrices(kind, scattered):
    hyper = scattered(Hyper(CELLS[kind](), hyper_size=4, embedding=2))
    inputs, before = normal(2, 3), hyper(normal(2, 3, seed=2))
    after = hyper(inputs, before)
    scales = hyper.scaling(before.hyper[0])
    assert set(scales) == {name for name, weight in hyper.cell.named_parameters() if weight.dim() == 2}
    hidden = tensors(before.main)[0]
    close(after.hyper, hyper.hyper(torch.cat([hidden, inputs], 1), before.hyper))
    for example in range(2):
        built = {name: torch.diag(scale[example]) @ hyper.cell.get_parameter(name) for name, scale in scales.items()}
        one = slice(example, example + 1)
        main = before.main[one] if isinstance(before.main, torch.Tensor) else tuple(part[one] for part in before.main)
        own = functional_call(hyper.cell, built, (inputs[one], main))
        close(tuple(part[one] for part in tensors(after.main)), own)


@every_cell
def test_gradients_reach_everything(kind, scattered):
    hyper = scattered(Hyper(CELLS[kind](), hyper_size=4, embedding=2))
    state = None
    for step in range(3):  # ĥ_0 is zero, what follows from it is in ĥ_1, and ĥ_2 is the first that remembers
        state = hyper(normal(4, 3, seed=step), state)
    sum(part.sum() for part in tensors(state.main)).backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in hyper.parameters())


def test_scales_of_a_gate_follow_from_its_own_numbers():
    hyper = Hyper(nn.GRUCell(3, 5), hyper_size=4, embedding=2)
    assert hyper.blocks == [5] * 6 and hyper.weight_z.shape == (12, 4) and hyper.weight_d.shape == (30, 2)
    assert Hyper(Layered(), hyper_size=4).blocks == [7, 7, 5]
    before = hyper.scaling(torch.ones(1, 4))["weight_hh"]
    with torch.no_grad():
        hyper.bias_z[8:10] += 1  # the second gate of the second matrix
    moved = hyper.scaling(torch.ones(1, 4))["weight_hh"] != before
    assert moved[0].tolist() == [5 <= row < 10 for row in range(15)]


def test_no_weight_is_built_where_the_cell_is_linear_in_it():
    built = {}
    for kind, make in CELLS.items():
        hyper = Hyper(make(), hyper_size=4)
        hyper(torch.randn(2, 3))
        built[kind] = hyper._opaque
    assert built == dict.fromkeys(CELLS, False) | {"opaque": True, "ours": True}


@every_cell
def test_calls_are_those_of_torchs_cells(kind, scattered):
    hyper = scattered(Hyper(CELLS[kind](), hyper_size=4))
    inputs = normal(2, 3)
    state = hyper(inputs)
    assert isinstance(state, HyperState)
    if kind not in ("layered", "opaque"):
        close(hyper(inputs[1]), tuple(part[1] for part in tensors(state)))
        close(hyper(inputs[1], hyper(inputs[1])), tuple(part[1] for part in tensors(hyper(inputs, state))))
    zero = HyperState(state.main, (torch.zeros_like(state.hyper[0]), torch.zeros_like(state.hyper[1])))
    close(hyper(inputs, state.main), hyper(inputs, zero))


@pytest.mark.parametrize("kind", [name if name == "lstm" else pytest.param(name, marks=pytest.mark.slow)
                                  for name in CELLS])
def test_a_compiler_takes_a_cell_whole(kind, scattered):
    hyper = scattered(Hyper(CELLS[kind](), hyper_size=4, embedding=2))
    inputs = normal(2, 3)
    with torch.no_grad():
        before = hyper(normal(2, 3, seed=2))
    answers = []
    for step in (hyper, torch.compile(hyper, fullgraph=True, backend="aot_eager")):
        hyper._opaque = False
        after = step(inputs, before)
        parameters = tuple(hyper.parameters())
        answers.append((after, torch.autograd.grad(sum(part.square().sum() for part in tensors(after)), parameters)))
    close(*answers)


@pytest.mark.slow
@has_compiler
def test_compiled_to_machine_code(scattered):
    hyper = scattered(Hyper(nn.LSTMCell(3, 5), hyper_size=4, embedding=2))
    inputs = normal(2, 3)
    close(torch.compile(hyper, fullgraph=True)(inputs), hyper(inputs))


def test_a_population_of_parameters_is_as_each_alone(scattered):
    hyper = scattered(Hyper(nn.GRUCell(3, 5), hyper_size=4))
    inputs = normal(2, 3)
    state = hyper(inputs)
    population = {name: torch.stack([value.detach(), 2 * value.detach()]) for name, value in hyper.named_parameters()}
    together = vmap(lambda own: functional_call(hyper, own, (inputs, state)))(population)
    for network in range(2):
        own = {name: value[network] for name, value in population.items()}
        close(tuple(part[network] for part in tensors(together)), functional_call(hyper, own, (inputs, state)))


@pytest.mark.parametrize(("call", "message"), [
    (lambda: Hyper(nn.Linear(3, 5)), "Linear does not tell its input_size"),
    (lambda: Hyper(nn.GRUCell(3, 5), embedding=0), "embedding is 0"),
    (lambda: Hyper(nn.GRUCell(3, 5))(torch.zeros(2, 4)), r"input has shape \(2, 4\)"),
])
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
