"""What rows do not share is refused or said."""

import pytest

from hyperevo.compare.fairness import check_comparable, differences, remarks
from hyperevo.compare.outcomes import Outcome
from hyperevo.compare.plan import plan
from hyperevo.config import load_config, shipped_configs
from hyperevo.errors import UserError


def outcomes(entries, **costs):
    result = {"test_accuracy": 0.9, "evaluations": 1000, "images": 500_000, "seconds": 10.0, **costs}
    return [Outcome(entry, result, None) for entry in entries]


def test_what_rows_do_not_share_is_found():
    configs = {name: load_config(name).config for name in ("dct-mnist", "coordinate-mnist")}
    assert not any(key.startswith(("encoding", "search", "seed")) for key in differences(configs))
    configs["larger"] = load_config("dct-mnist", ["target.hidden=[[20,20]]"]).config
    assert differences(configs)["target.hidden"] == {"dct-mnist": [[16, 16]], "coordinate-mnist": [[16, 16]],
                                                     "larger": [[20, 20]]}
    assert differences({"one": configs["larger"], "two": configs["larger"]}) == {}


@pytest.mark.parametrize("names", [("dct-mnist", "static-mnist"), ("wrn-40-1", "wrn-40-2"),
                                   ("dct-mnist", "dppn-autoencoder")])
def test_other_data_and_other_networks_are_refused(names, tmp_path):
    with pytest.raises(UserError, match="the runs cannot be compared: (target|task)"):
        check_comparable(plan(names, 1, tmp_path))


def test_unless_they_are_what_is_varied(tmp_path):
    vary = [("task.name", ["mnist", "fashion"]), ("target.hidden", ["[[16,16]]", "[[8,8]]"])]
    entries = plan(["dct-mnist"], 1, tmp_path, (), vary)
    with pytest.raises(UserError, match="target.hidden is"):
        check_comparable(entries, ["task.name"])
    check_comparable(entries, ["task.name", "target.hidden"])


@pytest.mark.parametrize("vary", [("target.name", ["mlp", "convnet"]),
                                  ("target", ["{name='mlp'}", "{name='convnet'}"])])
def test_all_of_a_target_may_differ_where_it_is_varied(vary, tmp_path):
    entries = plan(["dct-mnist"], 1, tmp_path, (), [vary])
    check_comparable(entries, [vary[0]])
    with pytest.raises(UserError, match="the runs cannot be compared: target"):
        check_comparable(entries, ["target.channels"])
    said = remarks(entries, outcomes(entries))
    assert any("target.channels is not set (dct-mnist target=mlp)" in one for one in said)


def test_all_perceptrons_on_mnist_that_are_shipped_can_be_compared(tmp_path):
    names = ["cppn-mnist", "dct-mnist", "coordinate-mnist", "embedding-mnist", "direct-mnist", "dppn-mnist"]
    check_comparable(plan(names, 1, tmp_path, (), (), ("evaluations", "100000")))


def test_other_differences_are_said(tmp_path):
    entries = plan(["dct-mnist", "coordinate-mnist", "cppn-mnist"], 2, tmp_path)
    check_comparable(entries)
    found = remarks(entries, outcomes(entries))
    assert "Not the same for all: task.scale_outputs is 4.0 (dct-mnist, cppn-mnist), 2.0 (coordinate-mnist)." in found
    assert "Not the same for all: run.precision is float32 (dct-mnist, coordinate-mnist), bfloat16 (cppn-mnist)." \
        in found
    assert any("No budget was set" in one and "networks evaluated 1,000" in one for one in found)


def test_a_fair_comparison_has_nothing_to_say(tmp_path):
    shared = ["task.scale_outputs=3.0", "task.images=500", "target.activation=relu"]
    entries = plan(["dct-mnist", "coordinate-mnist"], 2, tmp_path, shared, (), ("images", "500000"))
    assert remarks(entries, outcomes(entries)) == []
    assert remarks(entries, []) == []


def test_runs_that_end_before_the_budget_are_named(tmp_path):
    entries = plan(["appendix-a1"], 2, tmp_path, ["run.seconds=100"])
    found = remarks(entries, outcomes(entries))
    assert any("depends on the machine" in one for one in found)
    assert "Ended by their rounds, before the budget: appendix-a1." in found
    assert "Ended by" not in " ".join(remarks(entries, outcomes(entries, seconds=101.0)))


def test_a_fitted_readout_is_said(tmp_path):
    file = tmp_path / "ridge.toml"
    file.write_text(shipped_configs()["dct-mnist"].read_text().replace("hidden =", "ridge = 0.1\nhidden ="))
    entries = plan(["dct-mnist", str(file)], 1, tmp_path)
    check_comparable(entries)
    [differ] = remarks(entries, [])
    assert differ == "Not the same for all: target.ridge is not set (dct-mnist), 0.1 (ridge + ridge readout)."
    fitted = outcomes(entries[1:], fitted_parameters=2570)
    assert "Readouts fitted in closed form by ridge regression, not searched: ridge + ridge readout (2,570 weights)." \
        in remarks(entries, [*outcomes(entries[:1]), *fitted])


def test_effort_that_differs_is_said(tmp_path):
    shared = ["task.scale_outputs=3.0", "task.images=500", "target.activation=relu"]
    entries = plan(["dct-mnist", "coordinate-mnist"], 1, tmp_path, shared, (), ("images", "500000"))
    more = [*outcomes(entries[:1]), *outcomes(entries[1:], evaluations=1020)]
    assert remarks(entries, more) == ["Not the same for all: networks evaluated 1,000 to 1,020."]
    assert remarks(entries, [*more[:1], *outcomes(entries[1:], evaluations=1008)]) == []  # a last round
