"""Kill a worker at a random block, in run after run over a Ray cluster of two nodes on this machine.

    python tests/runs/ray_kills.py [TRIALS] [RESULTS.json]

Every run, with 1, 2 or 4 workers in turn, ends with the bits of the same run in one process without Ray.
"""

import json
import os
import random
import signal
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil
from ray.cluster_utils import Cluster

from hyperevo.config import load_config
from hyperevo.runs import create_run, execute
from hyperevo.runs.spread import Spread

CONFIG = ["task={name='digits', images=100}", "threads=1", "run.rounds=100", "run.validate_every=20",
          "run.memory_gb=1.0", "encoding.coefficients=[3]", "search.population=128"]
FILES = ("metrics.csv", "fitness.bin", "champion/weights.safetensors", "champion/tensors.safetensors")


def contents(folder):
    return [(folder / file).read_bytes() for file in FILES]


def hosts(cluster):
    """Processes of a cluster's workers."""
    raylets = [psutil.Process(node.all_processes["raylet"][0].process.pid) for node in cluster.list_all_nodes()]
    return [process for raylet in raylets for process in raylet.children() if is_host(process)]


def is_host(process):
    """True for a worker that is not a zombie yet."""
    with suppress(psutil.Error):
        return "".join(process.cmdline()[:1]).startswith("ray::Host")
    return False


def trial(config, folder, cluster, workers):
    """A run with so many workers, one of which is killed just after a random block of a random round was sent."""
    until = time.monotonic() + 60
    while hosts(cluster) and time.monotonic() < until:  # those of the run before, which take a while to end
        time.sleep(0.1)
    run, killed, sent = create_run(config, folder, spread=Spread(cluster.address, workers)), [], 0
    chosen, block, send = random.randint(1, config.run.rounds - 2), random.randint(1, 4), run.crew.carrier.send
    started = time.monotonic()

    def send_and_kill(worker, request):
        nonlocal sent
        sent += max(len(request.sizes), 1) * (run.round == chosen)
        now = not killed and (sent >= block or run.round > chosen)
        victim = random.choice(hosts(cluster)) if now else None
        send(worker, request)
        if victim is not None:
            os.kill(victim.pid, signal.SIGKILL)
            killed.append(run.round)

    run.crew.carrier.send = send_and_kill
    execute(run)
    return {"workers": workers, "killed_in_round": killed[0] if killed else None, "block": block,
            "lost": run.crew.traffic.lost, "seconds": round(time.monotonic() - started, 2),
            "blocks": run.crew.traffic.blocks,
            "sent_to_genotypes": round(run.crew.traffic.sent / run.crew.traffic.genotypes, 4)}


def main(trials, results):
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    config, found = load_config("dct-mnist", CONFIG).config, []
    with tempfile.TemporaryDirectory() as folder:
        alone = Path(folder) / "alone"
        execute(create_run(config, alone))
        for number in range(trials):
            own = Path(folder) / str(number)
            told = trial(config, own, cluster, (1, 2, 4)[number % 3])
            found.append({**told, "same_bits": contents(own) == contents(alone)})
            print(found[-1], flush=True)
            if results:
                Path(results).write_text(json.dumps(found, indent=1))
    cluster.shutdown()
    killed = [told for told in found if told["lost"]]
    print(f"{sum(told['same_bits'] for told in found)} of {trials} ends are those of one process; in {len(killed)} a "
          "worker was killed")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20, sys.argv[2] if len(sys.argv) > 2 else None)
