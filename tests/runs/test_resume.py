"""A run that was cut off anywhere ends bit-identical to one that was not, for every search."""

import json
import shutil
from pathlib import Path

import pytest

from hyperevo.components import component_names
from hyperevo.config import load_config
from hyperevo.errors import UserError
from hyperevo.runs import create_run, execute, open_run
from hyperevo.runs import writer as writer_module
from hyperevo.seal import sealed

SMALL = ["task.name=digits", "task.images=40", "target.hidden=[[3,3]]", "run.rounds=6", "run.validate_every=2",
         "search.population=12", "threads=1"]

HYPERGAN = ["encoding={name='hypergan', noise=7, layer_code=5, mixer=[8], generator=[9]}", "search.validated=3",
            "search.discriminator_hidden=[6]", "search.steps_per_round=2"]


def small_config(tmp_path: Path, search: str):
    if search == "policy-gradient":
        small = [override for override in SMALL if not override.startswith("task.")]
        return load_config("cartpole-policy-gradient", [*small, "task.most_steps=30", "task.validation=4",
                                                        "search.ratio=0.2", "search.epochs=2"]).config
    if search == "adversarial":
        return load_config("hypergan-mnist", ["target={name='mlp'}", *SMALL, *HYPERGAN]).config
    own = {"neat": "cppn-mnist", "eggroll": "eggroll-mnist"}
    if search in own:
        return load_config(own[search], SMALL).config
    return load_config("dct-mnist", [*SMALL, f"search={{name='{search}', population=12}}",
                                     "encoding.coefficients=[2]"]).config


class Cut(Exception):
    """Stands for the end of the process."""


def outcome(folder: Path) -> dict:
    """Everything that must not differ: all files but times, environment and figures."""
    files = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and not name.startswith(("timing", "environment", "figures", "run.log", "checkpoint")):
            files[name] = path.read_bytes()
    result = json.loads(files.pop("result.json"))
    for measured in ("seconds", "peak_memory_gb"):
        result.pop(measured)
    return {**files, "result": result}


@pytest.fixture(scope="module", params=component_names("search"))
def unbroken(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    config = small_config(folder.parent, request.param)
    execute(create_run(config, folder))
    return config, outcome(folder)


@pytest.mark.parametrize("rounds", [1, 3, 5])
def test_resumed_run_equals_unbroken_run(unbroken, tmp_path, rounds, run_until):
    config, expected = unbroken
    run_until(config, tmp_path / "run", rounds)
    execute(open_run(tmp_path / "run"))
    assert outcome(tmp_path / "run") == expected


@pytest.mark.parametrize("rounds", [2, 3])
def test_resumed_run_whose_factor_of_a_covariance_lies_column_by_column(tmp_path, rounds, run_until):
    own = ["search={name='cmaes', population=8}", "encoding.coefficients=[2]"]
    config = load_config("dct-mnist", [*SMALL, *own]).config
    execute(create_run(config, tmp_path / "whole"))
    run_until(config, tmp_path / "run", rounds)
    execute(open_run(tmp_path / "run"))
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")


def test_run_cut_between_its_logs_and_its_checkpoint(unbroken, tmp_path, monkeypatch):
    config, expected = unbroken
    run = create_run(config, tmp_path / "run")
    written = []
    real = writer_module.write_checkpoint

    def cut_at_the_fourth(folder, checkpoint):
        written.append(checkpoint)
        if len(written) == 4:
            raise Cut
        real(folder, checkpoint)

    monkeypatch.setattr(writer_module, "write_checkpoint", cut_at_the_fourth)
    with pytest.raises(Cut):
        execute(run)
    monkeypatch.setattr(writer_module, "write_checkpoint", real)
    run.close()
    with (tmp_path / "run" / "metrics.csv").open("ab") as metrics:
        metrics.write(b"half a row, 1.2")
    execute(open_run(tmp_path / "run"))
    assert outcome(tmp_path / "run") == expected


def test_seed_changes_the_run(tmp_path):
    config = small_config(tmp_path, "snes")
    execute(create_run(config, tmp_path / "a"))
    execute(create_run(config.model_copy(update={"seed": 1}), tmp_path / "b"))
    assert outcome(tmp_path / "a")["metrics.csv"] != outcome(tmp_path / "b")["metrics.csv"]


def test_changed_config_is_refused_by_key(tmp_path, run_until):
    config = small_config(tmp_path, "snes")
    run_until(config, tmp_path / "run", 2)
    file = tmp_path / "run" / "config.toml"
    file.write_text(file.read_text().replace("population = 12", "population = 14"))
    with pytest.raises(UserError, match=r"search.population was changed from 12 to 14"):
        open_run(tmp_path / "run")


def test_no_more_than_two_checkpoints_are_kept(tmp_path, run_until):
    run_until(small_config(tmp_path, "snes"), tmp_path / "run", 5)
    assert sorted(path.name for path in (tmp_path / "run" / "checkpoint").iterdir()) == ["00000004", "00000005"]


@pytest.mark.parametrize("file", ["state.json", "tensors.safetensors"])
def test_cut_checkpoint_is_one_line_and_the_one_before_still_serves(tmp_path, unbroken, file, run_until):
    config, expected = unbroken
    run_until(config, tmp_path / "run", 4)
    newest = tmp_path / "run" / "checkpoint" / "00000004"
    content = (newest / file).read_bytes()
    (newest / file).write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=f"00000004/{file}: is cut short or damaged.*go on from round 3"):
        open_run(tmp_path / "run")
    for path in newest.iterdir():
        path.unlink()
    newest.rmdir()
    execute(open_run(tmp_path / "run"))
    assert outcome(tmp_path / "run") == expected


