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
    return ImageClassification(ImageSettings(images=8, validation=10, **options), data, "0123456789")


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


def test_scaled_fitness_is_the_cross_entropy_of_outputs_over_their_deviation():
    task = make_task(scale_outputs=2.0)
    outputs, labels = torch.randn(4, 8, 3, requires_grad=True), torch.randint(0, 3, (8,))
    expected = torch.stack([-cross_entropy(2 * network / network.std(), labels) for network in outputs])
    torch.testing.assert_close(task.fitness(outputs, labels), expected)
    own, others = (torch.autograd.grad(value.sum(), outputs, retain_graph=True)[0]
                   for value in (task.fitness(outputs, labels), expected))
    torch.testing.assert_close(own, others)
    equal = torch.ones(1, 8, 3, requires_grad=True)
    assert torch.autograd.grad(task.fitness(equal, labels).sum(), equal)[0].isfinite().all()


def test_accuracy():
    task = make_task(fitness="accuracy")
    outputs = torch.tensor([[[1.0, 0, 0], [0, 1, 0]], [[1, 0, 0], [1, 0, 0]]])
    assert task.score(outputs, torch.tensor([0, 1])).tolist() == [1.0, 0.5]
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
                                        np.zeros((5, 4, 5), np.uint8), np.zeros(5, np.uint8), 3, 255, ""), "abc")


def test_only_the_first_classes_and_training_images_are_shown():
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 256, (60, 4, 5), dtype=np.uint8), np.arange(60) % 4
    data = ImageData("made-up", images[:50], labels[:50], images[50:], labels[50:], 4, 255, "0" * 64)
    settings = ImageSettings(images=8, validation=5, classes=2, training=12)
    chosen = settings.chosen(data)
    assert chosen.classes == 2 and settings.shown_names("abcd") == ("a", "b")
    shown = np.flatnonzero(labels[:50] < 2)
    assert np.array_equal(chosen.train_images, images[[*shown[:12], *shown[-5:]]])
    assert np.array_equal(chosen.train_labels, labels[[*shown[:12], *shown[-5:]]])
    assert np.array_equal(chosen.test_images, images[50:][labels[50:] < 2])
    task = ImageClassification(settings, chosen, "ab")
    assert task.outputs == 2 and torch.equal(task.validation[1], torch.from_numpy(labels[shown[-5:]]))
    with pytest.raises(ValueError, match=r"task.training: 50 and task.validation 5"):
        ImageSettings(validation=5, training=50).chosen(data)
    with pytest.raises(ValueError, match=r"task.classes: 5 are more than the 4 classes"):
        ImageSettings(classes=5).shown_names("abcd")


def test_epochs_show_every_training_image_once_in_an_order_of_their_own():
    task = make_task(sampling="epochs")
    assert task.batches_per_epoch == 5
    epochs = [torch.cat([task.batch(0, 5 * epoch + place)[0] for place in range(5)]) for epoch in range(2)]
    assert all(len(epoch.unique(dim=0)) == 40 for epoch in epochs)
    assert not torch.equal(*epochs)
    assert torch.equal(task.batch(0, 3)[0], epochs[0][24:32])  # going back is possible
    assert not torch.equal(task.batch(1, 0)[0], task.batch(0, 0)[0])


def colour_task(**options) -> ImageClassification:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (60, 3, 4, 5), dtype=np.uint8)
    labels = random.integers(0, 3, 60, dtype=np.uint8)
    data = ImageData("made-up", images[:50], labels[:50], images[50:], labels[50:], 3, 255, "0" * 64)
    return ImageClassification(ImageSettings(images=8, validation=10, **options), data, "0123456789")


def test_colour_images_have_every_channel_scaled_to_mean_0_and_deviation_1():
    task = colour_task(sampling="epochs")
    assert task.inputs.sizes == (3, 4, 5)
    seen = torch.cat([task.batch(0, place)[0] for place in range(5)]).view(-1, 3, 20)
    torch.testing.assert_close(seen.mean((0, 2)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(seen.std((0, 2), correction=0), torch.ones(3), atol=1e-5, rtol=0)


@pytest.mark.parametrize("make", [make_task, colour_task])
@pytest.mark.parametrize(("pad", "flip"), [(1, False), (0, True), (2, True)])
def test_every_image_is_one_of_its_crops(make, pad, flip):
    plain, moved = make(sampling="epochs"), make(sampling="epochs", pad=pad, flip=flip)
    seen = set()
    for generation in range(60):
        before, after = (task.batch(0, generation) for task in (plain, moved))
        assert torch.equal(before[1], after[1])
        sizes = (-1, *((1, 4, 5) if len(plain.inputs.sizes) == 2 else plain.inputs.sizes))
        empty = ((0 - plain._mean) / plain._spread).expand(plain.inputs.units).view(sizes)
        for image, crop in zip(*(batch[0].view(sizes) for batch in (before, after)), strict=True):
            found = list(_matches(image, crop, empty[0], pad, flip))
            assert found
            seen |= set(found)
    assert len(seen) == (2 * pad + 1) ** 2 * (1 + flip)  # all of them happen


def _matches(image, crop, empty, pad, flip):
    """(down, right, mirrored) for which the crop is this image, moved and then mirrored, before the mean is taken."""
    for down in range(-pad, pad + 1):
        for right in range(-pad, pad + 1):
            for mirrored in (False, True)[: 1 + flip]:
                raw = (crop - empty).flip(2) if mirrored else crop - empty
                expected = torch.zeros_like(raw)
                rows, columns = raw.shape[1:]
                moves = ((down, rows), (right, columns))
                into = [slice(max(0, -move), min(size, size - move)) for move, size in moves]
                out_of = [slice(max(0, move), min(size, size + move)) for move, size in moves]
                expected[:, into[0], into[1]] = (image - empty)[:, out_of[0], out_of[1]]
                if torch.allclose(raw, expected, atol=1e-4):
                    yield down, right, mirrored


def test_shuffled_pixels_are_the_same_pixels_at_other_places_in_all_images():
    plain, shuffled, other = make_task(), make_task(shuffle_pixels=7), make_task(shuffle_pixels=8)
    places = torch.randperm(20, generator=torch.Generator().manual_seed(7))
    for batch in (lambda task: task.batch(0, 3), lambda task: task.validation, lambda task: task.test()):
        assert torch.equal(batch(plain)[0][:, places], batch(shuffled)[0])
        assert torch.equal(batch(plain)[1], batch(shuffled)[1])
        assert not torch.equal(batch(other)[0], batch(shuffled)[0])
