"""Data sets are found in order, checked always, and downloaded whole or not at all."""

import gzip
import hashlib
import http.server
import struct
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.datasets import load_digits

from hyperevo.data import DataMissing, dataset_names, fetch, load_images, verify
from hyperevo.data import _files as files
from hyperevo.data._images import load_idx_images, read_idx
from hyperevo.errors import UserError


def idx(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(header + array.astype(np.uint8).tobytes(), mtime=0)


RANDOM = np.random.default_rng(0)
CONTENT = {"images.gz": idx(RANDOM.integers(0, 256, (5, 3, 3))), "labels.gz": idx(RANDOM.integers(0, 10, 5)),
           "test-images.gz": idx(RANDOM.integers(0, 256, (2, 3, 3))), "test-labels.gz": idx(RANDOM.integers(0, 10, 2))}
SUMS = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENT.items()}


def source(*mirrors: str) -> SimpleNamespace:
    return SimpleNamespace(FILES=SUMS, UNPACKED={}, MIRRORS=mirrors or ("http://127.0.0.1:9/nowhere/",))


def lay_out(folder, content=CONTENT):
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in content.items():
        (folder / name).write_bytes(data)


@pytest.fixture
def server():
    """A mirror on this machine: /good/ has the files, /garbage/ other bytes, /cut/ breaks off, the rest is 404."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            folder, _, name = self.path.strip("/").partition("/")
            content = CONTENT.get(name)
            if content is None or folder not in ("good", "garbage", "cut"):
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write({"good": content, "garbage": content[::-1], "cut": content[: len(content) // 2]}[folder])

        def log_message(self, *_):
            pass

    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{listening.server_address[1]}"
    listening.shutdown()
    listening.server_close()


@pytest.mark.parametrize("name", ["mnist", "fashion"])
def test_real_data_sets(name, real_data):
    data = load_images(name)
    assert data.train_images.shape == (60_000, 28, 28) and data.test_images.shape == (10_000, 28, 28)
    assert np.bincount(data.train_labels).sum() == 60_000 and data.train_labels.max() == 9
    assert all(file.problem is None for file in verify(name))
    if name == "mnist":
        assert np.bincount(data.train_labels)[1] == 6742
        assert data.train_images.mean() == pytest.approx(33.318, abs=1e-3)


def test_digits_come_along_and_are_those_of_scikit_learn():
    data, own = load_images("digits"), load_digits()
    assert (np.concatenate([data.train_images, data.test_images]) == own.images).all()
    assert (np.concatenate([data.train_labels, data.test_labels]) == own.target).all()
    assert data.train_images.shape == (1500, 8, 8) and data.test_images.shape == (297, 8, 8)
    assert data.train_images.max() == data.maximum == 16
    assert data.checksum == load_images("digits").checksum


def test_all_data_sets_are_found_by_file_name():
    assert dataset_names() == [
        "cifar10", "digits", "enwik8", "fashion", "mnist", "multi30k", "omniglot", "ptb", "tinyshakespeare"]
    with pytest.raises(UserError, match="no data set called 'mnits'; did you mean 'mnist'"):
        load_images("mnits")


def test_own_folder_comes_before_the_cache(tmp_path, monkeypatch):
    lay_out(files.cache_folder() / "toy")
    assert files.locate("toy", "images.gz") == files.cache_folder() / "toy" / "images.gz"
    lay_out(tmp_path / "own" / "toy")
    monkeypatch.setenv("HYPEREVO_DATA", str(tmp_path / "own"))
    assert files.locate("toy", "images.gz") == tmp_path / "own" / "toy" / "images.gz"
    assert load_idx_images("toy", source()).train_images.shape == (5, 3, 3)


def test_own_folder_that_is_not_there_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setenv("HYPEREVO_DATA", str(tmp_path / "gone"))
    with pytest.raises(UserError, match="HYPEREVO_DATA: no folder .*gone"):
        load_idx_images("toy", source())


def test_offline_names_file_place_and_checksum():
    with pytest.raises(DataMissing, match=r"HYPEREVO_OFFLINE.*images.gz \(sha256 .*nowhere/images.gz") as caught:
        load_idx_images("toy", source())
    assert "\n" not in str(caught.value)


def test_no_network_is_said_in_one_line(monkeypatch):
    monkeypatch.delenv("HYPEREVO_OFFLINE")
    with pytest.raises(DataMissing, match=r"no mirror can be had \(127.0.0.1:9: ConnectionError\)"):
        load_idx_images("toy", source())


@pytest.mark.parametrize("bad", ["missing", "garbage", "cut"])
def test_a_bad_mirror_gives_way_to_the_next(server, monkeypatch, bad):
    monkeypatch.delenv("HYPEREVO_OFFLINE")
    data = load_idx_images("toy", source(f"{server}/{bad}/", f"{server}/good/"))
    assert data.test_labels.shape == (2,)
    folder = files.cache_folder() / "toy"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == CONTENT


@pytest.mark.parametrize("bad", ["missing", "garbage", "cut"])
def test_a_failed_download_leaves_nothing_behind(server, monkeypatch, bad):
    monkeypatch.delenv("HYPEREVO_OFFLINE")
    with pytest.raises(DataMissing):
        load_idx_images("toy", source(f"{server}/{bad}/"))
    assert not list((files.cache_folder() / "toy").iterdir())


@pytest.mark.parametrize("damage", [lambda content: content[:-9], lambda content: content[:40] + b"?" + content[41:],
                                    lambda content: b""])
def test_a_damaged_file_is_an_error_that_names_it_and_is_not_replaced(damage, server, monkeypatch):
    monkeypatch.delenv("HYPEREVO_OFFLINE")
    damaged = CONTENT | {"labels.gz": damage(CONTENT["labels.gz"])}
    lay_out(files.cache_folder() / "toy", damaged)
    with pytest.raises(UserError, match=r"labels.gz: is damaged or not the published file \(sha256.* --force") as error:
        load_idx_images("toy", source(f"{server}/good/"))
    assert not isinstance(error.value, DataMissing)
    assert (files.cache_folder() / "toy" / "labels.gz").read_bytes() == damaged["labels.gz"]
    assert [file.problem is None for file in files.statuses("toy", SUMS)] == [True, False, True, True]


def test_a_folder_in_place_of_a_file_cannot_be_read():
    (files.cache_folder() / "toy" / "images.gz").mkdir(parents=True)
    with pytest.raises(UserError, match=r"images.gz: cannot be read: Is a directory"):
        load_idx_images("toy", source())


def test_force_replaces_a_damaged_file_in_the_cache(server, monkeypatch):
    monkeypatch.delenv("HYPEREVO_OFFLINE")
    lay_out(files.cache_folder() / "mnist", CONTENT | {"labels.gz": b"damaged"})
    monkeypatch.setattr("hyperevo.data.data_source", lambda _: source(f"{server}/good/"))
    fetch("mnist", force=True)
    assert (files.cache_folder() / "mnist" / "labels.gz").read_bytes() == CONTENT["labels.gz"]


@pytest.mark.parametrize("content", [b"", b"not gzip", gzip.compress(b"\0\0\x0d\x01\0\0\0\x01x", mtime=0),
                                     gzip.compress(b"\0\0\x08\x02\0\0\0\x09", mtime=0), idx(np.zeros((3, 3)))[:-6],
                                     gzip.compress(b"\0\0\x08\x01\0\0\0\x09abc", mtime=0)])
def test_what_is_not_idx_is_one_line_that_names_the_file(tmp_path, content):
    (tmp_path / "x.gz").write_bytes(content)
    with pytest.raises(UserError, match=r"x.gz: is cut short or damaged") as caught:
        read_idx(tmp_path / "x.gz")
    assert "\n" not in str(caught.value)


def test_a_folder_in_place_of_a_file_is_not_removed(server, monkeypatch):
    monkeypatch.setattr("hyperevo.data.data_source", lambda _: source(f"{server}/good/"))
    (files.cache_folder() / "mnist" / "images.gz" / "thesis").mkdir(parents=True)
    with pytest.raises(UserError, match=r"mnist/images.gz: cannot be removed: "):
        fetch("mnist", force=True)
    assert (files.cache_folder() / "mnist" / "images.gz" / "thesis").is_dir()


def test_cache_that_cannot_be_written_is_an_error(monkeypatch, server, own_home):
    monkeypatch.delenv("HYPEREVO_OFFLINE")
    (own_home / ".cache").write_text("a file where the folder should be")
    with pytest.raises(UserError, match="cannot be written"):
        load_idx_images("toy", source(f"{server}/good/"))
