"""Configs: what is shipped is valid, values come from where they should, mistakes are one line that names the key."""

import pytest

from hyperevo.config import check_config, config_text, config_values, load_config, shipped_configs
from hyperevo.errors import UserError

MINIMAL = """
[task]
name = "digits"
[target]
name = "mlp"
[encoding]
name = "dct"
[search]
name = "snes"
"""


@pytest.mark.parametrize("name", shipped_configs())
def test_shipped_configs_are_valid_and_described(name):
    config = load_config(name).config
    assert config.description and config.name == name


@pytest.mark.parametrize("name", shipped_configs())
def test_written_config_reads_back_the_same(name, tmp_path):
    config = load_config(name).config
    (tmp_path / "config.toml").write_text(config_text(config))
    assert config_values(load_config(str(tmp_path / "config.toml")).config) == config_values(config)


def test_command_line_over_file_over_default(tmp_path):
    (tmp_path / "mine.toml").write_text(MINIMAL + "population = 30\n")
    loaded = load_config(str(tmp_path / "mine.toml"), ["search.deviation=0.5", "seed=3", "task.fitness=accuracy"])
    assert (loaded.config.search.population, loaded.config.search.deviation, loaded.config.seed) == (30, 0.5, 3)
    assert loaded.config.task.fitness == "accuracy"
    assert loaded.origins["search.population"] == "mine.toml"
    assert loaded.origins["search.deviation"] == "command line"
    assert "search.centre" not in loaded.origins


def test_fashion_is_one_override():
    config = load_config("dct-mnist", ["task.name=fashion"]).config
    assert config.task.name == "fashion"


@pytest.mark.parametrize(("overrides", "message"), [
    (["seed"], "override 'seed' is not of the form key=value"),
    (["=3"], "override '=3' is not of the form key=value"),
    (["seed=x"], "command line: seed: .*integer.*'x'"),
    (["seed=-1"], "command line: seed: .*greater than or equal to 0"),
    (["sead=1"], "command line: sead: unknown key; did you mean 'seed'"),
    (["device=gpu"], "command line: device: .*'gpu'"),
    (["threads=0"], "command line: threads: .*greater than or equal to 1"),
    (["task.name=mnst"], "command line: task.name: no task called 'mnst'; did you mean 'mnist'"),
    (["task.imagse=5"], "command line: task.imagse: unknown key; did you mean 'images'"),
    (["task.images=0"], "command line: task.images: .*greater than or equal to 1"),
    (["task.images=many"], "command line: task.images: .*integer.*'many'"),
    (["task.fitness=loss"], "command line: task.fitness: .*'cross-entropy' or 'accuracy'.*'loss'"),
    (["target.name=cnn"], "command line: target.name: no target called 'cnn'"),
    (["target.hidden=[[16]]"], "command line: target.hidden.0.1: field required"),
    (["target.hidden=[[16, 0]]"], "command line: target.hidden.0.1: .*greater than 0"),
    (["target.activation=gelu"], "command line: target.activation: .*'gelu'"),
    (["encoding.name=dtc"], "command line: encoding.name: no encoding called 'dtc'; did you mean 'dct'"),
    (["encoding.coefficients=[0]"], "command line: encoding.coefficients.0: .*greater than or equal to 1"),
    (["encoding.axes=rows"], "command line: encoding.axes: .*'rows'"),
    (["encoding.scale=nan"], "command line: encoding.scale: .*finite"),
    (["search.name=snse"], "command line: search.name: no search called 'snse'; did you mean 'snes'"),
    (["search.population=1"], "command line: search.population: .*greater than or equal to 2"),
    (["search.popsize=10"], "command line: search.popsize: unknown key; allowed: .*population"),
    (["search.deviation=-1"], "command line: search.deviation: .*greater than 0"),
    (["search=fast"], "search must be a table with a name, one of"),
    (["run.rounds=0"], "command line: run.rounds: .*greater than or equal to 1"),
    (["run.round=5"], "command line: run.round: unknown key; did you mean 'rounds'"),
    (["seed.value=5"], "override seed.value: 'seed' is a value, not a table"),
])
def test_mistakes_are_one_line_that_names_the_key(tmp_path, overrides, message):
    (tmp_path / "mine.toml").write_text("seed = 1\n" + MINIMAL)
    with pytest.raises(UserError, match=message) as caught:
        load_config(str(tmp_path / "mine.toml"), overrides)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("content", "message"), [
    ("seed = ", "mine.toml: is not TOML"),
    ("seed = 1", r"mine.toml: the table \[task\] is missing; its name is one of adding, boxes, .*, retina"),
    (MINIMAL.replace('name = "snes"', ""), "mine.toml: search.name is missing; allowed: .*snes"),
    (MINIMAL.replace('"dct"', "3"), "mine.toml: encoding.name is missing"),
    (MINIMAL + "populatoin = 3", "mine.toml: search.populatoin: unknown key; did you mean 'population'"),
])
def test_mistakes_in_a_file_name_the_file(tmp_path, content, message):
    (tmp_path / "mine.toml").write_text(content)
    with pytest.raises(UserError, match=message):
        load_config(str(tmp_path / "mine.toml"))


def test_unknown_name_suggests_the_nearest():
    with pytest.raises(UserError, match="no config called 'cpn-mnist'; did you mean 'cppn-mnist'"):
        load_config("cpn-mnist")


def test_missing_and_unreadable_files(tmp_path):
    with pytest.raises(UserError, match=r"nowhere.toml: cannot be read: No such file"):
        load_config(str(tmp_path / "nowhere.toml"))
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="is not a text file in UTF-8"):
        load_config(str(tmp_path / "bytes.toml"))


def test_check_config_names_its_file():
    with pytest.raises(UserError, match=r"^here: the table \[task\] is missing"):
        check_config({}, "here")
