"""The command line as a user types it."""

import json
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hyperevo import __version__ as hyperevo_version
from hyperevo.config import load_config, shipped_configs

SMALL = ["task.name=digits", "task.images=40", "target.hidden=[[3,3]]", "run.rounds=4", "run.validate_every=2",
         "search.population=12", "threads=1"]


def seconds_of(work):
    """Seconds of the processor that processes started by `work` take; others on the machine hardly change them."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_help_is_quick_and_says_what_to_type(hyperevo):
    done = hyperevo("--help", check=0)  # compiles the byte code
    typer = [sys.executable, "-c", "import typer"]
    times = [(seconds_of(lambda: hyperevo("--help", check=0)),
              seconds_of(lambda: subprocess.run(typer, check=True, env=hyperevo.environment))) for _ in range(5)]
    own, bare = map(min, zip(*times, strict=True))
    assert own < 1.5 * bare
    assert "run cppn-mnist" in done.stdout
    for command in ("run", "resume", "watch", "compare", "list", "show", "plot", "bench", "data"):
        assert command in done.stdout


def test_bench_prints_tables_and_writes_its_figures(hyperevo, tmp_path):
    done = hyperevo("bench", "--quick", "--json", "figures.json", "--device", "cpu", check=0)
    figures = json.loads((tmp_path / "figures.json").read_text())
    cppn, dct, neat = figures["cppn"], figures["dct"], figures["neat"]
    per_network = cppn["seconds_per_network"]
    assert per_network.keys() >= {"express", "evaluate", "express_and_evaluate", "matrix_product", "node_by_node"}
    assert cppn["ratio_to_matrix_product"] > 0 and f"{cppn['ratio_to_matrix_product']:.2f} × this" in done.stdout
    assert cppn["speedup_over_neat_python"] == pytest.approx(
        cppn["neat_python_seconds_per_network_scaled_up"] / per_network["express_and_evaluate"])
    assert dct["factored_speedup"] > 0 and dct["largest_relative_difference"] < 1e-4
    assert neat["bookkeeping_ratio_to_neat_python"] > 0 and neat["neat_python_seconds"] > 0
    assert figures["gradient"]["generated_ratio_to_direct"] > 0
    assert set(figures["growth"]) == {"population", "connections", "hidden", "images"}
    assert figures["peak_memory_gb"] > 0 and figures["machine"]["quick"]


def test_run_plot_and_a_second_run(hyperevo, tmp_path):
    done = hyperevo("run", "dct-mnist", *SMALL, check=0)
    folder = Path(done.stdout.splitlines()[-1])
    assert folder == Path("runs/dct-mnist+digits")
    assert "test accuracy" in done.stdout and "of digits" in done.stdout
    assert json.loads((tmp_path / folder / "result.json").read_text())["data"] == "digits"
    figures = sorted((tmp_path / folder / "figures").iterdir())
    assert figures and all(str(path.relative_to(tmp_path)) in done.stdout for path in figures)
    before = {path.name: path.read_bytes() for path in figures}
    hyperevo("plot", folder, check=0)
    assert {path.name: path.read_bytes() for path in sorted((tmp_path / folder / "figures").iterdir())} == before
    again = hyperevo("run", "dct-mnist", *SMALL, "--no-figures", check=0)
    assert again.stdout.splitlines()[-1] == "runs/dct-mnist+digits-2"
    written = {path.relative_to(tmp_path).parts for path in tmp_path.rglob("*") if path.is_file()}
    # Libraries have caches of their own, such as matplotlib's list of fonts.
    others = {parts for parts in written if parts[:2] in (("home", ".cache"), ("home", ".config"))}
    assert {parts[:2] for parts in written - others} == {folder.parts, ("runs", "dct-mnist+digits-2")}
    assert not any("hyperevo" in parts for parts in others)


def test_the_main_job_falls_back_to_digits_and_says_so(hyperevo, tmp_path):
    done = hyperevo("run", "cppn-mnist", *SMALL[1:], "--out", "here", check=0)
    notes = [line for line in done.stderr.splitlines() if line.startswith("note: ")]
    assert len(notes) == 1 and "mnist" in notes[0] and "digits" in notes[0]
    assert "of digits" in done.stdout
    assert json.loads((tmp_path / "here" / "result.json").read_text())["data"] == "digits"
    assert 'name = "digits"' in (tmp_path / "here" / "config.toml").read_text()


def test_denoising_falls_back_to_denoising_digits(hyperevo, tmp_path):
    done = hyperevo("run", "direct-autoencoder", "run.rounds=2", "search.steps_per_round=2", "target.hidden=[[3,3]]",
                    "--out", "here", "--no-figures", check=0)
    assert sum(line.startswith("note: ") for line in done.stderr.splitlines()) == 1
    assert "test variance explained" in done.stdout and "of digits" in done.stdout
    assert "accuracy" not in done.stdout
    config = (tmp_path / "here" / "config.toml").read_text()
    assert 'name = "denoising"' in config and 'data = "digits"' in config


def test_no_fallback_makes_it_an_error(hyperevo, tmp_path):
    done = hyperevo("run", "cppn-mnist", "--no-fallback", check=2)
    assert len(done.stderr.strip().splitlines()) == 1 and "mnist" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_list_and_show(hyperevo):
    names = json.loads(hyperevo("list", "--json", check=0).stdout)
    assert {"cppn-mnist", "dct-mnist", "coordinate-mnist", "direct-mnist"} <= set(names)
    shown = json.loads(hyperevo("show", "dct-mnist", "search.population=50", "--json", check=0).stdout)
    assert (shown["encoded_genes"], shown["direct_parameters"], shown["generated_weights"]) == (4810, 0, 203_530)
    assert shown["config"]["search"]["population"] == 50
    assert shown["origins"]["search.population"] == "command line"
    direct = json.loads(hyperevo("show", "direct-mnist", "--json", check=0).stdout)
    assert (direct["encoded_genes"], direct["direct_parameters"], direct["generated_weights"]) == (0, 203_530, 0)
    assert "generated_weights: 203,520" in hyperevo("show", "coordinate-mnist", check=0).stdout


def test_version_is_quick(hyperevo):
    assert hyperevo("--version", check=0).stdout == f"hyperevo {hyperevo_version}\n"


@pytest.fixture
def shown(monkeypatch, tmp_path):
    """Call `show` in this process: lines of stdout, and of stderr."""
    from typer.testing import CliRunner

    from hyperevo.cli import app

    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        done = CliRunner().invoke(app, ["show", *map(str, arguments)], env={"COLUMNS": "160"}, catch_exceptions=False)
        assert done.exit_code == 0, done.stderr
        return done.stdout.splitlines(), done.stderr.splitlines()

    return call


def test_show_explains_every_setting_on_100_columns(shown):
    lines, notes = shown("double-pole-hidden-velocities-dct", "search.population=50")
    assert max(map(len, lines)) <= 100 and notes == [] and "\x1b" not in "".join(lines)
    place = next(number for number, line in enumerate(lines) if line.startswith("search.population = 50 "))
    assert lines[place].split() == ["search.population", "=", "50", "command", "line"]
    assert lines[place + 1] == "    Number of genotypes in a generation."
    assert next(line for line in lines if line.startswith("task.name")).split()[-1] \
        == "double-pole-hidden-velocities-dct.toml"
    assert next(line for line in lines if line.startswith("run.images = not set")).split()[-1] == "default"
    assert lines.index("[search] Method by which genotypes improve.") < place < lines.index(
        next(line for line in lines if line.startswith("[run]")))
    assert [line.split(":")[0] for line in lines[-3:]] == ["encoded_genes", "direct_parameters", "generated_weights"]


@pytest.mark.parametrize("name", shipped_configs())
def test_toml_that_show_prints_is_the_same_run(shown, tmp_path, name):
    lines, _ = shown(name, "--toml")
    (tmp_path / "mine.toml").write_text("\n".join(lines))
    assert load_config("./mine.toml").config == load_config(name).config


def test_show_says_what_is_left_out_on_stderr(shown, tmp_path):
    lines, notes = shown("dct-mnist", "encoding.name=coordinate", "--toml")
    assert notes == ["note: encoding.name=coordinate takes nothing from dct-mnist.toml and not axes, coefficients"]
    (tmp_path / "mine.toml").write_text("\n".join(lines))
    assert load_config("./mine.toml").config.name == "dct-mnist+coordinate"
    lines, notes = shown("static-mnist", "target={name='mlp'}", "--json")
    assert json.loads("\n".join(lines))["config"]["encoding"]["direct"] == ["readout.weight"]
    assert json.loads("\n".join(lines))["meanings"]["search.name"].startswith("Gradient search: ")
    assert len(notes) == 1 and "convolution1.weight" in notes[0]


def test_a_name_with_a_path_is_one_folder(hyperevo, tmp_path):
    done = hyperevo("run", "dct-mnist", *SMALL, "name=../my own/run", "--no-figures", check=0)
    assert done.stdout.splitlines()[-1] == "runs/my-own-run" and (tmp_path / "runs" / "my-own-run").is_dir()


def same_outcome(first: Path, second: Path) -> bool:
    files = ["metrics.csv", "fitness.bin", "champion/state.json", "champion/tensors.safetensors",
             "champion/weights.safetensors"]
    return all((first / file).read_bytes() == (second / file).read_bytes() for file in files)


@pytest.mark.parametrize("config", ["cppn-mnist", "dct-mnist"])
def test_killed_run_resumes_to_the_same_bits(hyperevo, cut_off, tmp_path, config):
    arguments = [config, *SMALL, "run.rounds=10", "--no-figures"]
    hyperevo("run", *arguments, "--out", "whole", check=0)
    cut_off("run", *arguments, "--out", "killed")
    assert (tmp_path / "killed" / "checkpoint" / "00000003").exists()
    assert not (tmp_path / "killed" / "result.json").exists()
    done = hyperevo("resume", "killed", "--no-figures", check=0)
    assert done.stdout.splitlines()[-1] == "killed"
    assert same_outcome(tmp_path / "whole", tmp_path / "killed")
    assert "is finished" in hyperevo("resume", "killed", check=0).stdout


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_signal_saves_and_says_how_to_go_on(cut_off, signum):
    done = cut_off("run", "dct-mnist", *SMALL, "run.rounds=10", "--out", "cut", "--no-figures", signum=signum)
    assert "Traceback" not in done.stderr
    assert done.stderr.strip().splitlines()[-1].endswith("python -m hyperevo resume cut")


MISTAKES = [
    (["run", "cpn-mnist"], "no config called 'cpn-mnist'; did you mean 'cppn-mnist'"),
    (["run", "nowhere.toml"], "nowhere.toml: cannot be read"),
    (["check", "nowhere.py"], "nowhere.py: no such file"),
    (["check", "digits"], "digits: may be data set or task; --kind says which is meant"),
    (["check", "dct", "coefficients=0"], "check dct: encoding.coefficients: "),
    (["check", "dct", "--kind", "tsk"], "no kind of part called 'tsk'; did you mean 'task'?"),
    (["run", "dct-mnist", "serch.population=3"], "serch: unknown key"),
    (["run", "dct-mnist", "search.population=many"], "search.population"),
    (["run", "dct-mnist", "search.population=1"], "search.population"),
    (["run", "dct-mnist", "task.name=imagenet"], "task.name: no task called 'imagenet'"),
    (["run", "dct-mnist", "--device", "gpu"], "device"),
    (["run", "dct-mnist", "task.name=digits", "--device", "cuda:7"], "device 'cuda:7' is not there"),
    (["run", "dct-mnist", "--seed", "-4"], "seed"),
    (["run", "char-ptb-hyperlstm", "task.text=file"], "file: 6 characters are too few"),
    (["run", "handwriting-omniglot-hyperlstm", "task.strokes=file"], "file: is cut short or not an .npz file"),
    (["run", "handwriting-iam-hyperlstm"], "task.strokes: 'IAM-OnDB' is no data set"),
    (["sample", "taken"], "taken: is not a run"),
    (["sample", "runs/any", "--seed", "99999999999999999999"], "--seed"),
    (["run", "dct-mnist", "task.name=digits", "task.images=5000"], "task.images"),
    (["run", "dct-mnist", "task.name=digits", "encoding.coefficients=[2,2]"], "encoding.coefficients"),
    (["run", "dct-mnist", "task.name=digits", "encoding.direct=['w']"], "encoding.direct"),
    (["run", "dct-mnist", "task.name=digits", "search.name=neat", "search={name='neat'}"], "neat"),
    (["run", "cppn-mnist", "task.name=digits", "search={name='snes'}"], "search.name"),
    (["run", "cppn-mnist", "task.name=digits", "search.ini=nowhere.ini"], "nowhere.ini"),
    (["run", "dct-mnist", "task.name=digits", "--out", "taken"], "taken exists"),
    (["run", "dct-mnist", "task.name=digits", "--out", "file"], "file exists"),
    (["run", "dct-mnist", "task.name=digits", "--out", "file/below"], "file/below: cannot be written"),
    (["run", "dct-mnist", "task.name=digits", "--out", "/proc/nowhere"], "/proc/nowhere: cannot be written"),
    (["run", "dct-mnist", "task.name=digits", "--out", "taken", "--overwrite"], "is not a run"),
    (["run", "dct-mnist", "task.name=digits", "data_checksum=abc"], "data_checksum"),
    (["run"], "Missing argument"),
    (["run", "dct-mnist", "--colour"], "No such option"),
    (["rum", "dct-mnist"], "No such command"),
    (["resume", "nowhere"], "nowhere: no such run folder"),
    (["resume", "taken"], "taken: is not a run"),
    (["resume", "broken"], "broken/config.toml: is not TOML"),
    (["plot", "nowhere"], "nowhere: no such run folder"),
    (["plot", "taken"], "taken: is not a run"),
    (["bench", "--json", "nowhere/figures.json"], "--json nowhere/figures.json: its folder does not exist"),
    (["bench", "--device", "cuda:7"], "device 'cuda:7' is not there"),
    (["show", "dct-mnist", "encoding.coefficients=[0]"], "encoding.coefficients.0"),
    (["show", "cpn"], "no config called 'cpn'"),
    (["show", "dct-mnist", "--json", "--toml"], "--json and --toml: one of the two"),
    (["data", "fetch", "mnst"], "mnst"),
    (["data", "verify", "mnst"], "mnst"),
]


@pytest.fixture(scope="module")
def corner(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mistakes")
    (folder / "taken").mkdir()
    (folder / "taken" / "thesis.txt").write_text("irreplaceable")
    (folder / "file").write_text("a file")
    (folder / "broken").mkdir()
    (folder / "broken" / "config.toml").write_text("[task\n")
    return folder


@pytest.mark.parametrize(("arguments", "message"), MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_2(corner, capfd, monkeypatch, arguments, message):
    from hyperevo.cli import main

    monkeypatch.chdir(corner)
    monkeypatch.setenv("HYPEREVO_OFFLINE", "1")
    monkeypatch.setattr(sys, "argv", ["hyperevo", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    captured = capfd.readouterr()
    assert ended.value.code == 2
    assert message in captured.err
    assert captured.err.startswith("error: ") and captured.err.count("\n") == 1
    assert "Traceback" not in captured.err and captured.out == ""
    assert (corner / "taken" / "thesis.txt").read_text() == "irreplaceable"
    assert sorted(path.name for path in corner.iterdir()) == ["broken", "file", "taken"]
