"""Runs of a comparison: which, where, and what they do not share."""

import pytest

from hyperevo.compare.plan import config_key, parse_budget, parse_vary, plan
from hyperevo.config import config_text
from hyperevo.errors import UserError


def test_every_config_every_value_and_every_seed(tmp_path):
    vary = parse_vary(["search.population=64,256", "encoding.coefficients=[4],[8,8,8,8]"])
    entries = plan(["dct-mnist"], 2, tmp_path, ["task.name=digits"], vary)
    assert [(entry.name, entry.seed) for entry in entries[:3]] == [
        ("dct-mnist population=64 coefficients=[4]", 0), ("dct-mnist population=64 coefficients=[4]", 1),
        ("dct-mnist population=64 coefficients=[8,8,8,8]", 0)]
    assert len(entries) == len({entry.folder for entry in entries}) == 8
    assert entries[-1].config.part("search").population == 256
    assert entries[-1].config.part("encoding").coefficients == (8, 8, 8, 8)
    assert all(entry.config.part("task").name == "digits" for entry in entries)


def test_rows_are_called_by_what_is_varied(tmp_path):
    vary = parse_vary(["search.deviation=0.1,0.25", "encoding.hidden=[3]", "target.hidden=[[3,3]]"])
    entries = plan(["coordinate-mnist"], 1, tmp_path, ["task.name=digits"], vary)
    assert [entry.name for entry in entries] == [
        f"coordinate-mnist deviation={value} encoding.hidden=[3] target.hidden=[[3,3]]" for value in ("0.1", "0.25")]
    assert entries[0].varied[0] == ("search.deviation", "0.1") and entries[0].config_name == "coordinate-mnist"


def test_rows_are_called_by_what_replaced_their_parts(tmp_path):
    def names(overrides, *vary):
        return [(entry.name, entry.config_name) for entry in plan(["dct-mnist"], 1, tmp_path, overrides,
                                                                  parse_vary(vary))]

    assert names(["encoding={name='coordinate'}"]) == [("dct-mnist+coordinate", "dct-mnist+coordinate")]
    assert names(["task.name=fashion"]) == [("dct-mnist", "dct-mnist")]  # the task is the comparison's, not a row's
    assert names([], "encoding.name=dct,direct", "search.population=8") == [
        (f"dct-mnist encoding={name} population=8", "dct-mnist") for name in ("dct", "direct")]
    assert names(["search.name=cmaes", "encoding.scale=2"],
                 "encoding={name='dct'},{name='coordinate', hidden=[4], activation='relu'}") == [
        ("dct-mnist+cmaes encoding=dct", "dct-mnist+cmaes"),
        ("dct-mnist+cmaes encoding=coordinate hidden=[4] activation=relu", "dct-mnist+cmaes")]
    assert names([], "target.name=mlp", "search.name=snes") == [("dct-mnist target=mlp search=snes", "dct-mnist")]


def test_folders_of_runs_are_called_by_their_config_alone(tmp_path):
    [entry] = plan(["dct-mnist"], 1, tmp_path, ["encoding={name='coordinate'}"])
    assert entry.folder.name == f"dct-mnist-0-{config_key(entry.config)}"
    assert entry.config.name == "dct-mnist+coordinate"


def test_what_was_left_out_of_a_file_goes_with_the_row(tmp_path):
    entries = plan(["static-mnist"], 2, tmp_path, [], parse_vary(["target.name=convnet,mlp"]))
    assert [len(entry.notes) for entry in entries] == [0, 0, 1, 1]
    assert entries[2].config.part("encoding").direct == ("readout.weight",)
    assert "convolution1.weight" in entries[2].notes[0]


def test_a_fitted_readout_is_in_the_name(tmp_path):
    [entry] = plan(["dct-mnist"], 1, tmp_path, ["target.ridge=0.1"])
    assert entry.name == entry.config_name == "dct-mnist + ridge readout"
    [entry] = plan(["dct-mnist"], 1, tmp_path, [], parse_vary(["target.ridge=0.1"]))
    assert entry.name == "dct-mnist ridge=0.1"


