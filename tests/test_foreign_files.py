"""Whatever bytes are in a file that others made: it is read, or told in one line. HYPEREVO_FUZZ=N tries N files of each
format."""

import gzip
import hashlib
import io
import json
import os
import struct
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save

from hyperevo.config import check_config, load_config
from hyperevo.data import (
    cifar10,
    enwik8,
    load_images,
    load_text,
    read_arrays,
    read_iam,
    read_image_folder,
    read_stroke_file,
    read_text_file,
)
from hyperevo.data._images import read_idx
from hyperevo.errors import UserError
from hyperevo.genotypes import read_champion
from hyperevo.search._neat_python import neat_config

PARTS = {"task": {"name": "digits"}, "target": {"name": "mlp"}}

TOML = b"""seed = 3
[task]
name = "digits"  # eight by eight
[target]
name = "mlp"
hidden = [[4, 4], [2, 2]]
[encoding]
name = "dct"
scale = 1.5
[search]
name = "snes"
[run]
until = 0.5
"""

GRAPH = json.dumps({"inputs": 5, "outputs": [1, 2, 3, 4], "responses": [1] * 5, "biases": [0.0] * 5,
                    "weights": [1, 2.5, -3e-2, 4, 5, 6],
                    "nodes": [["sin", "sum", [0, 1]], *([["identity", "product", [5]]] * 4)]}).encode()

NUMBERS = "".join(f"{name}_{key}\n" for name in ("bias", "response", "weight") for key in (
    "init_mean = 0", "init_stdev = 1", "max_value = 30", "min_value = -30", "mutate_power = 0.5", "mutate_rate = 0.7",
    "replace_rate = 0.1"))

INI = f"""[NEAT]
fitness_criterion = max
fitness_threshold = 1
pop_size = 14
reset_on_extinction = False
[DefaultGenome]
num_inputs = 5
num_outputs = 4
num_hidden = 1
feed_forward = True
initial_connection = partial_direct 0.5
compatibility_disjoint_coefficient = 1.0
compatibility_weight_coefficient = 0.5
conn_add_prob = 0.3
conn_delete_prob = 0.1
node_add_prob = 0.3
node_delete_prob = 0.1
activation_default = random
activation_options = sin cos
activation_mutate_rate = 0.1
aggregation_default = sum
aggregation_options = sum product
aggregation_mutate_rate = 0.1
enabled_default = True
enabled_mutate_rate = 0.01
{NUMBERS}[DefaultSpeciesSet]
compatibility_threshold = 3.0
[DefaultStagnation]
[DefaultReproduction]
elitism = 2
""".encode()

LINE = b"""<?xml version="1.0" encoding="ISO-8859-1"?>
<WhiteboardCaptureSession><StrokeSet><Stroke colour="black"><Point x="1073" y="1058" time="1"/><Point x="99" y="-4"/>
</Stroke><Stroke><Point x="7" y="1.5"/></Stroke></StrokeSet></WhiteboardCaptureSession>
"""

IDX = b"\0\0\x08\x02" + struct.pack(">II", 3, 4) + bytes(range(12))
STROKES = {"points": np.tile(np.array([[0, 0, 0], [3, 4, 1]], np.float32), (30, 1)), "offsets": np.arange(0, 61, 2)}
IMAGES = bytes(range(241)) * 51  # four of CIFAR-10's records, and a little more
TABLE = b'a,"b, c",kind\n1,2,x\n-3e2,.5,y\n\n4,0,x\n'
ARRAYS = {"inputs": np.arange(24.0).reshape(8, 3), "targets": np.array(["x", "y"] * 4)}
WIKI = b"<page>wiki</page>" * 60


def saved(save, **arrays):
    file = io.BytesIO()
    save(file, **(arrays or STROKES))
    return file.getvalue()


def drawn(form):
    file = io.BytesIO()
    Image.fromarray(np.arange(60, dtype=np.uint8).reshape(4, 5, 3)).save(file, form)
    return file.getvalue()


def zipped(name, content):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return file.getvalue()


def sha256(content):
    return hashlib.sha256(content).hexdigest()


# Readers of (folder, content): each is to succeed on VALID[its name]


def written(folder, name, content):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def config(folder, content):
    load_config(str(written(folder, "own.toml", content)))


def ini(folder, content):
    search = {"name": "neat", "ini": str(written(folder, "neat.ini", content))}
    values = check_config({**PARTS, "encoding": {"name": "cppn"}, "search": search}, "here")
    neat_config(values.search, 5, 4)


