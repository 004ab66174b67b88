"""CIFAR-10 from its archive and from its files unpacked."""

import hashlib
import io
import tarfile

import numpy as np
import pytest

from hyperevo.data import cifar10, load_images, verify
from hyperevo.errors import UserError

RANDOM = np.random.default_rng(0)


def records(count):
    return np.concatenate([RANDOM.integers(0, 10, (count, 1)), RANDOM.integers(0, 256, (count, 3072))], 1) \
        .astype(np.uint8).tobytes()


TRAIN = {name: records(4) for name in cifar10.UNPACKED}
TEST = records(6)


def sha256(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty data folder, and made-up images in place of the published ones."""
    monkeypatch.setenv("HYPEREVO_DATA", str(tmp_path))
    monkeypatch.setattr(cifar10, "UNPACKED", {name: sha256(content) for name, content in TRAIN.items()})
    monkeypatch.setattr(cifar10, "FIRST_TEST_IMAGES", 2)
    monkeypatch.setattr(cifar10, "FIRST_TEST_SHA256", sha256(TEST[: 2 * cifar10.RECORD]))
    (tmp_path / "cifar10" / cifar10.FOLDER).mkdir(parents=True)
    return tmp_path / "cifar10"


def unpack(folder, test=TEST):
    for name, content in {**TRAIN, cifar10.TEST_FILE: test}.items():
        (folder / name).write_bytes(content)


def pack(folder, monkeypatch):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in {**TRAIN, cifar10.TEST_FILE: TEST}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    (folder / "cifar-10-binary.tar.gz").write_bytes(packed.getvalue())
    monkeypatch.setattr(cifar10, "FILES", {"cifar-10-binary.tar.gz": sha256(packed.getvalue())})


def test_archive_and_unpacked_files_are_the_same_data(folder, monkeypatch):
    pack(folder, monkeypatch)
    archived = load_images("cifar10")
    unpack(folder)
    unpacked = load_images("cifar10")
    for data in (archived, unpacked):
        assert data.train_images.shape == (20, 3, 32, 32) and data.test_images.shape == (6, 3, 32, 32)
        first = np.frombuffer(next(iter(TRAIN.values())), np.uint8)
        assert data.train_labels[0] == first[0]
        assert (data.train_images[0].reshape(-1) == first[1 : cifar10.RECORD]).all()
    assert (archived.train_images == unpacked.train_images).all() and archived.checksum == unpacked.checksum
    assert all(file.problem is None for file in verify("cifar10"))


def test_a_test_file_of_the_first_images_only_is_read_as_it_is(folder):
    unpack(folder)
    whole = load_images("cifar10")
    unpack(folder, TEST[: 2 * cifar10.RECORD])
    data = load_images("cifar10")
    assert len(data.test_images) == 2 and (data.test_images == whole.test_images[:2]).all()
    assert data.checksum != whole.checksum


@pytest.mark.parametrize("test", [b"", TEST[:-1], TEST[::-1], records(6)])
def test_a_damaged_test_file_is_one_line_that_names_it(folder, test):
    unpack(folder, test)
    with pytest.raises(UserError, match=r"cifar10/cifar-10-batches-bin/test_batch.bin: is damaged"):
        load_images("cifar10")


def test_a_missing_test_file_and_a_damaged_training_file_are_named(folder):
    unpack(folder)
    (folder / cifar10.TEST_FILE).unlink()
    with pytest.raises(UserError, match=r"test_batch.bin: cannot be read"):
        load_images("cifar10")
    unpack(folder)
    (folder / cifar10.FOLDER / "data_batch_3.bin").write_bytes(b"x")
    with pytest.raises(UserError, match=r"data_batch_3.bin: is damaged"):
        load_images("cifar10")


def test_the_published_images(real_data):
    data = load_images("cifar10")
    assert data.train_images.shape == (50_000, 3, 32, 32) and (np.bincount(data.train_labels) == 5000).all()
    assert len(data.test_images) in (1000, 10_000)
    means = data.train_images.mean((0, 2, 3)) / 255
    assert means == pytest.approx([0.49140, 0.48216, 0.44653], abs=1e-5)
