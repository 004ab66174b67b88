"""The main job's weights are what neat-python's own network answers, asked for one connection at a time."""

import neat
import pytest
import torch

from hyperevo.config import load_config
from hyperevo.encodings import build_encoding
from hyperevo.geometry import Sheet
from hyperevo.search._neat_genomes import graph_from_genome
from hyperevo.search.neat import build
from hyperevo.targets.mlp import build as build_target

CONNECTIONS = 400


@pytest.mark.parametrize("overrides", [
    [], ["encoding.threshold=0.2", "encoding.delta=true", "encoding.distance=true", "encoding.link_expression=true"],
    ["encoding.patterns=[]", "encoding.outputs=shared", "search.separable=false"]])
def test_champion_equals_neat_python_queried_connection_by_connection(overrides):
    if "encoding.threshold=0.2" in overrides:
        overrides = [*overrides, "search.separable=false"]
    config = load_config("cppn-mnist", [*overrides, "search.refine.rounds=2", "search.refine.population=4"]).config
    geometry = build_target(config.target, Sheet((28, 28)), 10).geometry
    encoding = build_encoding(config.encoding, geometry, torch.device("cpu"))
    search = build(config.search, encoding, 1)
    generator = torch.Generator().manual_seed(0)
    for _ in range(13):
        search.tell(torch.rand(len(search.ask()), generator=generator))
    genome = max(search.population.values(), key=lambda genome: len(genome.nodes))
    weights = encoding.express([graph_from_genome(genome, search.genome_config)]).network(0)
    network = neat.nn.FeedForwardNetwork.create(genome, search.config)
    settings = config.encoding
    for name, parameter in geometry.items():
        patterned = name in settings.patterns
        source = parameter.source.places if parameter.source else torch.zeros(1, 2, dtype=torch.float64)
        target = torch.zeros(parameter.target.units, 2, dtype=torch.float64) if patterned else parameter.target.places
        count = parameter.size
        for flat in torch.randint(count, (min(CONNECTIONS, count),), generator=generator).tolist():
            unit, origin = divmod(flat, len(source))
            (x1, y1), (x2, y2) = source[origin].tolist(), target[unit].tolist()
            inputs = {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "one": 1.0, "dx": x1 - x2, "dy": y1 - y2,
                      "distance": ((x1 - x2) ** 2 + (y1 - y2) ** 2) ** 0.5}
            outputs = dict(zip(encoding.output_names,
                               network.activate([inputs[given] for given in encoding.input_names]), strict=True))
            kind = "weight" if parameter.source else "bias"
            label = f"{name}[{unit}]" if patterned else name if settings.outputs == "per-layer" else kind
            output = outputs[label]
            size = max(0.0, abs(output) - settings.threshold) / (1 - settings.threshold) * settings.maximum_weight
            expected = size if output > 0 else -size
            if settings.link_expression and parameter.source and outputs[f"{label} expressed"] <= 0:
                expected = 0.0
            assert float(weights[name].flatten()[flat]) == pytest.approx(expected, abs=1e-5)
