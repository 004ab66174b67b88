"""Networks of Acrobot and of two poles, for models to evolve in: a few thousand, of every quality.

    python experiments/cartpolegen/other_policies.py [--folder networks] [TASK ...]
"""

import argparse
from pathlib import Path

import torch

from hyperevo.compare.collecting import Course, Group, collect
from hyperevo.config import load_config

HERE = Path(__file__).parent
TASKS = {
    "acrobot": (["task.environment=acrobot", "task.episodes=4", "search.population=256", "search.learning_rate=0.03"],
                [Group(-501, -300, 300), Group(-300, -150, 150), Group(-150, -100, 350), Group(-100, 0, 400)],
                Course(24, 3, 4, 20)),
    "double-pole": (["task.environment=double-pole", "task.most_steps=400", "task.episodes=8", "search.population=256",
                     "search.learning_rate=0.02"],
                    [Group(0, 60, 300), Group(60, 120, 400), Group(120, 400, 300)], Course(80, 8, 1, 1))}
"""Overrides of policies.toml, groups by return, and course."""

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", default=list(TASKS))
    parser.add_argument("--folder", type=Path, default=Path("networks"))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for name in options.tasks:
        overrides, groups, course = TASKS[name]
        config = load_config(str(HERE / "policies.toml"), overrides).config
        made = collect(config, groups, course, options.folder / f"{name}.safetensors", 1,
                       lambda text: print(text, flush=True))
        print(f"{name}: {len(made)} networks, mean {float(made.table['score'].mean()):.1f}", flush=True)
