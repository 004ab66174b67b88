"""The wide residual network: its parameters add up to the paper's, and the hypernetwork's to those derived from it."""

import pytest
import torch

from hyperevo.config import load_config
from hyperevo.encodings import build_encoding
from hyperevo.encodings.embedding import Settings as EmbeddingSettings
from hyperevo.geometry import Sheet
from hyperevo.runs.compose import count_without_data
from hyperevo.targets.wide_resnet import Settings, WideResNet, build

COLOUR = Sheet((3, 32, 32))


def test_parameters_of_the_paper():
    assert sum(parameter.size for parameter in build(Settings(), COLOUR, 10).geometry.values()) == 563_898
    assert sum(parameter.size for parameter in build(Settings(width=2), COLOUR, 10).geometry.values()) == 2_243_514


@pytest.mark.parametrize(("name", "encoded", "direct", "generated"), [
    ("wrn-40-1", 0, 563_898, 0), ("wrn-40-1-hyper", 91_408, 6_330, 557_568),
    ("wrn-40-2-hyper", 137_744, 17_850, 2_225_664), ("static-mnist", 4_244, 8_666, 12_544),
    ("appendix-a1", 801, 2_826, 200_704)])
def test_genes_of_the_configs(name, encoded, direct, generated):
    counts = count_without_data(load_config(name).config)
    assert counts == {"encoded_genes": encoded, "direct_parameters": direct, "generated_weights": generated}


@pytest.mark.parametrize(("name", "total"), [("wrn-40-1", 563_898), ("wrn-40-1-hyper", 97_738),
                                             ("wrn-40-2-hyper", 155_594)])
def test_searched_numbers_of_the_configs(name, total):
    counts = count_without_data(load_config(name).config)
    assert counts["encoded_genes"] + counts["direct_parameters"] == total


def test_a_block_is_norm_relu_convolution_twice_and_what_came_in():
    module = WideResNet(16, 1, 3, 10)
    images = torch.randn(2, 3, 8, 8)
    maps = module.conv1(images)
    for group, stride in ((module.conv2, 1), (module.conv3, 2), (module.conv4, 2)):
        for place, block in enumerate(group):
            ready = maps if group is module.conv2 and place == 0 else torch.relu(block.norm1[0](maps))
            middle = torch.nn.functional.conv2d(ready, block.kernel1.weight, padding=1,
                                                stride=1 if place else stride)
            past = maps if block.shortcut is None else block.shortcut(ready)
            maps = past + block.kernel2(torch.relu(block.norm2[0](middle)))
    expected = module.readout(torch.relu(module.norm[0](maps)).mean((2, 3)))
    torch.testing.assert_close(module(images), expected)


def test_a_hypernetwork_makes_36_kernels_of_242_tiles():
    target = build(Settings(), COLOUR, 10)
    settings = EmbeddingSettings(direct=("conv1.*", "*.shortcut.*", "readout.*"))
    encoding = build_encoding(settings, target.geometry, torch.device("cpu")).inner
    assert len(encoding.geometry) == 36
    assert encoding.generators[0].parts["embeddings"] == (242, 64)
    weights = encoding.express(encoding.sample(1, torch.Generator().manual_seed(0)))
    assert weights["conv4.5.kernel2.weight"].shape == (1, 64, 64 * 9)


def test_depths_without_whole_blocks_are_refused():
    with pytest.raises(ValueError, match="6 n"):
        Settings(depth=41)
