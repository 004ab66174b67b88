"""What a config would take is reckoned before it is taken, and settings have bounds."""

import pytest
from pydantic import ValidationError

from hyperevo.components import LARGEST, component_names, find_component
from hyperevo.config import RunConfig, load_config
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
    "search.deviation=1e-40",
    "search={name='gradient', steps_per_round=1000000000}", "search={name='gradient', steps=[[1, 1e300]]}"])
def test_numbers_beyond_their_bounds_are_refused_by_key(override):
    key = override.partition("=")[0]
    with pytest.raises(UserError, match=rf"command line: {key}"):
        load_config("dct-mnist", [override])


def number_fields(settings):
    """(model, key, JSON schema of one of its numbers) for every number in settings and the tables in them."""
    schema = settings.model_json_schema()
    for own in [schema, *schema.get("$defs", {}).values()]:
        for key, found in own.get("properties", {}).items():
            yield from ((own.get("title"), key, number) for number in numbers_in(found))


def numbers_in(schema):
    if schema.get("type") in ("number", "integer"):
        yield schema
    for inner in [*schema.get("anyOf", []), *schema.get("prefixItems", []),
                  *([schema["items"]] if isinstance(schema.get("items"), dict) else [])]:
        yield from numbers_in(inner)


ALL_SETTINGS = {f"{kind} {name}": find_component(kind, name).settings
                for kind in ("task", "target", "encoding", "search") for name in component_names(kind)}


@pytest.mark.parametrize("name", [*ALL_SETTINGS, "run"])
def test_no_number_is_without_bounds(name):
    for model, key, schema in number_fields(ALL_SETTINGS.get(name, RunConfig)):
        low = {"minimum", "exclusiveMinimum"} & schema.keys()
        high = {"maximum", "exclusiveMaximum"} & schema.keys()
        if schema["type"] == "number" and not (low and high):  # a share, or else a path
            for value in (0, 1, 1e6):
                with pytest.raises(ValidationError, match="a share lies between 0 and 1"):
                    ALL_SETTINGS[name](**{key: value})
        assert all(abs(schema[bound]) <= 1e12 for bound in low | high) or model == "RunSettings", (model, key)


@pytest.mark.parametrize("name", ALL_SETTINGS)
@pytest.mark.parametrize("value", [LARGEST + 1, -LARGEST - 2, 1e39, -1e300, float("nan"), float("inf")])
def test_no_setting_takes_a_number_beyond_all_bounds(name, value):
    settings = ALL_SETTINGS[name]
    for key in settings.model_fields:
        for given in (value, [value], [[value, value]], {"key": value}):
            with pytest.raises(ValidationError) as caught:
                settings(**{key: given})
            assert key in [error["loc"][0] for error in caught.value.errors()]


@pytest.mark.parametrize(("config", "override"), [("food", "task.retests=[0]"), ("boxes", "task.retests=[1100]")])
def test_what_would_fail_at_the_end_is_refused_at_the_start(config, override):
    with pytest.raises(UserError, match="command line: task.retests"):
        load_config(config, [override])
