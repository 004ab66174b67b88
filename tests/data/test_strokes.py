"""Drawings are read, checked and scaled; what is wrong is one line that names the file and the place."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperevo.data import DataMissing, load_strokes, load_text, read_iam, read_stroke_file, verify
from hyperevo.data._strokes import to_offsets, to_points
from hyperevo.errors import UserError

RANDOM = np.random.default_rng(0)


def drawings(count, longest=9):
    """Points (N, 3) int16 and offsets (count + 1,)."""
    lengths = RANDOM.integers(1, longest + 1, count)
    points = np.column_stack([RANDOM.integers(-300, 300, (lengths.sum(), 2)), RANDOM.integers(0, 2, lengths.sum())])
    return {"points": points.astype(np.int16), "offsets": np.append(0, lengths.cumsum())}


def unlike(data, points, offsets):
    """How far drawings, in the units of the source, are from those of the arrays."""
    assert len(data) == len(offsets) - 1
    return max(np.abs(drawing - points[start:end]).max()
               for drawing, start, end in zip(data, offsets[:-1], offsets[1:], strict=True))


def in_own_units(drawings, scale):
    return [drawing * np.array([scale, scale, 1], np.float32) for drawing in drawings]


# Offsets and points

pens = st.integers(0, 1)
whole = st.integers(-10**6, 10**6)


@given(st.lists(st.tuples(whole, whole, pens), min_size=1))
def test_points_undo_offsets(rows):
    drawing = np.array(rows, np.float32)
    points = to_points(drawing)
    assert points[-1, :2].tolist() == drawing[:, :2].sum(0, np.float64).tolist()
    assert (points[:, 2] == drawing[:, 2]).all()
    assert (to_offsets(points) == drawing).all() and (to_points(to_offsets(points)) == points).all()


def test_points_of_a_square():
    square = np.array([[0, 0, 0], [2, 0, 0], [0, 2, 0], [-2, 0, 0], [0, -2, 1]])
    assert to_points(square)[:, :2].tolist() == [[0, 0], [2, 0], [2, 2], [0, 2], [0, 0]]
    assert square[4].tolist() == [0, -2, 1]


def test_points_of_a_long_drawing_do_not_drift():
    drawing = np.full((100_000, 3), np.float32(0.1))
    assert to_points(drawing)[-1, 0] == pytest.approx(100_000 * float(np.float32(0.1)), rel=1e-9)


# A user's own file


def test_one_run_of_drawings_is_cut_in_order(tmp_path):
    arrays = drawings(40)
    np.savez(tmp_path / "own.npz", **arrays, comments=np.array(["not read"]))
    data = read_stroke_file(tmp_path / "own.npz", 0.1, 0.2)
    assert data.name == "own.npz" and len(data.checksum) == 64
    assert [len(part) for part in (data.train, data.validation, data.test)] == [28, 4, 8]
    assert all(drawing.dtype == np.float32 for drawing in data.train)
    assert data.scale == pytest.approx(arrays["points"][: arrays["offsets"][28], :2].std())
    assert np.concatenate(data.train)[:, :2].std() == pytest.approx(1)
    read = in_own_units(data.train + data.validation + data.test, data.scale)
    assert unlike(read, arrays["points"], arrays["offsets"]) < 1e-3


def test_the_three_parts_of_a_file_are_taken_as_they_are(tmp_path):
    parts = {part: drawings(count) for part, count in (("train", 5), ("valid", 2), ("test", 1))}
    np.savez_compressed(tmp_path / "own.npz", **{f"{part}_{key}": value for part, arrays in parts.items()
                                                 for key, value in arrays.items()})
    data = read_stroke_file(str(tmp_path / "own.npz"))
    assert data.scale == pytest.approx(parts["train"]["points"][:, :2].std())
    for part, read in (("train", data.train), ("valid", data.validation), ("test", data.test)):
        assert unlike(in_own_units(read, data.scale), **parts[part]) < 1e-3


def changed(**changes):
    """Arrays of ten drawings of four points, with some rows of `points` or whole arrays changed."""
    points = np.tile(np.array([[0, 0, 0], [3, 4, 0], [-1, 5, 1], [2, -2, 1]], np.float64), (10, 1))
    arrays = {"points": points, "offsets": np.arange(0, 41, 4)}
    for key, value in changes.items():
        if key.startswith("row"):
            points[int(key[3:])] = value
        else:
            arrays[key] = value
    return {key: value for key, value in arrays.items() if value is not None}


@pytest.mark.parametrize(("arrays", "problem"), [
    (changed(row6=[math.nan, 0, 0]), r"points: drawing 1, point 2, \[nan, 0.0, 0.0\], is not finite"),
    (changed(row39=[0, -math.inf, 0]), r"points: drawing 9, point 3, .* is not finite"),
    (changed(row0=[0, 1e39, 0]), r"points: drawing 0, point 0, .* is not finite"),
    (changed(row4=[0, 0, math.nan]), r"points: drawing 1, point 0, .* is not finite"),
    (changed(row8=[0, 0, 2]), r"points: drawing 2, point 0, \[0.0, 0.0, 2.0\], has a pen that is neither 0 nor 1"),
    (changed(row3=[0, 0, 0.5]), r"points: drawing 0, point 3, .* neither 0 nor 1"),
    (changed(points=np.zeros((40, 5))), r"points must be numbers \(N, 3\).*: they are float64 \(40, 5\)"),
    (changed(points=np.zeros(40)), r"points must be numbers \(N, 3\).*: they are float64 \(40,\)"),
    (changed(points=np.full((40, 3), "a")), r"points must be numbers \(N, 3\).*: they are <U1 \(40, 3\)"),
    (changed(points=np.zeros((40, 3)), offsets=np.arange(0, 41, 2)), "all offsets of the training drawings are the"),
    (changed(points=changed()["points"][:37]), "points has 37 rows, its offsets end at 40: one of them is cut short"),
    (changed(points=np.zeros((0, 3))), "points has 0 rows, its offsets end at 40"),
    (changed(points=np.zeros((0, 3)), offsets=np.array([0])), "offsets must be integers .*from 0 on: they are int64"),
    (changed(offsets=np.arange(0, 37, 4)), "points has 40 rows, its offsets end at 36: one of them is cut short"),
    (changed(offsets=np.arange(0, 41, 4.0)), r"offsets must be integers .*: they are float64 \(11,\)"),
    (changed(offsets=np.arange(4, 41, 4)), r"offsets must be integers .* from 0 on"),
    (changed(offsets=np.array([0, 8, 8, 40])), "offsets: drawing 1 has no points"),
    (changed(offsets=np.array([0, 44, 8, 40])), "offsets: drawing 1 has no points"),
    (changed(offsets=np.array([0, 20, 40])), "2 drawings are too few: 2 for training, 0 for validation"),
    (changed(offsets=None), r"no array offsets in it; wanted: points \(N, 3\) and offsets"),
    (changed(points=None), "no array train_points in it; wanted: points"),
    (changed(points=np.array([np.zeros((4, 3)), None], object)), "holds pickled objects, which are never loaded"),
])
def test_wrong_values_are_one_line_that_names_the_file_and_the_place(tmp_path, arrays, problem):
    np.savez(tmp_path / "own.npz", **arrays)
    with pytest.raises(UserError, match=f"own.npz: {problem}") as caught:
        read_stroke_file(tmp_path / "own.npz")
    assert "\n" not in str(caught.value)


def test_a_fault_in_a_part_names_the_part(tmp_path):
    arrays = {f"{part}_{key}": value for part in ("train", "valid") for key, value in changed().items()}
    np.savez(tmp_path / "own.npz", **arrays)
    with pytest.raises(UserError, match="no array test_points in it"):
        read_stroke_file(tmp_path / "own.npz")
    np.savez(tmp_path / "own.npz", **arrays | {"valid_points": changed(row9=[1, 1, -1])["points"]})
    with pytest.raises(UserError, match=r"own.npz: valid_points: drawing 2, point 1, \[1.0, 1.0, -1.0\], has a pen"):
        read_stroke_file(tmp_path / "own.npz")


def test_cut_short_empty_missing_and_other_files_are_named(tmp_path):
    path = tmp_path / "own.npz"
    np.savez(path, **changed())
    content = path.read_bytes()
    for damage, problem in ((content[:-50], "is cut short or not an .npz"), (b"PK garbage", "is cut short or not"),
                            (b"", "is empty"), (content.replace(b"\xf0?", b"\xf1?", 1), "is cut short or damaged"),
                            (content.replace(b"PK\x01\x02", b"PK\x01\x03"), "is cut short or damaged: Bad magic"),
                            (content.replace(b"\x14@", b"\x15@", 1), "is cut short or damaged: .*points.npy")):
        assert damage != content or damage == b""
        path.write_bytes(damage)
        with pytest.raises(UserError, match=f"own.npz: {problem}") as caught:
            read_stroke_file(path)
        assert "\n" not in str(caught.value)
    np.save(tmp_path / "own.npy", changed()["points"])
    with pytest.raises(UserError, match="own.npy: is cut short or not an .npz file"):
        read_stroke_file(tmp_path / "own.npy")
    with pytest.raises(UserError, match="gone.npz: cannot be read: No such file"):
        read_stroke_file(tmp_path / "gone.npz")
    with pytest.raises(UserError, match=f"{tmp_path.name}: cannot be read: Is a directory"):
        read_stroke_file(tmp_path)


# IAM-OnDB

HEAD = """<?xml version="1.0" encoding="ISO-8859-1"?>
<WhiteboardCaptureSession>
  <WhiteboardDescription>
    <SensorLocation corner="top_left"/>
    <DiagonallyOppositeCoords x="6512" y="1376"/>
    <VerticallyOppositeCoords x="966" y="1376"/>
    <HorizontallyOppositeCoords x="6512" y="787"/>
  </WhiteboardDescription>
  <StrokeSet>
