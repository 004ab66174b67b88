"""Configs: what is shipped is valid, values come from where they should, mistakes are one line that names the key."""

import pytest
from pydantic import BaseModel

from hyperevo.components import component_names, load_component
from hyperevo.config import (
    PARTS,
    RunConfig,
    RunSettings,
    brief_name,
    check_config,
    config_text,
    config_values,
    explained,
    load_config,
    shipped_configs,
)
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
    (["run.seconds=inf"], r"command line: run.seconds: .*finite number \(given: inf\)"),
    (["run.until=nan"], r"command line: run.until: .*finite number \(given: nan\)"),
    (["run.memory_gb=inf"], "command line: run.memory_gb: .*finite"),
    (["run.evaluations=inf"], "command line: run.evaluations: .*finite"),
    (["run.until=1e999"], "command line: run.until: .*finite"),
    (["seed=9223372036854775808"], "command line: seed: an integer has more than the 64 bits of TOML's"),
    (["seed=0x" + "f" * 5000], r"command line: seed: an integer .* \(given: an integer of 20,000 bits\)"),
    (["seed=" + "9" * 5000], "override seed: an integer has more than the 64 bits"),
    (["target.hidden=[[2, " + "9" * 30 + "]]"], "command line: target.hidden: an integer has more than the 64 bits"),
    (["seed=3\nrun.rounds=5"], r"override 'seed=3\\nrun.rounds=5' is not one key=value"),
    (["seed=3\n[run]\nrounds=5"], "override .* is not one key=value"),
    (["name=\udcff"], r"command line: name: cannot be written in UTF-8 \(given: '\\udcff'\)"),
    (["\udcff=3"], r"command line: \\udcff: cannot be written in UTF-8"),
    (["seed=" + "[" * 10_000], "override seed: arrays or tables are more than 32 deep"),
    (["target.hidden=" + "[" * 40 + "]" * 40], "command line: target.hidden: arrays or tables are more than 32 deep"),
    (["a" + ".a" * 40 + "=1"], "override .* is not one key=value"),
    (["seed=" + "x " * 5000], r"command line: seed: .*\(given: 'x x x x [x ]{180,195}…\)$"),
    (["x" * 10_000], r"override 'x{190,200}… is not of the form"),
    (["x" * 10_000 + "=1"], r"command line: x{190,200}…: unknown key"),
    (["task.name=" + "x" * 10_000], r"command line: task.name: no task called 'x{190,200}…; allowed"),
    (["search={name='neat', functions=['" + "x" * 10_000 + "']}"], r"no function called 'x{190,200}…; allowed.{,400}$"),
    (["seed=\x1b[31m3"], r"command line: seed: .*given: '\\x1b\[31m3'"),
    (["seed=1979-05-27"], r"command line: seed: .*\(given: 1979-05-27\)"),
    (["seed=[true, {a = 1.5}]"], r"command line: seed: .*\(given: \[true, \{a = 1.5\}\]\)"),
])
def test_mistakes_are_one_line_that_names_the_key(tmp_path, overrides, message):
    (tmp_path / "mine.toml").write_text("seed = 1\n" + MINIMAL)
    with pytest.raises(UserError, match=message) as caught:
        load_config(str(tmp_path / "mine.toml"), overrides)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 1000


def test_an_override_may_take_several_lines(tmp_path):
    (tmp_path / "mine.toml").write_text(MINIMAL)
    config = load_config(str(tmp_path / "mine.toml"), ["target.hidden=[[2, 3],\n  [4, 5]]  # two\n"]).config
    assert config_values(config)["target"]["hidden"] == [[2, 3], [4, 5]]


def test_a_files_name_that_is_no_text_is_spelt_out(tmp_path):
    (tmp_path / "caf\udce9.toml").write_text(MINIMAL)
    loaded = load_config(str(tmp_path / "caf\udce9.toml"))
    assert loaded.config.name == r"caf\udce9" and config_text(loaded.config).encode()


@pytest.mark.timeout(30)
@pytest.mark.parametrize("content", [".".join("a" * 2**20) + "=1", '"a" . ' * 2**19 + "a=1", "[" * 2**20, "a={" * 2**20,
                                     "a=[" + "1," * 2**20 + "]", "a" * 2**22, "#" * (2**22 + 1),
                                     "\n".join(f"[a{'.b' * 30}.c{number}]" for number in range(2**15))])
