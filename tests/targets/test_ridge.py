"""A readout fitted in closed form: scikit-learn's ridge regression, for a population, with gradients; runs with it."""

import json

import pytest
import torch
from safetensors.torch import load_file
from sklearn.linear_model import Ridge

from hyperevo.config import load_config
from hyperevo.errors import UserError
from hyperevo.geometry import Sheet
from hyperevo.plots import save_run_figures
from hyperevo.runs import create_run, execute, open_run
from hyperevo.runs.compose import compose, count_without_data
from hyperevo.runs.evaluate import fitting_half
from hyperevo.targets._ridge import ridge_readout
from hyperevo.targets.mlp import Settings, build
from hyperevo.weights import Weights

SMALL = ["task.name=digits", "task.images=100", "target.hidden=[[4,4]]", "target.ridge=0.1", "run.rounds=4",
         "run.validate_every=2", "encoding.patterns=[]", "threads=1"]
ENCODINGS = {"dct-mnist": ["encoding.coefficients=[2]", "search.population=6", *SMALL[:-2], "threads=1"],
             "appendix-a1": ["encoding.direct=['*.bias']", "search.steps_per_round=3", *SMALL]}


def data(examples: int):
    generator = torch.Generator().manual_seed(3)
    return torch.randn(examples, 30, generator=generator), torch.randint(4, (examples,), generator=generator)


def test_it_is_ridge_regression_with_a_penalty_in_units_of_the_variance():
    target = build(Settings(hidden=((3, 4),), ridge=0.3), Sheet((5, 6)), 4)
    assert list(target.geometry) == ["hidden.weight", "hidden.bias"]
    assert list(target.fitted) == ["readout.weight", "readout.bias"]
    generator = torch.Generator().manual_seed(4)
    weights = Weights({"hidden.weight": torch.randn(2, 12, 30, generator=generator) * 0.3,
                       "hidden.bias": torch.randn(2, 12, generator=generator)})
    inputs, labels = data(50)
    outputs = target.forward(target.calibrate(weights, inputs, labels), inputs)
    for network in range(2):
        features = torch.tanh(inputs @ weights["hidden.weight"][network].T + weights["hidden.bias"][network]).double()
        variance = (features - features.mean(0)).square().sum(0).mean()
        reference = Ridge(alpha=0.3 * float(variance)).fit(features, torch.nn.functional.one_hot(labels, 4))
        torch.testing.assert_close(outputs[network].double(), torch.from_numpy(reference.predict(features)), atol=1e-5,
                                   rtol=1e-5)


def test_gradients_pass_through_it():
    _, labels = data(12)
    features = torch.randn(2, 12, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda values: ridge_readout(values, labels, 4, 0.1), features)


def test_the_penalty_does_not_depend_on_the_size_of_the_features():
    _, labels = data(40)
    features = torch.randn(1, 40, 6)
    small, large = (ridge_readout(scale * features, labels, 4, 0.5) for scale in (0.01, 10.0))
    torch.testing.assert_close(0.01 * small[0], 10 * large[0], atol=1e-6, rtol=1e-4)


def test_it_is_judged_on_other_images_than_it_is_fitted_to():
    target = build(Settings(hidden=((3, 4),), ridge=0.3), Sheet((5, 6)), 4)
    inputs, labels = data(11)
    fitting, (others, wanted) = fitting_half(target, (inputs, labels))
    assert torch.equal(torch.cat([fitting[0], others]), inputs) and torch.equal(torch.cat([fitting[1], wanted]), labels)
    assert len(fitting[0]) == 5
    plain = build(Settings(hidden=((3, 4),)), Sheet((5, 6)), 4)
    assert fitting_half(plain, (inputs, labels)) == (None, (inputs, labels))


@pytest.mark.parametrize("name", ENCODINGS)
def test_a_run_with_it_counts_keeps_and_draws_it(name, tmp_path):
    config = load_config(name, ENCODINGS[name]).config
    counts = count_without_data(config)
    assert counts["fitted_parameters"] == 16 * 10 + 10
    assert counts["direct_parameters"] + counts["generated_weights"] == 64 * 16 + 16
    run = create_run(config, tmp_path / "run")
    result = execute(run)
    assert result["fitted_parameters"] == 170 and result["test_accuracy"] > 0.25 and result["operations"] > 0
    weights = load_file(tmp_path / "run" / "champion" / "weights.safetensors")
    images, labels = run.parts.task.test()
    hidden = torch.relu(images @ weights["hidden.weight"].T + weights["hidden.bias"])
    outputs = hidden @ weights["readout.weight"].T + weights["readout.bias"]
    assert float((outputs.argmax(1) == labels).float().mean()) == pytest.approx(result["test_accuracy"])
    assert {"readout_maps.png", "receptive_fields.png"} <= {path.name for path in save_run_figures(tmp_path / "run")}


def test_an_unfinished_run_with_it_is_drawn_without_readout(tmp_path, run_until):
    run_until(load_config("dct-mnist", ENCODINGS["dct-mnist"]).config, tmp_path / "run", 3)
    names = {path.name for path in save_run_figures(tmp_path / "run")}
    assert "receptive_fields.png" in names and "readout_maps.png" not in names
    execute(open_run(tmp_path / "run"))
    assert json.loads((tmp_path / "run" / "result.json").read_text())["fitted_parameters"] == 170


def test_it_needs_classes():
    with pytest.raises(UserError, match="target.ridge: a readout can be fitted to classes only"):
        compose(load_config("direct-autoencoder", ["task.data=digits", "target.ridge=0.1",
                                                   "task.validation=200"]).config)