def graph(folder, content):
    encoding = {"name": "fixed-graph", "graph": "{" + content.decode("utf-8", "surrogateescape")}
    check_config({**PARTS, "encoding": encoding, "search": {"name": "snes"}}, "here")


def text(folder, content):
    read_text_file(written(folder, "own.txt", content))


def strokes(folder, content):
    read_stroke_file(written(folder, "own.npz", content))


def idx(folder, content):
    read_idx(written(folder, "own.gz", content))


def iam(folder, content):
    for part, name in (("trainset", "a01-000u"), ("testset_v", "b01-000u"), ("testset_t", "c01-000u"),
                       ("testset_f", "d01-000u")):
        written(folder, f"{part}.txt", name.encode())
        written(folder, f"lineStrokes/{name}-01.xml", LINE if part != "trainset" else content)
    read_iam(folder)


def iam_list(folder, content):
    for part, forms in (("trainset", b"a01-000u"), ("testset_v", b"b01-000u"), ("testset_t", b""),
                        ("testset_f", content)):
        written(folder, f"{part}.txt", forms)
    for name in "abcd":
        written(folder, f"lineStrokes/{name}01-000u-01.xml", LINE)
    read_iam(folder)


def cifar(folder, content):
    """The test file is the one without a published sum."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYPEREVO_DATA", str(folder))
        patch.setattr(cifar10, "UNPACKED", dict.fromkeys(cifar10.UNPACKED, sha256(IMAGES[:3073])))
        patch.setattr(cifar10, "FIRST_TEST_SHA256", sha256(IMAGES[:6146]))
        patch.setattr(cifar10, "FIRST_TEST_IMAGES", 2)
        for file in cifar10.UNPACKED:
            written(folder, f"cifar10/{file}", IMAGES[:3073])
        written(folder, f"cifar10/{cifar10.TEST_FILE}", content)
        load_images("cifar10")


def wiki(folder, content):
    """An archive of the published sum, whatever is in it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYPEREVO_DATA", str(folder))
        patch.setattr(enwik8, "FILES", {enwik8.ARCHIVE: sha256(content)})
        written(folder, f"enwik8/{enwik8.ARCHIVE}", content)
        load_text("enwik8")


def table(folder, content):
    read_arrays(str(written(folder, "own.csv", content)), labels=("kind",))


def arrays(folder, content):
    read_arrays(str(written(folder, "own.npz", content)))


def picture(folder, content):
    for name in ("a", "b"):
        written(folder, f"{name}/1.png", content)
    read_image_folder(str(folder), (3, 2), colour=True)


def champion(folder, content):
    written(folder, "champion/tensors.safetensors", save({"weights": torch.ones(6), "biases": torch.ones(5),
                                                          "responses": torch.ones(5)}))
    written(folder, "champion/state.json", content)
    read_champion(folder)


def genes(folder, content):
    written(folder, "champion/state.json", b'{"genotype": {"kind": "genes"}}')
    written(folder, "champion/tensors.safetensors", content)
    read_champion(folder)


VALID = {config: TOML, ini: INI, graph: GRAPH[1:], text: "größer als\n".encode() * 9, strokes: saved(np.savez),
         idx: gzip.compress(IDX, mtime=0), iam: LINE, iam_list: b"d01-000u\n c01-000u", cifar: IMAGES[:9219],
         wiki: zipped("enwik8", WIKI), table: TABLE, arrays: saved(np.savez, **ARRAYS), picture: drawn("PNG"),
         champion: b'{"genotype": {"kind": "graph", ' + GRAPH[1:] + b"}", genes: save({"genes": torch.ones(6)})}

INNER = {idx: (IDX, lambda content: gzip.compress(content, 1, mtime=0)),
         wiki: (WIKI, lambda content: zipped("enwik8", content)),
         strokes: (saved(np.savez_compressed), lambda content: content),
         picture: (drawn("JPEG"), lambda content: content),
         arrays: (saved(np.savez_compressed, **ARRAYS), lambda content: content)}
"""Content that is damaged before it is packed."""

WORDS = [b"nan", b"inf", b"-1", b"1e999", b"9" * 5000, b"[" * 2000, b"{" * 2000, b"\xef\xbb\xbf", b"\xff\xfe", b"\0",
         b"\x1b[31m", b"\xed\xa0\x80", b"\\ud800", b"<!DOCTYPE x>", b"<a>" * 2000, b"a.b." * 500, b"\n", b"%(x)s", b"=",
         b'"', b"'''"]