def test_no_pickle_is_written(tmp_path, unbroken, run_until):
    run_until(unbroken[0], tmp_path / "run", 3)
    for path in (tmp_path / "run").rglob("*"):
        if path.is_file():
            assert path.suffix in {".toml", ".json", ".csv", ".bin", ".safetensors", ".lock"}
            assert not path.read_bytes().startswith((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK"))


def test_run_killed_before_its_first_checkpoint_is_made_anew(tmp_path):
    config = small_config(tmp_path, "snes")
    execute(create_run(config, tmp_path / "whole"))
    run = create_run(config, tmp_path / "run")
    run.close()
    shutil.rmtree(tmp_path / "run" / "checkpoint" / "00000000")
    (tmp_path / "run" / "checkpoint" / ".00000000.12345.hyperevo").mkdir()
    execute(open_run(tmp_path / "run"))
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")


def test_options_that_are_newer_than_a_checkpoint_are_what_they_are_by_default(tmp_path, run_until):
    run_until(small_config(tmp_path, "snes"), tmp_path / "run", 2)
    state = tmp_path / "run" / "checkpoint" / "00000002" / "state.json"
    values = json.loads(state.read_text())
    del values["config"]["search"]["centre"], values["sha256"]
    state.write_bytes(sealed(values))
    assert execute(open_run(tmp_path / "run"))["rounds"] == 6


@pytest.mark.parametrize("given", ["many", None, 1.5, -1, 2**31, pytest.param(10**400, id="large"), [1]])
def test_a_guests_search_that_takes_up_no_number_of_tells_is_told(given, tmp_path, run_until):
    source = (Path(__file__).parents[1] / "guests" / "my_search.py").read_text()
    guest = tmp_path / "climb.py"
    guest.write_text(source.replace('self.best, self.generation = state["best"], state["generation"]',
                                    'self.best, self.generation = state["best"], state["own"]')
                     .replace('"generation": self.generation}', '"own": self.generation}'))
    config = load_config("dct-mnist", ["task={name='digits', images=40}", "target.hidden=[[3,3]]", "run.rounds=3",
                                       "encoding.coefficients=[2]", f"search={{name='{guest}'}}", "threads=1"]).config
    run_until(config, tmp_path / "run", 2)
    state = tmp_path / "run" / "checkpoint" / "00000002" / "state.json"
    values = json.loads(state.read_text())
    whole, values["search"]["own"] = dict(values["search"]), given
    values.pop("sha256")
    state.write_bytes(sealed(values))
    with pytest.raises(UserError, match=r"00000002/state.json: search.generation: .* is not an integer from 0 to 2,"):
        open_run(tmp_path / "run", trust=True)
    state.write_bytes(sealed(values | {"search": whole}))
    assert execute(open_run(tmp_path / "run", trust=True))["rounds"] == 3
