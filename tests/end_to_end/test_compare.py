"""`hyperevo compare` as a user types it."""

import csv
import json
import re
import signal
import subprocess
import sys
import time

import pytest

SMALL = ["task.name=digits", "task.images=40", "target.hidden=[[3,3]]", "run.validate_every=1",
         "search={name='gradient', steps_per_round=2}", "encoding.direct=[]"]
PAIR = ["dct-mnist", "coordinate-mnist"]
BITS = ("metrics.csv", "fitness.bin", "champion/weights.safetensors")


def results(folder):
    with (folder / "results.csv").open() as file:
        return list(csv.DictReader(file))


def bits(folder):
    return {f"{run.name}/{file}": (run / file).read_bytes() for run in sorted((folder / "runs").iterdir())
            for file in BITS}


def test_it_runs_what_is_missing_and_reuses_the_rest(hyperevo, tmp_path):
    done = hyperevo("compare", *PAIR, *SMALL, "--seeds", 2, "--budget", "images=400", "--out", "study", check=0)
    out = tmp_path / "study"
    assert done.stdout.splitlines()[-1] == "study/report.html"
    for name in PAIR:
        assert re.search(rf"^{name}\+gradient .* 10 +400 +\d+ +2 +all generated", done.stdout, re.MULTILINE)
    rows = results(out)
    assert [(row["name"], row["seed"], row["finished"]) for row in rows] == [
        (f"{name}+gradient", seed, "true") for name in PAIR for seed in ("0", "1")]
    assert {(row["evaluations"], row["images"]) for row in rows} == {("10", "400")}
    for file in ("table.md", "table.tex", "report.html", "figures/accuracy_against_genes.png"):
        assert (out / file).stat().st_size > 0
    assert "unfinished" not in (out / "report.html").read_text().split("<h1")[0].lower()
    stamps = {path: path.stat().st_mtime_ns for path in out.glob("runs/*/result.json")}
    assert len(stamps) == 4
    again = hyperevo("compare", *PAIR, *SMALL, "--seeds", 3, "--budget", "images=400", "--out", "study", check=0)
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert len(results(out)) == 6 and "seed 2" in again.stderr and "seed 1" not in again.stderr
    # Another setting is another run.
    hyperevo("compare", PAIR[0], *SMALL, "--budget", "images=480", "--out", "study", "--seeds", 1, check=0)
    assert len(list(out.glob("runs/dct-mnist-0-*"))) == 2


def test_sweeps_make_a_row_for_every_value(hyperevo, tmp_path):
    hyperevo("compare", "dct-mnist", *SMALL, "--vary", "encoding.coefficients=[2],[3]", "--vary", "task.images=20,40",
             "run.rounds=2", "--seeds", 1, "--out", "sweep", check=0)
    names = [row["name"] for row in results(tmp_path / "sweep")]
    assert names == [f"dct-mnist+gradient coefficients={count} images={images}" for count in ("[2]", "[3]")
                     for images in ("20", "40")]


def test_a_mistake_in_one_run_is_told_and_the_others_go_on(hyperevo, tmp_path):
    done = hyperevo("compare", "dct-mnist", *SMALL, "--vary", "task.images=40,5000", "run.rounds=2", "--seeds", 1,
                    "--out", "study", check=1)
    told = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(told) == 1 and "task.images" in told[0]
    assert [row["finished"] for row in results(tmp_path / "study")] == ["true", "false"]
    first = (tmp_path / "study" / "report.html").read_text().split("<h1")[0]
    assert "1 of 2 runs" in first


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
def test_ctrl_c_loses_nothing(hyperevo, tmp_path, jobs):
    def arguments(out):
        return ["compare", *PAIR, *SMALL, "run.rounds=200", "--seeds", "1", "--out", out]

    process = subprocess.Popen([sys.executable, "-m", "hyperevo", *arguments("cut"), "--jobs", str(jobs)], text=True,
                               cwd=tmp_path, env=hyperevo.environment, stderr=subprocess.PIPE,
                               stdout=subprocess.DEVNULL, start_new_session=True)
    while not any(int(place.name) > 2 for place in (tmp_path / "cut").glob("runs/*/checkpoint/[0-9]*")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 130 and "The same command goes on" in stderr and "Traceback" not in stderr
    hyperevo(*arguments("cut"), "--jobs", jobs, check=0)
    hyperevo(*arguments("whole"), check=0)
    assert bits(tmp_path / "cut") == bits(tmp_path / "whole")


def test_a_report_of_what_is_there_so_far(hyperevo, tmp_path):
    command = ["compare", *PAIR, *SMALL, "run.rounds=2", "--seeds", 2, "--out", "study"]
    assert hyperevo(*command, "--no-runs", check=1).stderr.startswith("error: none of the 4 runs is finished")
    hyperevo("compare", PAIR[0], *SMALL, "run.rounds=2", "--seeds", 2, "--out", "study", check=0)
    done = hyperevo(*command, "--no-runs", check=0)
    assert "2 of 4 runs" in (tmp_path / "study" / "report.html").read_text().split("<h1")[0]
    assert "2 of 4 runs" in (tmp_path / "study" / "table.md").read_text().splitlines()[0]
    assert "2 of 4 runs" in done.stdout
    assert json.loads(next(tmp_path.glob("study/runs/*/result.json")).read_text())["data"] == "digits"


@pytest.mark.parametrize(("arguments", "message"), [
    (["search.population=3"], "no config is named"),
    (["dct-mnst"], "no config called 'dct-mnst'"),
    (["dct-mnist", "--budget", "rounds=3"], "--budget rounds=3"),
    (["dct-mnist", "--vary", "search.population"], "--vary search.population"),
    (["dct-mnist", "static-mnist"], "cannot be compared"),
    (["dct-mnist", "task.name=digits", "--out", "/proc/none"], "/proc/none"),
])
def test_bad_input_is_one_line(hyperevo, arguments, message):
    done = hyperevo("compare", *arguments, check=2)
    assert len(done.stderr.strip().splitlines()) == 1 and message in done.stderr
