"""Any module as a target: equal to the module itself, with buffers of its own for every network."""

import copy

import pytest
import torch
from torch import nn

from hyperevo.config import part_settings
from hyperevo.encodings import build_encoding
from hyperevo.encodings.direct import Settings as DirectSettings
from hyperevo.errors import UserError
from hyperevo.geometry import Sheet, module_geometry
from hyperevo.guests import OWN
from hyperevo.runs.compose import shaped_target
from hyperevo.targets import module as module_target
from hyperevo.targets._lent import copied
from hyperevo.targets.module import ModuleTarget, Settings, build
from hyperevo.weights import Weights


class Everything(nn.Module):
    """Convolutions, normalisations with and without statistics, a recurrent layer, an own parameter, a shared one."""

    def __init__(self, rows="GRU", classes=3):
        super().__init__()
        self.convolution = nn.Conv2d(2, 4, 3, padding=1)
        self.normalisation = nn.BatchNorm2d(4)
        self.rows = nn.GRU(4 * 6, 5, batch_first=True) if rows == "GRU" else Means(4 * 6, 5)
        self.layer_norm = nn.LayerNorm(5)
        self.drop = nn.Dropout(0.5)
        self.shift = nn.Parameter(torch.zeros(2, 3, 5))
        self.first = nn.Linear(5, 5)
        self.second = nn.Linear(5, 5)
        self.second.weight = self.first.weight
        self.readout = nn.Linear(5, classes)

    def forward(self, images):
        maps = torch.relu(self.normalisation(self.convolution(images)))
        states, _ = self.rows(maps.permute(0, 2, 1, 3).flatten(2))
        values = self.drop(self.layer_norm(states[:, -1])) + self.shift.mean((0, 1))
        return self.readout(torch.tanh(self.second(torch.tanh(self.first(values)))))


class Means(nn.Linear):
    """In place of a recurrent layer, which cannot be mapped."""

    def forward(self, rows):
        return super().forward(rows), None


SHAPE = (2, 6, 6)


@pytest.fixture(params=["one by one", "together"])
def target(request, monkeypatch):
    if request.param == "one by one":
        return ModuleTarget(Everything(), SHAPE, Sheet(SHAPE))
    monkeypatch.setattr(module_target, "_one_by_one", module_target._together)
    return ModuleTarget(Everything("means"), SHAPE, Sheet(SHAPE))


def random_weights(target, population=3):
    encoding = build_encoding(DirectSettings(scale=0.5), target.geometry, torch.device("cpu"))
    return encoding.express(torch.randn(population, encoding.genes, generator=torch.Generator().manual_seed(0)))


def loaded(target, weights, network):
    """The module itself with one network's parameters, and buffers where the weights hold any."""
    module = copy.deepcopy(target.original)
    geometry = target.geometry
    state = {name: value.reshape(geometry[name].tensor_shape) if name in geometry else value
             for name, value in weights.network(network).items()}
    missing = module.load_state_dict(state, strict=False)
    assert not missing.unexpected_keys
    return module


def examples(count=8, seed=1):
    return torch.randn(count, 72, generator=torch.Generator().manual_seed(seed))


def test_outputs_use_the_batch_where_nothing_is_calibrated(target):
    weights, inputs = random_weights(target), examples()
    outputs = target.forward(weights, inputs)
    assert outputs.shape == (3, 8, 3)
    for network in range(3):
        module = loaded(target, weights, network)
        module.normalisation.train()
        torch.testing.assert_close(outputs[network], module(inputs.view(8, *SHAPE)), atol=1e-5, rtol=1e-4)


