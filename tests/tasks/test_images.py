"""Fitness and accuracy on images."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from hyperevo.data import ImageData
from hyperevo.tasks._images import ImageClassification, ImageSettings


def make_task(**options) -> ImageClassification:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (60, 4, 5), dtype=np.uint8)
    labels = random.integers(0, 3, 60, dtype=np.uint8)
    data = ImageData("made-up", images[:50], labels[:50], images[50:], labels[50:], 3, 255, "0" * 64)
    return ImageClassification(ImageSettings(images=8, validation=10, **options), data)


def test_fitness_is_minus_the_cross_entropy_of_each_network():
    task = make_task()
    outputs, labels = torch.randn(4, 8, 3), torch.randint(0, 3, (8,))
    expected = torch.stack([-cross_entropy(network, labels) for network in outputs])
    torch.testing.assert_close(task.fitness(outputs, labels), expected)


def test_scaled_fitness_ignores_the_size_of_outputs_but_not_who_leads():
    task = make_task(scale_outputs=2.0)
    outputs, labels = torch.randn(4, 8, 3), torch.randint(0, 3, (8,))
    torch.testing.assert_close(task.fitness(outputs, labels), task.fitness(outputs * 1000, labels))
    assert not torch.allclose(task.fitness(outputs, labels), task.fitness(-outputs, labels))


def test_accuracy():
    task = make_task(fitness="accuracy")
    outputs = torch.tensor([[[1.0, 0, 0], [0, 1, 0]], [[1, 0, 0], [1, 0, 0]]])
    assert task.accuracy(outputs, torch.tensor([0, 1])).tolist() == [1.0, 0.5]
    assert task.fitness(outputs, torch.tensor([0, 1])).tolist() == [1.0, 0.5]


def test_a_generation_has_its_own_images_the_same_at_every_call():
    task = make_task()
    assert torch.equal(task.batch(0, 3)[0], task.batch(0, 3)[0])
    assert not torch.equal(task.batch(0, 3)[0], task.batch(0, 4)[0])
    assert not torch.equal(task.batch(0, 3)[0], task.batch(1, 3)[0])


def test_training_never_sees_validation_or_test_images():
    task = make_task()
    seen = torch.cat([task.batch(0, generation)[0] for generation in range(200)]).unique(dim=0)
    assert len(seen) == 40
    for images, _ in (task.validation, task.test()):
        assert not any((image == seen).all(1).any() for image in images)


def test_mean_image_is_that_of_the_training_images():
    task = make_task()
    seen = torch.cat([task.batch(0, generation)[0] for generation in range(200)]).unique(dim=0)
    torch.testing.assert_close(seen.mean(0), torch.zeros(20), atol=1e-6, rtol=0)


def test_too_few_images_is_an_error_that_names_the_key():
    with pytest.raises(ValueError, match=r"task.images: 8 .* task.validation 45"):
        make_task().__class__(ImageSettings(images=8, validation=45),
                              ImageData("made-up", np.zeros((50, 4, 5), np.uint8), np.zeros(50, np.uint8),
                                        np.zeros((5, 4, 5), np.uint8), np.zeros(5, np.uint8), 3, 255, ""))
