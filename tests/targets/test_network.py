"""Networks that are graphs: all at once against neat-python's own, one by one."""

import random
from functools import cache

import neat
import pytest
import torch
from neat.genome import DefaultGenome

from hyperevo.encodings.network import NetworkEncoding
from hyperevo.encodings.network import Settings as EncodingSettings
from hyperevo.functions import ACTIVATIONS, AGGREGATIONS
from hyperevo.geometry import NETWORK, Sheet
from hyperevo.search._neat_python import neat_config
from hyperevo.search._neat_table import tabled_graphs
from hyperevo.search.neat import Settings
from hyperevo.targets.network import NetworkTarget
from hyperevo.targets.network import Settings as TargetSettings

INPUTS, OUTPUTS, STEPS, GENOMES, EPISODES = 4, 3, 50, 500, 2

EVERY = Settings(functions=tuple(ACTIVATIONS), aggregations=tuple(AGGREGATIONS), output_function=None, hidden=3,
                 deviation=1.0, add_node=0.6, add_link=0.9, delete_node=0.05, delete_link=0.15, toggle_rate=0.1,
                 aggregation_rate=0.3, function_rate=0.3, replace_rate=0.1, connection="partial_direct", connected=0.5,
                 population=2)


@cache
def genomes(recurrent: bool) -> tuple[list[DefaultGenome], neat.Config]:
    """Genomes after 0 to 11 of neat-python's own mutations, half of them with responses other than 1."""
    config, before = neat_config(EVERY, INPUTS, OUTPUTS, recurrent), random.getstate()
    random.seed(recurrent)
    config.genome_config.innovation_tracker = neat.innovation.InnovationTracker()
    made = []
    for key in range(GENOMES):
        genome = DefaultGenome(key)
        genome.configure_new(config.genome_config)
        for _ in range(key % 12):
            genome.mutate(config.genome_config)
        for node in genome.nodes.values():
            node.response = random.gauss(1, 0.5) if key % 2 else 1.0
        made.append(genome)
    random.setstate(before)
    return made, config


def parts(recurrent: bool, steps: int = 10) -> tuple[NetworkEncoding, NetworkTarget]:
    target = NetworkTarget(TargetSettings(steps=steps), Sheet((INPUTS,)), OUTPUTS)
    return NetworkEncoding(EncodingSettings(recurrent=recurrent), target.geometry[NETWORK]), target


def observations() -> torch.Tensor:
    """Inputs (steps, P, episodes, inputs), other ones for every network, episode and step."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(STEPS, GENOMES, EPISODES, INPUTS, generator=generator, dtype=torch.float64)


def answers_of_neat_python(recurrent: bool) -> torch.Tensor:
    """Outputs (steps, P, outputs) of the first episodes; infinite after a network overflowed, where Python raises."""
    made, config = genomes(recurrent)
    answers = [[[torch.inf] * OUTPUTS for _ in range(STEPS)] for _ in made]
    kind = neat.nn.RecurrentNetwork if recurrent else neat.nn.FeedForwardNetwork
    shown = observations()[:, :, 0].transpose(0, 1).tolist()
    for number, genome in enumerate(made):
        network = kind.create(genome, config)
        for step, inputs in enumerate(shown[number]):
            try:
                answers[number][step] = network.activate(inputs)
            except OverflowError:
                break
    return torch.tensor(answers, dtype=torch.float64).transpose(0, 1)


@torch.no_grad()
def played(encoding: NetworkEncoding, target: NetworkTarget, graphs, dtype=torch.float64,
           inputs: torch.Tensor | None = None) -> torch.Tensor:
    """Outputs (steps, P, episodes, outputs) of all networks at once."""
    weights, answers = encoding.express(graphs, dtype), []
    shown = (observations() if inputs is None else inputs).to(dtype)
    state = target.initial(len(graphs), EPISODES, shown)
    for own in shown[:, : len(graphs)]:
        state, outputs = target.step(weights, state, own)
        answers.append(outputs)
    return torch.stack(answers)


@pytest.mark.parametrize("recurrent", [False, True])
def test_all_networks_at_once_equal_neat_pythons_step_by_step(recurrent):
    made, config = genomes(recurrent)
    encoding, target = parts(recurrent)
    graphs, theirs = tabled_graphs(made, config.genome_config), answers_of_neat_python(recurrent)
    ours = played(encoding, target, graphs)[:, :, 0]
    # Towers of exp and cube overflow; some recurrent networks are chaotic, and blow up any rounding in time.
    comparable = (theirs.isfinite() & (theirs.abs() < 1e6)).all(2).long().cumprod(0).bool()
    assert comparable.float().mean() > 0.85 and theirs[comparable].std() > 0.1
    scale = theirs.abs().clamp(min=1)
    shaken = played(encoding, target, graphs, inputs=observations() * (1 + 1e-13))[:, :, 0]
    calm = ((shaken - ours).abs() < 1e-9 * scale).all(2).long().cumprod(0).bool() | (torch.arange(STEPS) < 5)[:, None]
    assert calm.float().mean() > 0.85
    assert float(((ours - theirs).abs() / scale).amax(2)[comparable & calm].max()) < 1e-5
    used = {node.activation for genome in made for node in genome.nodes.values()}
    assert used == set(ACTIVATIONS)