def test_calibrated_networks_have_statistics_of_their_own(target):
    weights, inputs, others = random_weights(target), examples(40), examples(8, seed=2)
    calibrated = target.calibrate(weights, inputs)
    outputs = target.forward(calibrated, others)
    means = calibrated["normalisation.running_mean"]
    assert means.shape == (3, 4) and (means[0] != means[1]).all()
    for network in range(3):
        module = loaded(target, calibrated, network).eval()
        maps = module.convolution(inputs.view(40, *SHAPE))
        torch.testing.assert_close(means[network], maps.mean((0, 2, 3)), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(calibrated["normalisation.running_var"][network],
                                   maps.transpose(0, 1).flatten(1).var(1), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(outputs[network], module(others.view(8, *SHAPE)), atol=1e-5, rtol=1e-4)
    assert torch.equal(outputs, target.forward(calibrated, others))  # looking does not change them


def test_a_trained_modules_old_statistics_do_not_matter():
    module = Everything()
    module.train()(torch.randn(30, *SHAPE) * 5)
    fresh, used = ModuleTarget(Everything(), SHAPE), ModuleTarget(module, SHAPE)
    weights = random_weights(fresh)
    torch.testing.assert_close(used.calibrate(weights, examples())["normalisation.running_mean"],
                               fresh.calibrate(weights, examples())["normalisation.running_mean"])
    assert module.normalisation.momentum == 0.1


def test_gradients_reach_every_parameter(target):
    weights = random_weights(target)
    leaves = {name: weights.tensor(name).detach().requires_grad_() for name in weights}
    outputs = target.forward(Weights(leaves), examples())
    gradients = torch.autograd.grad(outputs.square().sum(), list(leaves.values()))
    assert all((gradient != 0).flatten(1).any(1).all() for gradient in gradients)


def test_geometry_names_every_parameter_once_and_places_it():
    geometry = module_geometry(Everything(), Sheet(SHAPE))
    assert list(geometry) == [name for name, _ in Everything().named_parameters()]
    assert "second.weight" not in geometry
    for name, parameter in Everything().named_parameters():
        assert geometry[name].tensor_shape == tuple(parameter.shape)
        assert geometry[name].size == parameter.numel()
    assert geometry["convolution.weight"].source.sizes == (2, 3, 3)
    assert geometry["rows.weight_hh_l0"].target.sizes == (3, 5)
    assert geometry["rows.weight_hh_l0"].source.sizes == (5,)
    assert geometry["readout.weight"].target.sizes == (1, 3)
    assert geometry["shift"].tensor_shape == (2, 3, 5)
    assert module_geometry(nn.Linear(784, 10), Sheet((28, 28)))["weight"].source.sizes == (28, 28)
    assert module_geometry(nn.Linear(256, 10))["weight"].source.sizes == (16, 16)
    lstm = module_geometry(nn.LSTM(4, 6, proj_size=2, bidirectional=True))
    assert lstm["weight_ih_l0_reverse"].target.sizes == (4, 6) and lstm["weight_hr_l0"].shape == (2, 6)


@pytest.mark.parametrize("name", ["dct", "coordinate", "cppn"])
def test_every_encoding_places_a_modules_weights(name):
    from hyperevo.benchmark import random_graphs
    from hyperevo.components import load_component

    target = ModuleTarget(nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(64, 3)), SHAPE)
    encoding = build_encoding(load_component("encoding", name).Settings(), target.geometry, torch.device("cpu"))
    genotypes = random_graphs(encoding, 2) if name == "cppn" else torch.randn(2, encoding.genes)
    assert target.forward(encoding.express(genotypes), examples()).shape == (2, 8, 3)


FILE = """
from torch import nn
def network(classes=2):
    return nn.Sequential(nn.Flatten(), nn.Linear(12, classes))
def pair():
    return 1, 2
made = network(3)
class Odd(nn.Linear):
    def forward(self, images):
        return images
"""


def test_a_module_from_a_file(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(FILE)
    before = torch.get_rng_state()
    target = build(Settings(module=f"{file}:network", arguments={"classes": 3}), Sheet((3, 4)), 3)
    assert torch.equal(torch.get_rng_state(), before)
    assert target.shape == (1, 3, 4) and list(target.geometry) == ["1.weight", "1.bias"]
    assert target.geometry["1.weight"].source.sizes == (3, 4) and target.units == 12 + 3
    made = build(Settings(module=f"{file}:made"), Sheet((3, 4)), 3)
    assert list(made.geometry) == list(target.geometry)
    assert build(Settings(module="torch.nn:Linear", arguments={"in_features": 12, "out_features": 3}, shape=(12,)),
                 Sheet((3, 4)), 3).units == 3


@pytest.mark.parametrize(("options", "message"), [
    ({"module": "nowhere.py:network"}, "target.module: nowhere.py: no such file"),
    ({"module": "no_such_package:network"}, "target.module: no_such_package: no such module"),
    ({"module": "broken.py:network"}, "target.module: broken.py: NameError: name 'nothing' is not defined"),
    ({"module": "mine.py:missing"}, "has no class or function 'missing'"),
    ({"module": "mine.py:pair"}, "returned tuple, not an nn.Module"),
    ({"module": "mine.py:network", "arguments": {"colour": 3}}, "target.arguments: .*colour"),
    ({"module": "mine.py:network", "shape": (3,)}, "target.shape: the module does not take examples of shape"),
    ({"module": "mine.py:network"}, "has 2 outputs, and the task needs 3"),
    ({"module": "mine.py:Odd", "arguments": {"in_features": 2, "out_features": 3}}, "must answer a tensor"),
    ({"module": "torch.nn:Flatten"}, "has no parameters to search"),
    ({"module": "mine.py:made", "arguments": {"classes": 3}}, "is a module already, and takes none"),
])
def test_what_does_not_fit_is_one_line(options, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(FILE)
    (tmp_path / "broken.py").write_text("nothing")
    with pytest.raises(UserError, match=message) as raised:
        shaped_target(part_settings("target", {"name": "module", **options}, "c.toml", {}, OWN), Sheet((3, 4)), 3)
    assert "\n" not in str(raised.value)


def test_a_place_without_a_name_is_refused():
    with pytest.raises(ValueError, match="package.module:name"):
        Settings(module="torch.nn.Linear")


@pytest.mark.parametrize("norm", [nn.utils.parametrizations.spectral_norm, nn.utils.spectral_norm])
@pytest.mark.filterwarnings("ignore:.*spectral_norm.* is deprecated:FutureWarning")
def test_spectral_norm_is_that_of_every_networks_own_matrix(norm):
    torch.manual_seed(0)
    target = ModuleTarget(nn.Sequential(nn.Flatten(), norm(nn.Linear(72, 5))), SHAPE)
    calibrated = target.calibrate(random_weights(target), examples())
    for network in range(3):
        plain = target.module(target.state_dict(calibrated.network(network)))
        assert torch.linalg.matrix_norm(loaded_weight(plain, examples()), 2) == pytest.approx(1, abs=0.15)
        torch.testing.assert_close(plain(examples()), target.forward(calibrated, examples())[network])
        torch.testing.assert_close(plain(examples()), target.forward(random_weights(target), examples())[network])


def loaded_weight(plain, inputs):
    """The weight that the linear layer of a plain network computes."""
    plain(inputs)
    return plain[1][1].weight.detach()


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated:FutureWarning")
def test_a_module_is_copied_while_its_weights_have_a_graph():
    module = nn.utils.weight_norm(nn.Linear(72, 3))
    module(examples())
    other = copied(module)
    assert other.weight.is_leaf and torch.equal(other.weight, module.weight)
    assert other.weight_g is not module.weight_g


def test_the_module_that_is_given_stays_as_it_is():
    module = Everything().train()
    before = copy.deepcopy(module.state_dict())
    target = ModuleTarget(module, SHAPE)
    target.forward(random_weights(target), examples())
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert module.training and all(value.requires_grad for value in module.parameters())


def test_a_champion_of_before_shared_names_were_kept_loads():
    target = ModuleTarget(Everything(), SHAPE)
    state = target.state_dict(target.calibrate(random_weights(target), examples()).network(0))
    assert torch.equal(state["second.weight"], state["first.weight"])
    earlier = {name: value for name, value in state.items() if name != "second.weight"}
    assert torch.equal(target.module(earlier)(examples()), target.module(state)(examples()))
    with pytest.raises(ValueError, match="'readout.bias' is missing"):
        target.module({name: value for name, value in state.items() if name != "readout.bias"})


def test_a_linear_layers_further_parameters_are_placed_by_their_shape():
    layer = nn.Linear(6, 4)
    layer.scale, layer.single, layer.low = (nn.Parameter(torch.ones(sizes)) for sizes in ((1,), (), (2, 6)))
    layer.gain, layer.nothing = nn.Parameter(torch.ones(4)), nn.Parameter(torch.ones(0, 6))
    geometry = module_geometry(layer)
    assert {name: place.tensor_shape for name, place in geometry.items()} == {
        "weight": (4, 6), "bias": (4,), "scale": (1,), "single": (), "low": (2, 6), "gain": (4,)}
    assert geometry["weight"].source.sizes == (2, 3) and geometry["gain"].target.sizes == (2, 2)


def test_one_network_alone_is_not_mapped_and_buffers_are_copied_to_a_device_once():
    target = ModuleTarget(Everything("means"), SHAPE, Sheet(SHAPE))
    gpu, cpu = torch.device("cuda"), torch.device("cpu")
    assert [target._is_mapped(*case) for case in ((1, gpu), (2, gpu), (2, cpu))] == [False, True, False]
    elsewhere = torch.device("meta")
    first, second = target._own_on(elsewhere), target._own_on(elsewhere)
    assert first and all(value.device == elsewhere and second[name] is value for name, value in first.items())


@pytest.mark.parametrize("mapped", [True, False])
def test_half_precision_products_leave_normalisations_their_statistics(mapped, monkeypatch):
    seen, normalise = [], torch.nn.functional.batch_norm
    monkeypatch.setattr(torch.nn.functional, "batch_norm", lambda values, mean, *more: (
        seen.append((values.dtype, mean.dtype)), normalise(values, mean, *more))[1])
    target = ModuleTarget(Everything("means"), SHAPE, Sheet(SHAPE))
    monkeypatch.setattr(ModuleTarget, "_is_mapped", lambda *_: mapped)
    genes = torch.randn(2, target.size, generator=torch.Generator().manual_seed(0)) * 0.3
    weights = build_encoding(DirectSettings(scale=1.0), target.geometry, torch.device("cpu")).express(
        genes.requires_grad_())
    images = torch.rand(5, 72, generator=torch.Generator().manual_seed(1))
    expected = target.forward(weights, images)
    seen.clear()
    with torch.autocast("cpu", torch.bfloat16):
        outputs = target.forward(weights, images)
    # Mapped, torch's normalisation would be given statistics of another precision, which it refuses on a GPU.
    assert {mean for _, mean in seen} == {torch.float32}
    assert {values for values, _ in seen} == {torch.float32 if mapped else torch.bfloat16}
    torch.testing.assert_close(outputs, expected, atol=0.1, rtol=0.1)
    gradient, = torch.autograd.grad(outputs.sum(), genes)
    assert torch.isfinite(gradient).all() and gradient.abs().sum() > 0
    seen.clear()
    with torch.autocast("cpu", torch.bfloat16), monkeypatch.context() as patch:
        patch.setattr(ModuleTarget, "_is_mapped", lambda *_: False)
        target.forward(weights, images)
    assert {values for values, _ in seen} == {torch.bfloat16}  # no hook is left
