"""A user's own images: pixels and classes, an order that depends on nothing but names, and one line for faults."""

import numpy as np
import pytest
import torch
from PIL import Image

from hyperevo.config import load_config
from hyperevo.errors import UserError
from hyperevo.runs import create_run, execute
from hyperevo.tasks.image_folder import Settings, build, shape

CPU = torch.device("cpu")


@pytest.fixture
def folder(tmp_path):
    """Dark images of cats, bright ones of dogs: a PNG, a JPEG, and so on."""
    random = np.random.default_rng(0)
    for name, least in (("dog", 128), ("cat", 0)):
        (tmp_path / "animals" / name).mkdir(parents=True)
        for number in range(10):
            pixels = random.integers(least, least + 100, (12, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "animals" / name / f"{number}.{'png' if number % 2 else 'JPEG'}")
    return tmp_path / "animals"


def settings(folder, **options):
    return Settings(path=str(folder), **{"size": (4, 5), "images": 5, **options})


def test_classes_are_folders_and_every_image_is_in_one_part(folder):
    task = build(settings(folder, test=0.25), CPU)
    assert task.class_names == ("cat", "dog") and task.inputs.sizes == (4, 5) and task.data_name == "animals"
    labels = [task._train[1], task.validation[1], task.test()[1]]
    assert [len(part) for part in labels] == [12, 3, 5] and torch.cat(labels).tolist().count(1) == 10
    bright = task._train[0].float().mean(1) > 110
    assert torch.equal(bright, task._train[1] == 1)


def test_colour_has_three_channels(folder):
    task = build(settings(folder, colour=True), CPU)
    assert task.inputs.sizes == (3, 4, 5) and task.batch(0, 0)[0].shape == (5, 60)
    assert shape(task.settings) == (task.inputs, task.outputs)


def test_an_image_is_resized_as_it_was_held_and_as_bright_as_it_is(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
    half = np.zeros((8, 4), np.uint8)
    half[:4] = 200
    Image.fromarray(half).save(tmp_path / "a" / "0.png")
    turned = Image.fromarray(np.rot90(half).copy()).convert("RGB")
    turned.save(tmp_path / "a" / "1.jpg", exif=_turn(turned), quality=100)
    Image.fromarray((half.astype(np.uint16) << 8) + 99).save(tmp_path / "a" / "2.png")
    Image.fromarray(half).convert("RGBA").save(tmp_path / "b" / "3.png")
    task = build(Settings(path=str(tmp_path), size=(2, 1), images=2, validation=0.25, test=0.25), CPU)
    images = torch.cat([task._train[0], torch.from_numpy(task._test[0]).flatten(1)]).int()
    assert (images - torch.tensor([[200, 0]])).abs().max() < 30


def _turn(image):
    exif = image.getexif()
    exif[0x0112] = 6  # held on its side
    return exif


def test_the_order_and_the_checksum_depend_on_names_and_bytes_alone(folder, tmp_path):
    first = build(settings(folder), CPU)
    copied = tmp_path / "copied"
    for path in sorted(folder.glob("*/*"), reverse=True):
        (copied / path.parent.name).mkdir(parents=True, exist_ok=True)
        (copied / path.parent.name / path.name).write_bytes(path.read_bytes())
    (copied / "cat" / ".hidden").write_text("")
    same = build(settings(copied), CPU)
    assert same.checksum == first.checksum and torch.equal(same.batch(0, 0)[0], first.batch(0, 0)[0])
    (copied / "cat" / "1.png").rename(copied / "cat" / "11.png")
    assert build(settings(copied), CPU).checksum != first.checksum


def test_test_images_of_a_folder_of_their_own(folder, tmp_path):
    (tmp_path / "more" / "dog").mkdir(parents=True)
    (folder / "dog" / "3.png").rename(tmp_path / "more" / "dog" / "3.png")
    task = build(settings(folder, test=str(tmp_path / "more")), CPU)
    assert task.test()[1].tolist() == [1] and len(task._train[1]) + len(task.validation[1]) == 19
    (tmp_path / "more" / "dog").rename(tmp_path / "more" / "wolf")
    with pytest.raises(UserError, match="more: class 'wolf' is not among the training images': cat, dog"):
        build(settings(folder, test=str(tmp_path / "more")), CPU)


def test_a_run_on_a_folder(folder, tmp_path):
    config = load_config("dct-mnist", [
        f"task={{name='image-folder', path='{folder}', size=[4,4], images=10}}", "target.hidden=[[2,2]]",
        "run.rounds=2", "encoding.coefficients=[2]", "search.population=4", "run.validate_every=1"]).config
    result = execute(create_run(config, tmp_path / "run"))
    assert result["test_images"] == 3 and result["data"] == "animals"


def _empty(folder):
    for path in (folder / "cat").iterdir():
        path.unlink()


def _remove(folder):
    _empty(folder)
    (folder / "cat").rmdir()


@pytest.mark.parametrize(("spoil", "line"), [
    (lambda folder: (folder / "cat" / "1.png").write_bytes((folder / "cat" / "1.png").read_bytes()[:90]),
     "cat/1.png: is no image, or cut short or damaged: "),
    (lambda folder: (folder / "cat" / "0.JPEG").write_text("no image"), "cat/0.JPEG: is no image, or cut short"),
    (lambda folder: (folder / "cat" / "notes.txt").write_text(""), "cat/notes.txt: is not a PNG or JPEG file"),
    (lambda folder: (folder / "cat" / "more.png").mkdir(), "cat/more.png: is not a PNG or JPEG file"),
    (_empty, "cat: holds no images"),
    (_remove, "animals: holds one class only, 'dog'; classes are two at least"),
])
def test_a_faulty_folder_is_one_line_that_names_the_file(spoil, line, folder):
    spoil(folder)
    with pytest.raises(UserError) as raised:
        build(settings(folder), CPU)
    assert line in str(raised.value) and str(folder) in str(raised.value) and "\n" not in str(raised.value)


def test_folders_that_are_missing_or_hold_too_little(folder, tmp_path):
    (tmp_path / "bare").mkdir()
    for path, line in ((tmp_path / "none", "none: cannot be read: .*No such file"), ("", "task.path: is missing"),
                       (tmp_path / "bare", "bare: holds no folders")):
        with pytest.raises(UserError, match=line):
            build(settings(path), CPU)
    with pytest.raises(ValueError, match="task.images: 50 a generation and task.validation 3 are more than the 17"):
        build(settings(folder, images=50), CPU)
    with pytest.raises(UserError, match="animals: 20 examples are too few: .* leave none for validation"):
        build(settings(folder, validation=0.01), CPU)