"""

TWO_STROKES = (((1073, 1058), (1072, 1085), (1066, 1117)), ((1176, 1237), (1175, 1233)))
OFFSETS = [[0, 0, 0], [-1, 27, 0], [-6, 32, 1], [110, 120, 0], [-1, -4, 1]]


def session(strokes=TWO_STROKES):
    lines = []
    for stroke in strokes:
        lines.append('    <Stroke colour="black" start_time="769.05" end_time="769.64">')
        lines += [f'      <Point x="{x}" y="{y}" time="769.05"/>' for x, y in stroke]
        lines.append("    </Stroke>")
    return HEAD + "\n".join(lines) + "\n  </StrokeSet>\n</WhiteboardCaptureSession>\n"


def line_file(folder, form, line=1):
    """Where IAM-OnDB has a line: lineStrokes/a01/a01-000/a01-000u-01.xml."""
    text = form.rstrip("uwxz")
    return folder / "lineStrokes" / text[:3] / text / f"{form}-{line:02}.xml"


def write_lines(folder, forms):
    """Two lines for every form, drawn at random."""
    for form in forms:
        for line in (1, 2):
            points = RANDOM.integers(900, 1200, (7, 2)).tolist()
            path = line_file(folder, form, line)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(session((points[:3], points[3:])))


def write_lists(folder, train, validation, second_validation, test):
    for name, forms in (("trainset", train), ("testset_v", validation), ("testset_t", second_validation),
                        ("testset_f", test)):
        (folder / f"{name}.txt").write_text("".join(f" {form}\n" for form in forms))


@pytest.fixture
def iam(tmp_path):
    """Five forms with the official lists; the first line of the first is known."""
    write_lines(tmp_path, ["a01-000u", "a01-000x", "b02-013z", "c03-001", "h10-284z"])
    line_file(tmp_path, "a01-000u").write_text(session())
    write_lists(tmp_path, ["a01-000u"], ["c03-001"], ["a01-000x", "not-here"], ["b02-013z"])
    return tmp_path


def test_a_line_of_handwriting(iam):
    data = read_iam(iam)
    assert np.array(in_own_units(data.train, data.scale)[0]) == pytest.approx(np.array(OFFSETS), abs=1e-4)
    assert np.concatenate(data.train)[:, :2].std() == pytest.approx(1)
    ends = np.concatenate([drawing[-1:] for drawing in data.train + data.validation + data.test])
    assert (ends[:, 2] == 1).all()


def test_the_official_split(iam):
    data = read_iam(iam)
    assert data.name == "IAM-OnDB" and [len(part) for part in (data.train, data.validation, data.test)] == [2, 4, 2]
    write_lists(iam, ["b02-013z"], ["c03-001"], ["a01-000x"], ["a01-000u"])
    other = read_iam(str(iam))
    in_test = in_own_units(other.test, other.scale)[0]
    assert in_test == pytest.approx(np.array(OFFSETS), abs=1e-4) and other.checksum != data.checksum
    write_lists(iam, ["b02-013z"], ["c03-001", "b02-013z"], ["a01-000x"], ["a01-000u"])
    assert read_iam(iam).checksum == other.checksum, "a form is in the first part that names it"
    write_lists(iam, ["b02-013z"], ["c03-001"], [], ["z01-000u"])
    with pytest.raises(UserError, match=r"testset_f.txt: none of its forms is in .*lineStrokes"):
        read_iam(iam)
    (iam / "testset_t.txt").unlink()
    with pytest.raises(UserError, match=r"testset_t.txt: is missing; the official split needs all of trainset.txt, "):
        read_iam(iam)


def test_a_split_of_our_own_keeps_a_text_together(tmp_path):
    forms = [f"a{number:02}-000{hand}" for number in range(22) for hand in "ux"]
    write_lines(tmp_path, forms)
    line_file(tmp_path, "a18-000x").write_text(session())
    data = read_iam(tmp_path)
    assert data.name == "IAM-OnDB (own split)"
    assert [len(part) for part in (data.train, data.validation, data.test)] == [80, 4, 4]
    in_validation = in_own_units(data.validation, data.scale)[2]
    assert in_validation == pytest.approx(np.array(OFFSETS), abs=1e-4)
    assert read_iam(tmp_path).checksum == data.checksum


def test_long_jumps_are_cut(iam):
    line_file(iam, "a01-000u").write_text(session((((0, 0), (499, 501), (-3000, 501)), ((9000, 9000),))))
    data = read_iam(iam)
    offsets = in_own_units(data.train, data.scale)[0]
    assert offsets == pytest.approx(np.array([[0, 0, 0], [499, 500, 0], [-500, 0, 1], [500, 500, 1]]), abs=1e-3)


def test_a_folder_without_lines_or_with_too_few_is_an_error(tmp_path):
    with pytest.raises(UserError, match=f"{tmp_path.name}: no files lineStrokes/"):
        read_iam(tmp_path)
    with pytest.raises(UserError, match="gone: no files lineStrokes/"):
        read_iam(tmp_path / "gone")
    write_lines(tmp_path, ["a01-000u"])
    with pytest.raises(UserError, match="1 texts are too few to split; place the official lists there, trainset.txt"):
        read_iam(tmp_path)


LAUGHS = ('<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>'
          "<WhiteboardCaptureSession><StrokeSet>&b;</StrokeSet></WhiteboardCaptureSession>")


@pytest.mark.parametrize(("content", "problem"), [
    (b"", "is empty"),
    (session().encode()[:-60], "no element found: line|unclosed token: line"),
    (b"not XML", "syntax error: line 1, column 0"),
    (b"<Other/>", "is <Other>, not <WhiteboardCaptureSession>"),
    (session(()).encode(), "has no points"),
    (session(((),)).encode(), "has no points"),
    (session(((), ((1, "nan"),))).encode(), "point 0 has x='1', y='nan', which must be finite numbers"),
    (session((((1, 2), (3, 4)), (("inf", 4),))).encode(), "point 2 has x='inf', y='4'"),
    (session().replace('x="1072"', "").encode(), "point 1 has x=None, y='1085'"),
    (session().replace("1072", "1,072").encode(), "point 1 has x='1,072', y='1085'"),
    (LAUGHS.encode(), "has a DOCTYPE, which is refused"),
    (LAUGHS.replace('"1.0"', '"1.0" encoding="UTF-16"').encode("utf-16"), "has a DOCTYPE, which is refused"),
    (b'<?xml version="1.0" encoding="nonsense"?><a/>', "unknown encoding"),
])
def test_bad_lines_are_named(iam, content, problem):
    line_file(iam, "a01-000u").write_bytes(content)
    with pytest.raises(UserError, match=rf"a01/a01-000/a01-000u-01.xml: ({problem})[^;]*$") as caught:
        read_iam(iam)
    assert "\n" not in str(caught.value)


def test_all_bad_lines_are_counted(iam):
    line_file(iam, "a01-000u").write_bytes(b"")
    line_file(iam, "c03-001").write_bytes(b"x")
    with pytest.raises(UserError, match="a01-000u-01.xml: is empty; 1 other file is bad too$"):
        read_iam(iam)
    line_file(iam, "c03-001").unlink()
    line_file(iam, "c03-001").mkdir()
    line_file(iam, "b02-013z").write_bytes(b"x")
    line_file(iam, "h10-284z").write_bytes(b"in no list, so it is not read")
    with pytest.raises(UserError, match="a01-000u-01.xml: is empty; 2 other files are bad too$"):
        read_iam(iam)


# Omniglot


def test_omniglot_is_to_be_placed_by_hand(own_home):
    with pytest.raises(DataMissing, match=rf"omniglot_stroke3.npz is not on .*in {own_home}/.*/omniglot or in HYPER"):
        load_strokes("omniglot")
    with pytest.raises(UserError, match="'ptb' holds text, not strokes; allowed: omniglot"):
        load_strokes("ptb")
    with pytest.raises(UserError, match="'omniglot' holds strokes, not text"):
        load_text("omniglot")


def test_the_published_omniglot(real_data):
    data = load_strokes("omniglot")
    parts = {"train": data.train, "valid": data.validation, "test": data.test}
    assert data.name == "omniglot" and [len(part) for part in parts.values()] == [30_000, 1000, 1000]
    assert [sum(map(len, part)) for part in parts.values()] == [933_430, 31_719, 31_144]
    assert data.scale == pytest.approx(53.437, abs=1e-3) and np.concatenate(data.train)[:, :2].std() == pytest.approx(1)
    assert all(drawing[-1, 2] == 1 for part in parts.values() for drawing in part)
    with np.load(real_data / "omniglot" / "omniglot_stroke3.npz", allow_pickle=False) as file:
        assert unlike(in_own_units(data.test, data.scale), file["test_points"], file["test_offsets"]) < 1e-3
    assert all(file.problem is None for file in verify("omniglot"))
