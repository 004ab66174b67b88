"""Dynamic hypernetworks by hand: the paper's equations gate by gate and example by example, in NumPy's float64, and
where the authors' code differs. Nothing here knows how hyperevo computes them; it reads a cell's `state_dict`."""

import numpy as np
import pytest
import torch


def sigmoid(value):
    return 1 / (1 + np.exp(-value))


def normalised(value, gain, offset, variant):
    epsilon = {"paper": 1e-5, "reference": 1e-3}[variant]
    return gain * (value - value.mean()) / np.sqrt(((value - value.mean()) ** 2).mean() + epsilon) + offset


class Weights:
    """A cell's `state_dict`, where every weight falls apart into that of each gate."""

    def __init__(self, cell, gates, prefix=""):
        self.values = {name.removeprefix(prefix): value.detach().numpy() for name, value in cell.state_dict().items()
                       if name.startswith(prefix)}
        self.gates = gates

    def __contains__(self, name):
        return name in self.values

    def __getitem__(self, name):
        return self.values[name]

    def of_gate(self, name, gate):
        return np.split(self.values[name], self.gates)[gate]


def lstm_state(sums, cell, weights, variant):
    """Equations 9 and 13, of the four sums i, g, f, o → h_t, c_t."""
    if "update.norm.gain" in weights:
        sums = [normalised(y, weights["update.norm.gain"][gate], weights["update.norm.offset"][gate], variant)
                for gate, y in enumerate(sums)]
    i, g, f, o = sums
    forget_bias = {"paper": 0.0, "reference": 1.0}[variant]
    cell = sigmoid(f + forget_bias) * cell + sigmoid(i) * np.tanh(g)
    shown = cell
    if "update.cell_norm.weight" in weights:
        shown = normalised(cell, weights["update.cell_norm.weight"], weights["update.cell_norm.bias"], variant)
    return sigmoid(o) * np.tanh(shown), cell


def rnn_state(sums, weights, variant):
    """Equation 4, of the one sum → h_t."""
    [y] = sums
    if "update.norm.gain" in weights:
        y = normalised(y, weights["update.norm.gain"][0], weights["update.norm.offset"][0], variant)
    return (np.tanh(y),)


def plain_step(x, state, weights, variant):
    """The sums of a network whose weights stay as they are, and its next state: (h, c), or (h,) where it has no c."""
    sums = [weights.of_gate("weight_hh", gate) @ state[0] + weights.of_gate("weight_ih", gate) @ x
            + weights.of_gate("bias", gate) for gate in range(weights.gates)]
    return lstm_state(sums, state[1], weights, variant) if len(state) == 2 else rnn_state(sums, weights, variant)


def hyper_step(x, state, weights, hyper_weights, variant):
    """Equations 10 to 12, or 6 and 8: x (in,) and (h, c, ĥ, ĉ), or (h, ĥ), before → the same after."""
    main, small = state[: len(state) // 2], state[len(state) // 2 :]
    read = np.concatenate([main[0], x] if variant == "paper" else [x, main[0]])
    after = plain_step(read, small, hyper_weights, variant)
    source = small[0] if variant == "paper" else after[0]
    gates = weights.gates
    w_z = weights["weight_z"].reshape(3, gates, -1, len(source))
    b_z = weights["bias_z"].reshape(2, gates, -1)
    w_d = weights["weight_d"].reshape(3, gates, -1, len(main[0])).swapaxes(2, 3)
    sums = []
    for gate in range(gates):
        z_h = w_z[0, gate] @ source + b_z[0, gate]
        z_x = w_z[1, gate] @ source + b_z[1, gate]
        z_b = w_z[2, gate] @ source
        # The scaled weight matrices themselves.
        w_h = np.diag(w_d[0, gate] @ z_h) @ weights.of_gate("weight_hh", gate)
        w_x = np.diag(w_d[1, gate] @ z_x) @ weights.of_gate("weight_ih", gate)
        sums.append(w_h @ main[0] + w_x @ x + w_d[2, gate] @ z_b + weights.of_gate("bias", gate))
    if len(main) == 2:
        return (*lstm_state(sums, main[1], weights, variant), *after)
    return (*rnn_state(sums, weights, variant), *after)


def run(cell, inputs, state):
    """One example's inputs (T, in) and state before → h after every step (T, H), and all states."""
    gates = cell.weight_hh.shape[0] // cell.hidden_size
    variant = "reference" if cell.variant.current else "paper"
    weights = Weights(cell, gates)
    states = []
    for x in inputs:
        if hasattr(cell, "hyper"):
            state = hyper_step(x, state, weights, Weights(cell, gates, "hyper."), variant)
        else:
            state = plain_step(x, state, weights, variant)
        states.append(state)
    return np.stack([state[0] for state in states]), states


@pytest.fixture(autouse=True)
def quick(one_thread):
    """All these tests are of tensors this small."""


@pytest.fixture
def by_hand():
    """run(cell, inputs, state) for one example."""
    return run


@pytest.fixture
def scattered():
    """A module in float64 none of whose parameters is at a special value, as many are at first."""
    def scatter(module, seed=0):
        generator = torch.Generator().manual_seed(seed)
        module.double()
        for parameter in module.parameters():
            torch.nn.init.normal_(parameter, std=0.4, generator=generator)
        return module

    return scatter
