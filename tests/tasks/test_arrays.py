"""A user's own arrays: what networks are shown, what labels mean, and one line for whatever is wrong with them."""

import numpy as np
import pytest
import torch
from sklearn.metrics import r2_score
from torch.nn.functional import cross_entropy

from hyperevo.config import load_config
from hyperevo.errors import UserError
from hyperevo.runs import create_run, execute, open_run
from hyperevo.tasks.arrays import Settings, arrays_task, build

CPU = torch.device("cpu")
RANDOM = np.random.default_rng(0)
INPUTS = RANDOM.normal(3, 5, (40, 6)).astype(np.float32)
CLASSES = RANDOM.integers(0, 3, 40)
VALUES = RANDOM.normal(size=(40, 2))


def seen(task) -> torch.Tensor:
    return torch.cat([task._training[0], task.validation[0], task.test()[0]])


def written(path, rows) -> str:
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return str(path)


def species(count=12):
    return ["length,width,species", *(f"{number},{number * 0.5},{'ab'[number % 2]}" for number in range(count))]


def saved(path, **arrays) -> str:
    np.savez(path, **arrays)
    return str(path)


def test_integers_and_text_are_classes_and_floats_are_values():
    for labels, names in ((CLASSES, ("0", "1", "2")), (np.array(["x", "zz", "y"])[CLASSES], ("x", "y", "zz")),
                          (CLASSES > 0, ("False", "True")), (CLASSES[:, None], ("0", "1", "2"))):
        task = arrays_task(Settings(), INPUTS, labels)
        assert (task.class_names, task.outputs, task.measure.name) == (names, len(names), "accuracy")
    for labels, outputs in ((VALUES[:, 0], 1), (VALUES, 2)):
        task = arrays_task(Settings(), INPUTS, labels)
        assert (task.class_names, task.outputs, task.measure.name) == ((), outputs, "R²")
    assert arrays_task(Settings(fitness="squared-error"), INPUTS, CLASSES).outputs == 1
    assert arrays_task(Settings(fitness="accuracy"), INPUTS, CLASSES.astype(float)).class_names == ("0", "1", "2")