def test_large_files_are_refused_soon(tmp_path, content):
    (tmp_path / "mine.toml").write_text(content)
    with pytest.raises(UserError, match="mine.toml: ") as caught:
        load_config(str(tmp_path / "mine.toml"))
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(("content", "message"), [
    ("seed = ", "mine.toml: is not TOML"),
    ("[task]\nname = 1\n[task]", r"mine.toml: is not TOML: Cannot declare task twice \(at line 3, column 6\)"),
    ("seed = " + "9" * 5000, "mine.toml: an integer has more than the 64 bits of TOML's"),
    ("a" + ".b" * 40 + " = 1", "mine.toml: a key has more than 32 parts"),
    ("[a" + ".b" * 30 + "]\nc.d.e.f = 1", r"mine.toml: a(\.b){30}\.c\.d: arrays or tables are more than 32 deep"),
    ("\0", "mine.toml: is not TOML"),
    ("seed = 1", r"mine.toml: the table \[task\] is missing; its name is one of adding, arrays, .*, retina"),
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
    with pytest.raises(UserError, match=r"bytes.toml: is not UTF-8: byte 1 is 0xff, as in UTF-16"):
        load_config(str(tmp_path / "bytes.toml"))


def test_check_config_names_its_file():
    with pytest.raises(UserError, match=r"^here: the table \[task\] is missing"):
        check_config({}, "here")


def without_meaning(model: type[BaseModel]) -> list[str]:
    """Fields of settings, and of settings in them, that no docstring explains."""
    nested = [field.annotation for field in model.model_fields.values()
              if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)]
    return [f"{model.__module__}.{key}" for key, field in model.model_fields.items()
            if not field.description and (key != "name" or model is RunConfig)] \
        + [key for below in nested for key in without_meaning(below)]


@pytest.mark.parametrize("kind", PARTS)
def test_every_setting_of_every_component_has_a_meaning(kind):
    for name in component_names(kind):
        module = load_component(kind, name)
        assert not without_meaning(module.Settings) and module.__doc__


def test_every_setting_of_a_run_has_a_meaning():
    assert not without_meaning(RunConfig) + without_meaning(RunSettings)


@pytest.mark.parametrize("name", shipped_configs())
def test_all_settings_are_explained(name):
    loaded = load_config(name, ["seed=3"])
    tables = explained(loaded)
    rows = {row.key: row for table in tables for row in table.settings}
    assert all(row.meaning for row in rows.values()) and all(table.meaning for table in tables[1:])
    assert [table.key for table in tables if "." not in table.key] == ["", *PARTS, "run"]
    given = loaded.origins.keys()
    assert {key for key, row in rows.items() if row.origin != "default"} == {
        next(row for row in rows if f"{key}.".startswith(f"{row}.")) for key in given}
    assert rows["seed"].value == 3 and rows["seed"].origin == "command line"
    assert rows["data_checksum"].origin == "default" and rows["encoding.name"].origin == f"{name}.toml"


def test_a_setting_shows_its_value_and_the_words_it_may_have(tmp_path):
    (tmp_path / "mine.toml").write_text(MINIMAL + "population = 30\n")
    rows = {row.key: row for table in explained(load_config(str(tmp_path / "mine.toml"))) for row in table.settings}
    assert rows["search.population"].value == 30 and rows["search.learning_rate"].value is None
    assert rows["target.hidden"].value == [[16, 16]]
    assert rows["target.activation"].meaning == "Function of the hidden units. One of tanh, relu, sin, identity."
    assert rows["encoding.name"].meaning.startswith("DCT encoding: a low-frequency block of cosine coefficients")


def test_a_table_on_the_command_line_takes_the_place_of_the_files():
    loaded = load_config("cppn-mnist", ["search={name='snes', deviation=0.2}", "encoding={name='direct'}"])
    assert config_values(loaded.config)["search"] == {
        "name": "snes", "population": 60, "deviation": 0.2, "start": "zero", "centre": 0.0}
    assert {key for key in loaded.origins if key.startswith(("search", "encoding"))} == {
        "search.name", "search.deviation", "encoding.name"}
    assert loaded.notes == ()
    again = load_config("dct-mnist", ["encoding={name='dct'}"])
    assert again.config.encoding.axes == "sheets" and "encoding.axes" not in again.origins and again.replaced == {}
    both = load_config("dct-mnist", ["target.biases=false", "target={name='convnet'}", "target.kernel=3"])
    assert config_values(both.config)["target"] == {
        "name": "convnet", "channels": [16, 16], "kernel": 3, "padding": "same", "pool": 2, "hidden": [],
        "biases": True, "dropout": 0.0}


def test_another_component_keeps_what_it_takes_from_the_file_and_a_note_says_the_rest():
    loaded = load_config("cppn-mnist", ["encoding.name=dct", "search.name=snes", "search.deviation=0.2"])
    assert loaded.config.search.population == 40 and loaded.config.search.deviation == 0.2
    assert loaded.origins["search.population"] == "cppn-mnist.toml"
    assert not {"search.functions", "search.refine.rounds", "encoding.patterns"} & loaded.origins.keys()
    assert loaded.notes[0] == "encoding.name=dct takes nothing from cppn-mnist.toml and not patterns, threshold, " \
                              "maximum_weight"
    assert loaded.notes[1].startswith("search.name=snes takes population from cppn-mnist.toml and not functions, ")
    assert loaded.notes[1].endswith("refine; with search={name='snes'} it takes nothing")


def test_a_value_that_another_component_does_not_take_stays_behind():
    loaded = load_config("dct-mnist", ["target.name=recurrent"])
    assert loaded.config.target.hidden == 32 and loaded.config.target.activation == "relu"
    assert "takes activation from dct-mnist.toml and not hidden" in loaded.notes[0]
    assert load_config("dct-mnist", ["task.name=fashion"]).notes == ()


@pytest.mark.parametrize(("overrides", "message"), [
    (["search.name=gradient", "search.centre=1"], "command line: search.centre: unknown key"),
    (["search.name=snes", "search.refine.rounds=3"], "command line: search.refine: unknown key"),
    (["search={name='gradient', deviation=1}"], "command line: search.deviation: unknown key"),
    (["target={hidden=[[8, 8]]}"], "command line: target.name is missing"),
    (["target.name=module"], "command line: target.module: field required"),
    (["encoding=direct"], "command line: did you mean encoding.name=direct"),
])
def test_keys_of_the_command_line_are_never_left_out(overrides, message):
    with pytest.raises(UserError, match=message):
        load_config("dct-mnist", overrides)


def test_keys_of_a_file_are_left_out_only_where_its_component_was_replaced(tmp_path):
    (tmp_path / "mine.toml").write_text(MINIMAL + "functions = []\n")
    for overrides in ([], ["encoding.name=direct"], ["search.name=snes"]):
        with pytest.raises(UserError, match="mine.toml: search.functions: unknown key"):
            load_config(str(tmp_path / "mine.toml"), overrides)
    (tmp_path / "module.toml").write_text(MINIMAL.replace('"mlp"', '"module"\nmodule = "m.py:f"\narguments = {}'))
    loaded = load_config(str(tmp_path / "module.toml"), ["target.name=mlp"])
    assert loaded.notes == ("target.name=mlp takes nothing from module.toml and not module, arguments",)


@pytest.mark.parametrize(("overrides", "name", "description"), [
    (["seed=1", "encoding.coefficients=[4]"], "dct-mnist", "784-256-10 on MNIST from 4,810 cosine"),
    (["encoding.name=dct", "target={name='mlp'}"], "dct-mnist", "784-256-10 on MNIST from 4,810 cosine"),
    (["encoding={name='coordinate'}"], "dct-mnist+coordinate", "dct-mnist with encoding coordinate"),
    (["search.name=gradient", "task.name=fashion"], "dct-mnist+fashion+gradient",
     "dct-mnist with task fashion, search gradient"),
    (["encoding.name=direct", "name=mine"], "mine", "mine with encoding direct"),
    (["encoding.name=direct", "description=own"], "dct-mnist+direct", "own"),
])
def test_a_run_is_named_after_what_it_is(overrides, name, description):
    config = load_config("dct-mnist", overrides).config
    assert config.name == name and config.description.startswith(description)


def test_what_replaces_the_parts_of_a_written_config_is_in_its_name_too(tmp_path):
    (tmp_path / "config.toml").write_text(config_text(load_config("dct-mnist").config))
    assert load_config(str(tmp_path / "config.toml")).config.name == "dct-mnist"
    assert load_config(str(tmp_path / "config.toml"), ["encoding.name=direct"]).config.name == "dct-mnist+direct"


def test_names_of_components_are_fit_for_folders():
    assert [brief_name(name) for name in ("es-hyperneat", "codes/mine.py", "mine.py:Own", "package.module", "a b")] == [
        "es-hyperneat", "mine", "mine-Own", "package.module", "a-b"]
