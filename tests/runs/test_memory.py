"""What a config would take is reckoned before it is taken, and settings have bounds."""

import pytest

from hyperevo.components import LARGEST, component_names, find_component
from hyperevo.config import load_config
from hyperevo.errors import UserError
from hyperevo.runs import create_run

DIGITS = ["task.name=digits", "task.images=30", "target.hidden=[[3,3]]"]


@pytest.mark.parametrize(("config", "overrides", "message"), [
    ("dct-mnist", [*DIGITS, "search.population=2000000000"], r"search snes: a population of genotypes of [\d,]+ genes "
                                                             r"takes [\d,]+ GB, and this machine has"),
    ("direct-mnist", [*DIGITS[:2], "target.hidden=[[100000,100000]]"], r"target mlp: one network of [\d,]+ weights "
                                                                       r"takes [\d,]+ GB"),
    ("cppn-mnist", [*DIGITS, "search.population=2000000000"], r"search neat: a population of graphs takes [\d,]+ GB"),
    ("dct-mnist", [*DIGITS, "search={name='gradient', population=2000000000}"], "a population of genotypes of"),
])
def test_what_does_not_fit_is_one_line_with_gigabytes(config, overrides, message, tmp_path):
    with pytest.raises(UserError, match=message):
        create_run(load_config(config, overrides).config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("override", [
    "search.population=4294967296", "search.population=1000000000000000000", "threads=1000000", "run.seconds=inf",
    "run.until=nan", "run.rounds=2147483648", "run.filmstrip=1001", "task.pad=100000", "search.deviation=1e39",
    "search={name='gradient', steps_per_round=1000000000}", "search={name='gradient', steps=[[1, 1e300]]}"])
def test_numbers_beyond_their_bounds_are_refused_by_key(override):
    key = override.partition("=")[0]
    with pytest.raises(UserError, match=rf"command line: {key}"):
        load_config("dct-mnist", [override])


@pytest.mark.parametrize("kind", ["task", "target", "encoding", "search"])
def test_no_number_is_without_bounds(kind):
    for name in component_names(kind):
        settings = find_component(kind, name).settings
        numbers = [key for key, info in settings.model_fields.items()
                   if isinstance(info.default, int) and not isinstance(info.default, bool)]
        for key in numbers:
            with pytest.raises(ValueError, match=key):
                settings(**{key: LARGEST + 1})


@pytest.mark.parametrize(("config", "override"), [("food", "task.retests=[0]"), ("boxes", "task.retests=[1100]")])
def test_what_would_fail_at_the_end_is_refused_at_the_start(config, override):
    with pytest.raises(UserError, match="command line: task.retests"):
        load_config(config, [override])