@st.composite
def damaged(draw, valid):
    """Random bytes, or valid ones with some stretches cut, put in, doubled or written over."""
    if draw(st.booleans()) and draw(st.booleans()):
        return draw(st.binary(max_size=400))
    content = valid
    for _ in range(draw(st.integers(1, 4))):
        start, length = draw(st.integers(0, len(content))), draw(st.integers(0, 12))
        old = content[start : start + length]
        new = draw(st.one_of(st.just(b""), st.just(old + old), st.binary(max_size=8), st.sampled_from(WORDS)))
        content = content[:start] + new + content[start + length :]
    return content if draw(st.booleans()) else content[: draw(st.integers(0, len(content)))]


@pytest.mark.parametrize("reader", VALID)
def test_valid_files_are_read(reader, tmp_path):
    reader(tmp_path, VALID[reader])


@pytest.mark.parametrize("reader", VALID)
@given(data=st.data())
@settings(max_examples=int(os.environ.get("HYPEREVO_FUZZ", "200")), deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_damaged_files_are_read_or_told_in_one_line(reader, data, tmp_path):
    inner, pack = INNER.get(reader, (b"", bytes))
    inside = reader in INNER and data.draw(st.booleans())
    content = pack(data.draw(damaged(inner))) if inside else data.draw(damaged(VALID[reader]))
    try:
        reader(tmp_path, content)
    except UserError as error:
        message = str(error)
        assert message.isprintable() and len(message) < 2000


# Files that are none


def endless(path):
    path.symlink_to("/dev/zero")


def pipe(path):
    os.mkfifo(path)


def sparse(path):
    path.touch()
    os.truncate(path, 10**12)


def folder(path):
    path.mkdir()


def loop(path):
    path.symlink_to(path)


def dangling(path):
    path.symlink_to(path.with_name("gone"))


READERS = {"toml": lambda path: load_config(str(path)), "text": read_text_file, "strokes": read_stroke_file,
           "idx": read_idx, "ini": lambda path: check_config(
               {**PARTS, "encoding": {"name": "cppn"}, "search": {"name": "neat", "ini": str(path)}}, "here")}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(("make", "problem"), [
    (endless, "cannot be read: it is a pipe, a socket or a device"), (pipe, "cannot be read: it is a pipe"),
    (sparse, "is too large: 1,000,000,000,000 bytes, where at most"), (folder, "cannot be read: Is a directory"),
    (loop, "cannot be read: Too many levels of symbolic links"), (dangling, "cannot be read: No such file"),
])
def test_what_is_no_file_or_never_ends_is_told_at_once(reader, make, problem, tmp_path):
    make(tmp_path / "x.toml")
    with pytest.raises(UserError, match=f"x.toml: {problem}"):
        READERS[reader](tmp_path / "x.toml")


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", ["x\0.toml", "\ud800.toml", "x" * 9999 + ".toml"])
def test_names_that_no_file_can_have_are_told(reader, name, tmp_path):
    with pytest.raises(UserError, match=r"\.toml: cannot be read: ") as caught:
        READERS[reader](tmp_path / name)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 600


@pytest.mark.timeout(20)
@pytest.mark.parametrize("make", [endless, pipe, sparse, folder, loop, dangling])
@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_published_files_that_are_none_are_told_at_once(name, make, tmp_path, monkeypatch):
    monkeypatch.setenv("HYPEREVO_DATA", str(tmp_path))
    file = {"mnist": "train-images-idx3-ubyte.gz", "cifar10": "cifar-10-binary.tar.gz"}[name]
    (tmp_path / name).mkdir()
    make(tmp_path / name / file)
    with pytest.raises(UserError, match=f"{name}/{file}: (cannot be read|is too large): .*--force"):
        load_images(name)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("make", [endless, pipe, sparse, folder, loop, dangling])
def test_a_text_beside_its_archive_that_is_none_is_told_at_once(make, tmp_path, monkeypatch):
    monkeypatch.setenv("HYPEREVO_DATA", str(tmp_path))
    (tmp_path / "enwik8").mkdir()
    make(tmp_path / "enwik8" / "enwik8")
    with pytest.raises(UserError, match="enwik8/enwik8: (cannot be read|is too large)"):
        load_text("enwik8")


# Files that hold more than their size says


@pytest.mark.timeout(20)
@pytest.mark.parametrize(("head", "problem"), [
    (b"\0\0\x08\x01" + struct.pack(">I", 7), "holds more than the 7 values it tells of"),
    (b"\0\0\x08\x02" + struct.pack(">II", 2**20, 2**20), "holds 1099511627776 values, where at most 268435456 are"),
    (b"\0\0\x08\xff" + b"\xff" * 1020, "holds an integer of 8,160 bits values"),
    (b"\0\0\x08\xff" + b"\0\0\0\1" * 255, "holds more than the 1 values"),
])
def test_packed_images_are_unpacked_as_far_as_their_head_says(head, problem, tmp_path):
    (tmp_path / "x.gz").write_bytes(gzip.compress(head + bytes(10**7), 1))
    with pytest.raises(UserError, match=f"x.gz: is cut short or damaged: {problem}"):
        read_idx(tmp_path / "x.gz")


@pytest.mark.parametrize(("header", "problem"), [
    ("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 3)}", "an array in it cannot be read"),
    ("{'descr': (), 'fortran_order': False, 'shape': (1, 3)}", "an array in it cannot be read"),
    ("[" * 9000, "an array in it cannot be read"),
    ("1+" * 4000 + "1", "an array in it cannot be read"),
    ("{'descr': '|O', 'fortran_order': False, 'shape': (1, 3)}", "holds pickled objects"),
])
def test_heads_of_arrays_are_not_trusted(header, problem, tmp_path):
    content = b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header.encode()
    (tmp_path / "x.npz").write_bytes(zipped("points.npy", content))
    with pytest.raises(UserError, match=f"x.npz: .*{problem}"):
        read_stroke_file(tmp_path / "x.npz")


def test_arrays_of_more_than_fits_are_told(tmp_path):
    path = tmp_path / "x.npz"
    np.savez_compressed(path, points=np.zeros((10_000_001, 3), np.int8), offsets=np.array([0, 10_000_001]))
    with pytest.raises(UserError, match=r"x.npz: points has 10,000,001 rows, where at most 10,000,000 are read"):
        read_stroke_file(path)
    np.savez_compressed(path, points=np.zeros((2**21, 3), np.int8), offsets=np.arange(2**21 + 1))
    with pytest.raises(UserError, match=r"x.npz: offsets has 2,097,153 rows, where at most 1,048,576 are read"):
        read_stroke_file(path)
    np.savez_compressed(path, points=np.zeros(2**28, np.int8))
    with pytest.raises(UserError, match=r"x.npz: its arrays take 268,435,\d+ bytes, where at most 268,435,456 are"):
        read_stroke_file(path)
    path.write_bytes(b"PK\1\2" * 2000 + b"PK\5\6" + bytes(18))
    with pytest.raises(UserError, match=r"x.npz: holds 2,000 arrays, where at most 1,000 are read"):
        read_stroke_file(path)


def test_offsets_that_no_scale_fits_are_told(tmp_path):
    points = np.array([[1e-30, 0, 0], [0, 0, 1]] * 30 + [[1e38, 0, 1]])
    np.savez(tmp_path / "x.npz", points=points, offsets=np.array([*range(60), 61]))
    with pytest.raises(UserError, match=r"x.npz: some offsets are too long to be divided by 4.33e-31"):
        read_stroke_file(tmp_path / "x.npz")


def test_a_point_that_is_too_far_away_is_told(tmp_path):
    with pytest.raises(UserError, match=r"a01-000u-01.xml: point 0 has x='1e308', y='1058', which must be finite"):
        iam(tmp_path, LINE.replace(b"1073", b"1e308"))
    with pytest.raises(UserError, match=r"point 0 has x='9{190,}…, y='1058'") as caught:
        iam(tmp_path, LINE.replace(b"1073", b"9" * 10_000))
    assert len(str(caught.value)) < 600
    with pytest.raises(UserError, match=r"a01-000u-01.xml: is too large: 4,\d+,\d+ bytes, where at most 4,194,304"):
        iam(tmp_path, LINE + b" " * 2**22)


@pytest.mark.parametrize("reader", [config, ini, text])
def test_a_byte_order_mark_is_skipped_and_utf_16_is_told(reader, tmp_path):
    reader(tmp_path, b"\xef\xbb\xbf" + VALID[reader])
    with pytest.raises(UserError, match=r"(own|neat)\.\w+: is not UTF-8: byte 1 is 0xff, as in UTF-16"):
        reader(tmp_path, b"\xff\xfe" + VALID[reader].decode().encode("utf-16-le"))