def test_every_example_keeps_its_label_and_is_in_one_part():
    task = arrays_task(Settings(test=0.25, validation=0.125), INPUTS, np.arange(40) // 2)
    assert [len(part[1]) for part in (task._training, task.validation, task.test())] == [25, 5, 10]
    raw = seen(task) * task.preprocessing().spread + task.preprocessing().mean
    labels = torch.cat([task._training[1], task.validation[1], task.test()[1]])
    order = [int((raw - torch.from_numpy(row)).abs().sum(1).argmin()) for row in INPUTS]
    assert sorted(order) == list(range(40)) and labels[order].tolist() == (np.arange(40) // 2).tolist()
    other = arrays_task(Settings(test=0.25, validation=0.125, split=1), INPUTS, np.arange(40) // 2)
    assert not torch.equal(other.test()[1], task.test()[1])


def test_inputs_are_standardised_by_the_training_examples_and_constants_are_zero():
    inputs = np.concatenate([INPUTS, np.full((40, 1), 0.1, np.float32)], 1)
    task = arrays_task(Settings(), inputs, CLASSES)
    training = task.batch(0, 0)[0]
    torch.testing.assert_close(training.mean(0), torch.zeros(7), atol=1e-5, rtol=0)
    torch.testing.assert_close(training.std(0, correction=0), torch.tensor([1.0] * 6 + [0]), atol=1e-5, rtol=0)
    assert not seen(task)[:, 6].any()
    given = arrays_task(Settings(), inputs, CLASSES, test_inputs=inputs[:5] + 1, test_labels=CLASSES[:5])
    torch.testing.assert_close(given.preprocessing()(torch.from_numpy(inputs[:5] + 1)), given.test()[0])
    assert given.test()[0].abs().max() > 0.05 and len(given._training[1]) == 34  # none for test is drawn


def test_a_sheet_of_units_has_one_deviation():
    images = np.random.default_rng(1).integers(0, 256, (40, 2, 3), dtype=np.uint8)
    images[:, 0, 0] = 7
    task = arrays_task(Settings(), images, CLASSES)
    assert task.inputs.sizes == (2, 3) and task.preprocessing().spread.dim() == 0
    assert task.batch(0, 0)[0].square().mean().item() == pytest.approx(1, abs=1e-5)
    shaped = arrays_task(Settings(shape=(2, 3)), images.reshape(40, 6), CLASSES)
    assert shaped.inputs.sizes == (2, 3) and torch.equal(shaped.batch(0, 0)[0], task.batch(0, 0)[0])
    with pytest.raises(UserError, match="task.shape: 2 × 2 are 4 inputs, and arrays has 6 an example"):
        arrays_task(Settings(shape=(2, 2)), images, CLASSES)


def test_generations_show_all_examples_or_draw_them_by_seed_and_number():
    assert arrays_task(Settings(), INPUTS, CLASSES).batch_size() == 28
    fresh = arrays_task(Settings(examples=8), INPUTS, CLASSES)
    assert fresh.batch_size() == len(fresh.batch(0, 3)[1]) == 8
    assert torch.equal(fresh.batch(0, 3)[0], fresh.batch(0, 3)[0])
    assert not torch.equal(fresh.batch(0, 3)[0], fresh.batch(0, 4)[0])
    assert not torch.equal(fresh.batch(0, 3)[0], fresh.batch(1, 3)[0])
    epochs = arrays_task(Settings(examples=7, sampling="epochs"), INPUTS, CLASSES)
    assert len(torch.cat([epochs.batch(0, number)[0] for number in range(4)]).unique(dim=0)) == 28


def test_fitness_and_score():
    torch.manual_seed(0)
    task = arrays_task(Settings(), INPUTS, CLASSES)
    inputs, labels = task.validation
    outputs = torch.randn(4, len(labels), 3)
    torch.testing.assert_close(task.fitness(outputs, labels),
                               torch.stack([-cross_entropy(own, labels) for own in outputs]))
    assert task.score(torch.eye(3)[labels][None], labels).tolist() == [1]
    regression = arrays_task(Settings(), INPUTS, VALUES)
    wanted = regression.validation[1]
    outputs = wanted + torch.randn(4, *wanted.shape)
    torch.testing.assert_close(regression.fitness(outputs, wanted), -(outputs - wanted).square().mean((1, 2)))
    assert regression.score(outputs, wanted).tolist() == pytest.approx([r2_score(wanted, own) for own in outputs],
                                                                       abs=1e-4)


def test_csv_and_npz_and_memory_hold_the_same(tmp_path):
    rows = [f"{','.join(map(repr, own.tolist()))},{'xyz'[label]}" for own, label in zip(INPUTS, CLASSES, strict=True)]
    csv = build(Settings(path=written(tmp_path / "own.csv", ["a,b,c,d,e,f,kind", *rows]), label="kind"), CPU)
    npz = build(Settings(path=saved(tmp_path / "own.npz", inputs=INPUTS, targets=CLASSES)), CPU)
    memory = arrays_task(Settings(), INPUTS, CLASSES)
    assert csv.class_names == ("x", "y", "z") and csv.data_name == "own"
    for task in (csv, npz):
        assert torch.equal(seen(task), seen(memory)) and torch.equal(task.test()[1], memory.test()[1])


def test_columns_are_chosen_by_name(tmp_path):
    path = written(tmp_path / "own.csv", ["id,a,b,c", *(f"n{row},{row},{row}.5,{row * row}" for row in range(20))])
    task = build(Settings(path=path, inputs=("c", "a"), label=("b",)), CPU)
    assert (task.inputs.units, task.outputs, task.measure.name) == (2, 1, "R²")
    raw = task.test()[0] * task.preprocessing().spread + task.preprocessing().mean
    torch.testing.assert_close(raw[:, 0], raw[:, 1].square(), rtol=1e-4, atol=1e-3)
    assert build(Settings(path=path, inputs="a", label=("b", "c")), CPU).outputs == 2


def test_test_examples_of_another_file_or_of_arrays_in_the_same(tmp_path):
    path = written(tmp_path / "own.csv", species())
    task = build(Settings(path=path, label="species", test=written(tmp_path / "test.csv", species(3))), CPU)
    assert task.test()[1].tolist() == [0, 1, 0] and len(task._training[1]) == 10
    assert task.checksum != build(Settings(path=path, label="species"), CPU).checksum
    path = saved(tmp_path / "own.npz", inputs=INPUTS, labels=CLASSES, test_inputs=INPUTS[:4], test_labels=CLASSES[:4])
    assert build(Settings(path=path), CPU).test()[1].tolist() == CLASSES[:4].tolist()


def test_a_run_on_arrays_learns_and_goes_on_with_the_same_data_only(tmp_path):
    points = np.random.default_rng(1).normal(size=(200, 2))
    rows = [f"{x},{y},{'in' if x * x + y * y < 1 else 'out'}" for x, y in points]
    path = written(tmp_path / "ring.csv", ["x,y,place", *rows])
    config = load_config("direct-mnist", [
        f"task={{name='arrays', path='{path}', label='place'}}", "target={name='mlp', hidden=[[4,4]]}", "run.rounds=8",
        "search={name='gradient', learning_rate=0.05}", "encoding={name='direct'}"]).config
    assert execute(create_run(config, tmp_path / "run"))["test_accuracy"] > 0.85
    written(tmp_path / "ring.csv", ["x,y,place", *rows[1:]])
    with pytest.raises(UserError, match="was made on other data: ring here has checksum"):
        open_run(tmp_path / "run")


@pytest.mark.parametrize(("rows", "line"), [
    ([], "has no rows below its header"),
    (["a,species"], "has no rows below its header"),
    (["a,species", "1,x,3"], "line 2: has 3 cells, and the header has 2"),
    (["a,species", "1,x", "", "two,y"], "line 4, column a: 'two' is not a number"),
    (["a,species", "1,x", ",y"], "line 3, column a: '' is not a number"),
    (["a,species", "1,x", "nan,y"], "line 3, column a: nan is not finite"),
    (["a,species", "1,x", "-1e300,y"], "line 3, column a: -1e300 is too large"),
    (["a,species", "1,4.5", "2,y"], "line 3, column species: 'y' is not a number"),
    (["a,a,species", "1,2,x"], "has 2 columns called 'a'"),
    (["a,kind", "1,x"], "has no column 'species'; allowed: a, kind"),
    (["species", "x"], "has no columns but the labels'"),
    (["a,species", "1,x", "2,x"], "all labels are 'x'; classes are two at least"),
    (["a,species", "1,x", "2,y"], "2 examples are too few"),
    (["a,species", "1,x", '2,"y'], "cannot be read: unexpected end of data"),
])
def test_a_faulty_table_is_one_line_that_names_the_place(rows, line, tmp_path):
    path = written(tmp_path / "own.csv", rows)
    with pytest.raises(UserError) as raised:
        build(Settings(path=path, label="species"), CPU)
    assert str(raised.value).startswith(f"{path}: {line}") and "\n" not in str(raised.value)


@pytest.mark.parametrize(("arrays", "line"), [
    ({"labels": CLASSES}, "holds no array 'inputs'; allowed: labels"),
    ({"inputs": INPUTS, "label": CLASSES}, "holds no array 'labels'; did you mean 'label'"),
    ({"inputs": INPUTS, "labels": CLASSES, "test_inputs": INPUTS}, "has test_inputs and no test_labels"),
    ({"inputs": INPUTS[1:], "labels": CLASSES}, "39 inputs and 40 labels"),
    ({"inputs": INPUTS[:0], "labels": CLASSES[:0]}, r"inputs: is empty, of shape (0, 6)"),
    ({"inputs": np.where(INPUTS > 9, np.inf, INPUTS), "labels": CLASSES}, "inputs["),
    ({"inputs": INPUTS, "labels": np.where(CLASSES > 1, np.nan, 0.5)}, "labels["),
    ({"inputs": INPUTS, "labels": VALUES * 1e300}, "labels["),
    ({"inputs": INPUTS, "labels": np.array([b"\xff"] * 40)}, "labels: is not UTF-8"),
    ({"inputs": INPUTS.astype(str), "labels": CLASSES}, "inputs: is <U32 of shape (40, 6), and numbers"),
    ({"inputs": INPUTS, "labels": INPUTS.astype(complex)}, "labels: is complex128"),
    ({"inputs": INPUTS, "labels": np.ones((40, 2), int)}, "has 2 labels an example, and a class is one"),
    ({"inputs": INPUTS, "labels": CLASSES, "test_inputs": INPUTS[:, :4], "test_labels": CLASSES},
     "has 4 inputs an example, and the training examples have 6"),
    ({"inputs": INPUTS, "labels": CLASSES, "test_inputs": INPUTS, "test_labels": CLASSES + 1},
     "label 3 is not among those of the training examples"),
    ({"inputs": INPUTS, "labels": np.array([None] * 40)}, "holds pickled objects, which are never loaded"),
])
def test_faulty_arrays_are_one_line_that_names_the_key(arrays, line, tmp_path):
    path = saved(tmp_path / "own.npz", **arrays)
    with pytest.raises(UserError) as raised:
        build(Settings(path=path), CPU)
    assert str(raised.value).startswith(f"{path}: {line}") and "\n" not in str(raised.value)


def test_files_that_are_missing_damaged_or_of_another_kind(tmp_path):
    for content, name in ((b"PK\3\4 and no more", "own.npz"), (b"", "own.npz"), (b"\xff\xfe\0", "own.csv")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=f"{name}: (is cut short or not an|is empty|is not UTF-8)"):
            build(Settings(path=str(tmp_path / name), label="a"), CPU)
    np.save(tmp_path / "one.npy", INPUTS)
    (tmp_path / "one.npy").rename(tmp_path / "one.npz")
    for path, line in (("none.csv", "none.csv: cannot be read: No such file"), ("", "task.path: is missing"),
                       ("own.txt", "own.txt: is neither a .npz nor a .csv file"),
                       (str(tmp_path / "one.npz"), "one.npz: is cut short or not an .npz file")):
        with pytest.raises(UserError, match=line):
            build(Settings(path=path), CPU)
    with pytest.raises(UserError, match=r"task.label: which column of .*own.csv holds the labels\? It has a, b"):
        build(Settings(path=written(tmp_path / "own.csv", ["a,b", "1,2"])), CPU)


@pytest.mark.parametrize(("inputs", "labels", "options", "line"), [
    ([[1, 2], [3]], [0, 1], {}, "arrays: inputs: is no array"),
    (INPUTS, [object()] * 40, {}, "arrays: labels: is an array of objects"),
    (INPUTS, CLASSES, {"path": "own.csv"}, "task.path: arrays in memory have none"),
    (INPUTS, CLASSES, {"test": "own.csv"}, "task.test: a share of the arrays in memory is wanted"),
    (INPUTS, np.array(list("ab" * 20)), {"fitness": "squared-error"}, "a regression wants labels that are numbers"),
    (INPUTS, VALUES[:, 0], {"fitness": "accuracy"}, "has labels that are fractions, which are no classes"),
    (INPUTS, np.eye(40)[0], {}, r"task.validation: R² wants labels that differ|task.test: R² wants labels that differ"),
])
def test_what_is_wrong_in_memory_is_one_line(inputs, labels, options, line):
    with pytest.raises(UserError, match=line):
        arrays_task(Settings(**options), inputs, labels)


def test_shares_lie_between_0_and_1():
    with pytest.raises(UserError, match="task.test: a share lies between 0 and 1"):
        load_config("dct-mnist", ["task={name='arrays', path='own.csv', label='a', test=1.5}"])
