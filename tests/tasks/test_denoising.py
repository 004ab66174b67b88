"""Denoising: what is shown, what is wanted, and what counts."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn.functional import binary_cross_entropy_with_logits

from hyperevo.config import load_config
from hyperevo.data import ImageData
from hyperevo.errors import UserError
from hyperevo.plots import save_run_figures
from hyperevo.runs import create_run, execute
from hyperevo.runs.compose import compose, count_without_data, gene_counts
from hyperevo.tasks.denoising import Denoising, Settings

ON_DIGITS = ["task.data=digits", "task.validation=300", "task.images=30", "target.hidden=[[3,4]]", "run.rounds=2"]
SMALL = {"dppn-autoencoder": [*ON_DIGITS, "search.population=4", "search.hidden=4", "search.learn.steps=2"],
         "direct-autoencoder": [*ON_DIGITS, "search.steps_per_round=3"]}


def make_task(**options) -> Denoising:
    random = np.random.default_rng(0)
    images = random.integers(1, 256, (60, 4, 5), dtype=np.uint8)
    labels = random.integers(0, 3, 60, dtype=np.uint8)
    data = ImageData("made-up", images[:50], labels[:50], images[50:], labels[50:], 3, 255, "0" * 64)
    return Denoising(Settings(images=8, validation=10, **options), data)


def test_a_share_of_the_pixels_is_missing_and_the_rest_is_as_wanted():
    task = make_task(noise=0.3)
    noisy, whole = (torch.cat(parts) for parts in zip(*(task.batch(0, number) for number in range(100)), strict=True))
    missing = noisy == 0
    assert missing.float().mean() == pytest.approx(0.3, abs=0.02)
    assert torch.equal(noisy[~missing], whole[~missing])
    assert (whole > 0).all() and (whole <= 1).all()


def test_without_noise_images_are_shown_whole():
    noisy, whole = make_task(noise=0.0).batch(0, 0)
    assert torch.equal(noisy, whole)


def test_noise_depends_on_seed_and_number_alone():
    task = make_task()
    assert all(torch.equal(*pair) for pair in zip(task.batch(3, 5), make_task().batch(3, 5), strict=True))
    assert not torch.equal(task.batch(3, 5)[0], task.batch(3, 6)[0])


def test_validation_and_test_have_noise_that_never_changes():
    task, again = make_task(), make_task()
    assert (task.validation[0] == 0).any() and (task.test()[0] == 0).any()
    assert torch.equal(task.validation[0], again.validation[0])
    assert torch.equal(task.test()[0], again.test()[0])
    assert torch.equal(task.calibration(9)[0], again.calibration(9)[0])


def test_fitness_is_minus_the_error_of_each_network():
    outputs, whole = torch.randn(3, 8, 20), torch.rand(8, 20)
    squared = torch.stack([-((own.sigmoid() - whole) ** 2).mean() for own in outputs])
    torch.testing.assert_close(make_task(fitness="squared-error").fitness(outputs, whole), squared)
    entropy = torch.stack([-binary_cross_entropy_with_logits(own, whole) for own in outputs])
    torch.testing.assert_close(make_task().fitness(outputs, whole), entropy)


def test_explained_is_1_for_the_images_and_0_for_the_mean_training_image():
    task = make_task(sampling="epochs")
    mean = torch.cat([task.batch(0, number)[1] for number in range(5)]).mean(0)
    whole = task.validation[1]
    guesses = torch.stack([whole, mean.expand_as(whole), 1 - whole]).clamp(1e-6, 1 - 1e-6)
    perfect, average, opposite = task.score(guesses.logit(), whole).tolist()
    assert perfect == pytest.approx(1, abs=1e-4)
    assert average == pytest.approx(0, abs=1e-4)
    assert opposite < 0


@pytest.mark.parametrize("name", SMALL)
def test_a_run_on_digits_ends_with_a_result(name, tmp_path):
    config = load_config(name, SMALL[name]).config
    result = execute(create_run(config, tmp_path / "run"))
    assert result["measure"] == "variance explained"
    assert -10 < result["test_accuracy"] < 1
    examples = load_file(tmp_path / "run" / "champion" / "examples.safetensors")
    assert {name: tuple(images.shape) for name, images in examples.items()} \
        == dict.fromkeys(("seen", "restored", "whole"), (10, 64))
    missing = examples["seen"] != examples["whole"]
    assert missing.any() and (examples["seen"][missing] == 0).all() and 0 <= examples["restored"].min() < 1
    assert "reconstructions.png" in {path.name for path in save_run_figures(tmp_path / "run")}


@pytest.mark.parametrize("name", SMALL)
def test_sizes_are_known_without_the_data(name):
    config = load_config(name, SMALL[name]).config
    parts = compose(config)
    assert parts.target.geometry["readout.weight"].target.sizes == (8, 8)
    assert count_without_data(config) == gene_counts(parts)
    whole = count_without_data(load_config(name).config)
    assert whole["direct_parameters"] + whole["generated_weights"] == 157_684


@pytest.mark.parametrize(("override", "said"), [
    ("task.noise=1.0", "task.noise"), ("task.data=cifar10", "task.data"), ("task.fitness=accuracy", "task.fitness"),
    ("task.scale_outputs=1.0", "task.scale_outputs: unknown key")])
def test_bad_settings_are_one_line_that_names_the_key(override, said):
    with pytest.raises(UserError, match=said) as caught:
        load_config("dppn-autoencoder", [override])
    assert "\n" not in str(caught.value)