def test_the_same_run_twice_is_refused(tmp_path):
    with pytest.raises(UserError, match="--vary search.population=64,64: 64 is there twice"):
        parse_vary(["search.population=64,64"])
    with pytest.raises(UserError, match="--vary search.population: is there twice"):
        parse_vary(["search.population=64", "search.population=32"])
    with pytest.raises(UserError, match=r"--vary: dct-mnist deviation=0.1 and dct-mnist deviation=1e-1 are the same"):
        plan(["dct-mnist"], 1, tmp_path, [], parse_vary(["search.deviation=0.1,1e-1"]))
    with pytest.raises(UserError, match="seed: a comparison has the seeds"):
        plan(["dct-mnist"], 1, tmp_path, ["seed=3"])
    (tmp_path / "dct-mnist.toml").write_text("")
    with pytest.raises(UserError, match="dct-mnist is named twice"):
        plan(["dct-mnist", str(tmp_path / "dct-mnist.toml")], 1, tmp_path)


def test_a_changed_setting_has_a_folder_of_its_own(tmp_path):
    first, = plan(["dct-mnist"], 1, tmp_path)
    same, = plan(["dct-mnist"], 1, tmp_path, ["description=another", "name=mine"])
    changed, = plan(["dct-mnist"], 1, tmp_path, ["search.deviation=0.11"])
    assert first.folder == same.folder != changed.folder
    assert config_key(first.config) != config_key(first.config.model_copy(update={"seed": 1}))


def test_a_run_from_before_an_option_was_there_is_found_by_its_config(tmp_path):
    [entry] = plan(["cppn-mnist"], 1, tmp_path)
    old = tmp_path / "runs" / "cppn-mnist-0-0123456789"
    old.mkdir(parents=True)
    text = config_text(entry.config.model_copy(update={"data_checksum": "0" * 64}))
    (old / "config.toml").write_text(text.replace("layering = false\n", ""))
    assert "layering = false\n" in text and plan(["cppn-mnist"], 1, tmp_path)[0].folder == old
    assert plan(["cppn-mnist"], 1, tmp_path, ["search.layering=true", "encoding.delta=true"])[0].folder != old
    (old / "config.toml").write_text("no config")
    assert plan(["cppn-mnist"], 1, tmp_path)[0].folder == entry.folder


@pytest.mark.parametrize("text", ["rounds=3", "evaluations", "evaluations=many", "seconds=0", "images=-3", "=5"])
def test_a_bad_budget_is_one_line(text):
    with pytest.raises(UserError, match=f"--budget {text}: is not one of evaluations=NUMBER"):
        parse_budget(text)
    assert parse_budget("seconds=2.5") == ("seconds", "2.5")


def test_a_budget_ends_runs(tmp_path):
    def run(name, kind, amount):
        return plan([name], 1, tmp_path, (), (), (kind, amount))[0].config.run

    assert run("dct-mnist", "evaluations", "5000").evaluations == 5000
    assert run("dct-mnist", "images", "3e6").images == 3_000_000
    assert run("dct-mnist", "seconds", "1.5").seconds == 1.5 and run("dct-mnist", "seconds", "2").rounds == 2**31 - 1


def test_bad_names_and_values_are_one_line(tmp_path):
    with pytest.raises(UserError, match="--vary population: is not of the form"):
        parse_vary(["population"])
    with pytest.raises(UserError, match="dct-mnist is named twice"):
        plan(["dct-mnist", "dct-mnist"], 1, tmp_path)
    with pytest.raises(UserError, match="no config called 'dct-minst'; did you mean 'dct-mnist'"):
        plan(["dct-minst"], 1, tmp_path)
    with pytest.raises(UserError, match="search.populatoin: unknown key"):
        plan(["dct-mnist"], 1, tmp_path, (), [("search.populatoin", ["3"])])
