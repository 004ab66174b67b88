"""A replaced target, and what the file says of the old one's parameters elsewhere."""

import pytest

from hyperevo.config import config_text
from hyperevo.errors import UserError
from hyperevo.runs.compose import count_without_data
from hyperevo.runs.load import load_fitting


@pytest.mark.parametrize("target", ["target={name='mlp'}", "target.name=mlp"])
def test_names_of_parameters_that_the_new_target_has_not_are_left_out(target):
    loaded = load_fitting("static-mnist", [target])
    assert loaded.config.encoding.direct == ("readout.weight",)
    assert loaded.notes[-1] == "target.name=mlp has none of convolution1.weight, which static-mnist.toml gives in " \
                               "encoding.direct"
    assert count_without_data(loaded.config)["direct_parameters"] > 0


def test_patterns_that_no_parameter_has_are_as_if_they_were_not_given(tmp_path):
    loaded = load_fitting("cppn-mnist", ["target={name='substrate'}", "encoding.maximum_weight=1"])
    assert loaded.config.encoding.patterns == () and "encoding.patterns" not in loaded.origins
    assert loaded.origins["encoding.maximum_weight"] == "command line"
    (tmp_path / "mine.toml").write_text(config_text(loaded.config))
    assert load_fitting(str(tmp_path / "mine.toml")).config == loaded.config


def test_what_fits_stays_as_it_is():
    loaded = load_fitting("cppn-mnist", ["target={name='convnet'}"])
    assert loaded.config.encoding.patterns == ("readout.weight",) and loaded.notes == ()
    assert load_fitting("embedding-mnist", ["target={name='convnet'}"]).config.encoding.direct == ("*.bias",)


def test_what_the_command_line_names_is_never_left_out():
    loaded = load_fitting("static-mnist", ["target={name='mlp'}", "encoding.direct=['convolution1.weight']"])
    assert loaded.config.encoding.direct == ("convolution1.weight",)
    with pytest.raises(UserError, match="encoding.direct: the target has no parameter 'convolution1.weight'"):
        count_without_data(loaded.config)


def test_a_target_that_does_not_fit_the_task_is_one_line():
    with pytest.raises(UserError, match="wide-resnet needs images"):
        load_fitting("static-mnist", ["task={name='control'}", "target={name='wide-resnet'}"])
