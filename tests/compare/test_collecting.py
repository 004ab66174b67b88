"""Collections of networks: groups of the sizes asked for, no network twice in one, and killed ones go on to the same
bits."""

import pytest

from hyperevo.compare.collecting import Course, Group, collect
from hyperevo.config import load_config

COLLECTED = ["search.population=32", "task.most_steps=60", "task.episodes=2", "search.learning_rate=0.05", "seed=3"]
COURSE, GROUPS = Course(4, 2, 2, 3), [Group(0, 40, 25), Group(40, 200, 30)]


def test_a_collection_has_its_groups_and_goes_on_to_the_same_bits(tmp_path, monkeypatch):
    config = load_config("cartpole-policy-gradient", COLLECTED).config
    whole = collect(config, GROUPS, COURSE, tmp_path / "whole.safetensors", told=lambda text: None)
    assert [int(group.holds(whole.table["score"]).sum()) for group in GROUPS] == [25, 30]
    for group in GROUPS:
        own = whole.chosen(group.holds(whole.table["score"]))
        pairs = list(zip(own.table["block"].tolist(), own.table["member"].tolist(), strict=True))
        assert len(set(pairs)) == len(pairs)

    def cut(text):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collect(config, GROUPS, COURSE, tmp_path / "cut.safetensors", told=cut)
    assert (tmp_path / "cut.safetensors.parts" / "000000.safetensors").exists()
    collect(config, GROUPS, COURSE, tmp_path / "cut.safetensors", 1, told=lambda text: None)
    assert (tmp_path / "cut.safetensors").read_bytes() == (tmp_path / "whole.safetensors").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"cut.safetensors", "whole.safetensors"}
