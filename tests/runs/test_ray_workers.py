"""Runs over a Ray cluster of several nodes, on this machine: one cluster for all tests here."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

import hyperevo
from hyperevo.config import load_config
from hyperevo.errors import RunFailed, UserError
from hyperevo.runs import create_run, execute, open_run
from hyperevo.runs.files import read_json
from hyperevo.runs.ray_workers import RayWorkers
from hyperevo.runs.spread import Spread

SMALL = ["task.images=60", "threads=1", "run.validate_every=3", "run.memory_gb=1.0", "encoding.coefficients=[2]",
         "search.population=70"]
FILES = ("metrics.csv", "fitness.bin", "champion/weights.safetensors")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def contents(folder):
    return [(folder / file).read_bytes() for file in FILES]


@pytest.fixture(scope="module")
def cluster():
    """A cluster of two nodes with a CPU each."""
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    started = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False,
                                                            "object_store_memory": 100_000_000})
    started.add_node(num_cpus=1, object_store_memory=100_000_000)
    yield started
    started.shutdown()


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Workers find hyperevo by their own path, and not in this process's working directory."""
    monkeypatch.setenv("PYTHONPATH", str(Path(hyperevo.__file__).parent.parent))
    monkeypatch.chdir(tmp_path)


@contextmanager
def another_node(cluster, **environment):
    """A third node, in an environment of its own."""
    node = cluster.add_node(num_cpus=1, object_store_memory=100_000_000, env_vars=environment)
    try:
        yield
    finally:
        cluster.remove_node(node)


def config_of(*overrides):
    return load_config("dct-mnist", ["task={name='digits'}", *SMALL, *overrides]).config


def hosts(cluster):
    """Processes of a cluster's workers."""
    raylets = [psutil.Process(node.all_processes["raylet"][0].process.pid) for node in cluster.list_all_nodes()]
    return [process for raylet in raylets for process in raylet.children() if is_host(process)]


def is_host(process):
    """True for a worker that is not a zombie yet."""
    with suppress(psutil.Error):
        return "".join(process.cmdline()[:1]).startswith("ray::Host")
    return False


def test_a_run_on_a_cluster_loses_a_worker_and_no_bit(cluster, tmp_path):
    config = config_of("run.rounds=9")
    execute(create_run(config, tmp_path / "alone"))
    run, killed = create_run(config, tmp_path / "spread", spread=Spread(cluster.address)), []
    assert run.crew.carrier.count == run.crew.workers == 2

    def kill(round_):
        if round_.number == 2:
            killed.append(hosts(cluster)[0].pid)
            os.kill(killed[0], signal.SIGKILL)
        return round_.number == 6

    execute(run, kill)
    assert killed and run.crew.traffic.lost == 1
    until = time.monotonic() + 30
    while hosts(cluster) and time.monotonic() < until:  # actors take a while to end
        time.sleep(0.1)
    assert hosts(cluster) == []
    told = read_json(tmp_path / "spread" / "environment.json")
    assert told["workers"] == 2 and told["cluster"].count(": 1 CPUs") == 2 and told["ray"]
    resumed = open_run(tmp_path / "spread", changes=["run.rounds=9"], spread=Spread(cluster.address, 2))
    execute(resumed)
    assert contents(tmp_path / "spread") == contents(tmp_path / "alone")


def test_a_node_that_is_not_like_the_others_is_named(cluster, tmp_path):
    shutil.copytree(Path(hyperevo.__file__).parent, tmp_path / "other" / "hyperevo")
    with (tmp_path / "other" / "hyperevo" / "measure.py").open("a") as file:
        file.write("CHANGED = True\n")
    line = r"^node \S+ \([0-9a-f]{6}\) has code of hyperevo with SHA-256 [0-9a-f]{12}, and the run [0-9a-f]{12}$"
    with another_node(cluster, PYTHONPATH=str(tmp_path / "other")), pytest.raises(UserError, match=line):
        create_run(config_of(), tmp_path / "run", spread=Spread(cluster.address))
    assert not (tmp_path / "run").exists()


def test_what_a_cluster_has_no_room_for_is_one_line(cluster, tmp_path):
    for spread, line in ((Spread(cluster.address, 5), "--workers 5: the cluster has 2 CPUs, two workers for each"),
                         (Spread(cluster.address, 1, 1.0), "--workers 1, --gpus-per-worker 1: the cluster has 0 GPUs"),
                         (Spread("127.0.0.1:1"), "--ray 127.0.0.1:1: no cluster answers there: ")):
        with pytest.raises(UserError, match=f"^{line}"):
            create_run(config_of(), None, spread=spread)


def test_the_last_word_is_said_unless_it_is_withdrawn():
    code = "import os; from hyperevo.runs.ray_workers import LastWord; word = LastWord('it broke'); {}; os._exit(1)"
    told = [subprocess.run([sys.executable, "-c", code.format(then)], capture_output=True, text=True).stderr
            for then in ("pass", "word.withdraw()")]
    assert told == ["it broke\n", ""]


def test_a_cluster_that_is_gone_ends_the_run_in_one_line(monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    workers = RayWorkers.__new__(RayWorkers)
    vars(workers).update(_address=f"127.0.0.1:{port}", _seen=time.monotonic() - 60, _looked=0.0)
    with pytest.raises(RunFailed, match=f"^the Ray cluster at 127.0.0.1:{port} is gone; `hyperevo resume` goes on"):
        workers._check_head()
