"""Networks that are graphs: all at once against neat-python's own, one by one."""

import copy
import random
from functools import cache

import neat
import numpy as np
import pytest
import torch
from neat.genome import DefaultGenome

from hyperevo.config import load_config
from hyperevo.control import _rollout, environment, film, rollout, wobbling_rollout
from hyperevo.encodings import _table
from hyperevo.encodings.network import NetworkEncoding
from hyperevo.encodings.network import Settings as EncodingSettings
from hyperevo.errors import UserError
from hyperevo.functions import ACTIVATIONS, AGGREGATIONS
from hyperevo.genotypes import pack_genotype, unpack_genotype
from hyperevo.geometry import NETWORK, Sheet
from hyperevo.plots.activity import activity_figure, activity_in_episode
from hyperevo.runs import create_run, execute, open_run
from hyperevo.search._neat_python import neat_config
from hyperevo.search._neat_refine import RefineSettings
from hyperevo.search._neat_table import tabled_graphs
from hyperevo.search.neat import NeatSearch, Settings
from hyperevo.targets.network import NetworkTarget
from hyperevo.targets.network import Settings as TargetSettings
from hyperevo.tasks import control
from hyperevo.weights import Weights

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


class FullRate(neat.ctrnn.CTRNN):
    """neat-python's CTRNN, but nodes go on from their last values instead of those two steps before, and outputs are
    those after a step instead of those before it."""

    def advance(self, inputs, advance_time, time_step=None):
        before = {**self.values[0], **dict(zip(self.input_nodes, inputs, strict=True))}
        after = dict(before)
        for key, node in self.node_evals.items():
            received = node.aggregation([before[source] * weight for source, weight in node.links])
            wanted = node.activation(node.bias + node.response * received)
            after[key] += advance_time / node.time_constant * (wanted - before[key])
        self.values[0] = after
        return [after[key] for key in self.output_nodes]


def continuous_parts(step_seconds: float) -> tuple[NetworkEncoding, NetworkTarget]:
    target = NetworkTarget(TargetSettings(step_seconds=step_seconds), Sheet((INPUTS,)), OUTPUTS)
    return NetworkEncoding(EncodingSettings(recurrent=True, continuous=True), target.geometry[NETWORK]), target


def timed_genomes(count: int) -> tuple[list[DefaultGenome], neat.Config]:
    """Recurrent genomes with time constants, and their config for networks in continuous time."""
    made, config = copy.deepcopy(genomes(True))
    draw = random.Random(0)
    for genome in made[:count]:
        for node in genome.nodes.values():
            node.time_constant = draw.uniform(0.04, 1)
    config.genome_config.continuous = True
    return made[:count], config


def test_networks_in_continuous_time_equal_neat_pythons_without_its_half_rate():
    made, config = timed_genomes(300)
    encoding, target = continuous_parts(0.05)
    graphs = tabled_graphs(made, config.genome_config)
    ours = played(encoding, target, graphs, inputs=observations()[:, :300])[:, :, 0]
    theirs = torch.full_like(ours, torch.inf)
    for number, genome in enumerate(made):
        network = neat.ctrnn.CTRNN.create(genome, config)
        for step, inputs in enumerate(observations()[:, number, 0].tolist()):
            try:
                theirs[step, number] = torch.tensor(FullRate.advance(network, inputs, 0.05), dtype=torch.float64)
            except OverflowError:
                break
    comparable = (theirs.isfinite() & (theirs.abs() < 1e6)).all(2).long().cumprod(0).bool()
    assert comparable.float().mean() > 0.85 and theirs[comparable].std() > 0.1
    assert float(((ours - theirs).abs() / theirs.abs().clamp(min=1)).amax(2)[comparable].max()) < 1e-5
    read = [unpack_genotype(*pack_genotype(graph)) for graph in list(graphs)]
    again = played(encoding, target, read, inputs=observations()[:5, :300])[:, :, 0]
    torch.testing.assert_close(again, ours[:5], rtol=1e-9, atol=1e-9, equal_nan=True)


def test_neat_pythons_own_ctrnn_takes_two_steps_for_one():
    made, config = timed_genomes(1)
    genome = made[0]
    genome.connections = {key: link for key, link in genome.connections.items() if key[0] < 0 <= key[1] < OUTPUTS}
    encoding, target = continuous_parts(0.05)
    shown = observations()[:1, :1].expand(20, -1, -1, -1)
    ours = played(encoding, target, tabled_graphs([genome], config.genome_config), inputs=shown)[:, 0, 0]
    network = neat.ctrnn.CTRNN.create(genome, config)
    theirs = [network.advance(shown[0, 0, 0].tolist(), 0.05, 0.05) for _ in range(40)]
    torch.testing.assert_close(torch.tensor(theirs[1::2], dtype=torch.float64), ours)
    assert ours.std() > 0.01


@pytest.mark.parametrize("kind", [False, True, "continuous"])
def test_networks_in_arrays_answer_as_step_does(kind):
    recurrent = bool(kind)
    made, config = timed_genomes(GENOMES) if kind == "continuous" else genomes(recurrent)
    encoding, target = continuous_parts(0.05) if kind == "continuous" else parts(recurrent)
    shown = observations()[:6]
    expected = played(encoding, target, tabled_graphs(made, config.genome_config), inputs=shown)
    with torch.no_grad(), np.errstate(all="ignore"):
        weights = encoding.express(tabled_graphs(made, config.genome_config), torch.float64)
        state = target.initial(len(made), EPISODES, shown)
        for pair, answers in zip(shown.split(2), expected.split(2), strict=True):
            acting = target.in_arrays(weights, state)
            for own, answer in zip(pair, answers, strict=True):
                outputs = torch.from_numpy(acting(own.movedim(-1, 0).numpy())).movedim(0, -1)
                assert torch.equal(outputs.nan_to_num(), answer.nan_to_num())
            state = acting.memory()
    assert state.shape[1] > 0 if recurrent else state.shape[1] == 0
    assert target.in_arrays(weights, state) is None  # while gradients are wanted


@pytest.mark.parametrize("name", ["cartpole", "double-pole", "double-pole-hidden-velocities"])
@pytest.mark.parametrize("recurrent", [False, True])
def test_episodes_by_arrays_are_those_by_tensors(recurrent, name, monkeypatch):
    monkeypatch.setattr(_rollout, "LAST", 7)
    own = environment(name)
    target = NetworkTarget(TargetSettings(), Sheet((own.OBSERVATIONS,)), own.OUTPUTS)
    encoding = NetworkEncoding(EncodingSettings(recurrent=recurrent), target.geometry[NETWORK])
    search = NeatSearch(EVERY.model_copy(update={"population": 150, "functions": ("tanh", "sigmoid", "gauss")}),
                        encoding.input_names, encoding.output_names, 3, [], recurrent)
    weights = encoding.express(search.ask(), torch.float64)
    starts = own.reset(3, torch.Generator().manual_seed(0)).double()
    play = rollout if own.wobble is None else wobbling_rollout
    by_arrays = play(own, target, weights, starts, 300)
    monkeypatch.setattr(NetworkTarget, "in_arrays", lambda *_: None)
    by_tensors = play(own, target, weights, starts, 300)
    assert all(map(torch.equal, by_arrays[:2], by_tensors[:2]))
    torch.testing.assert_close(by_arrays[-1], by_tensors[-1])
    assert by_arrays[1].min() < 20 and len(by_arrays[1].unique()) > 15


@pytest.mark.parametrize("recurrent", [False, True])
def test_activity_is_that_of_every_step_of_an_episode(recurrent):
    task = control.build(control.Settings(environment="cartpole"), torch.device("cpu"))
    target = NetworkTarget(TargetSettings(), task.inputs, task.outputs)
    encoding = NetworkEncoding(EncodingSettings(recurrent=recurrent), target.geometry[NETWORK])
    search = NeatSearch(EVERY.model_copy(update={"population": 9, "functions": ("tanh", "gauss"), "hidden": 2}),
                        encoding.input_names, encoding.output_names, 1, [], recurrent)
    weights = encoding.express(search.ask()).networks(slice(4, 5))
    assert not target.activity(weights)[1].any()
    activity = activity_in_episode(task, target, weights, 0)
    start, _ = task._starts(1, 500, torch.Generator().manual_seed(0))
    states = [state for _, _, state, _ in film(task.environment, target, weights, start[0], 500)]
    assert torch.equal(activity.values[:, :4], torch.stack(states[:-1])) and len(states) > 5
    memory = target.initial(1, 1, start)
    with torch.no_grad():
        for state, row in zip(states, activity.values, strict=False):
            memory, outputs = target.step(weights, memory, state[None])
            assert torch.equal(outputs[0, 0], row[-2:])
    hidden = len(activity.names) - 6
    assert activity.kinds == (4, hidden, 2) and hidden > 0
    ticks = [label.get_text() for axes in activity_figure(activity, "run").axes for label in axes.get_yticklabels()]
    assert [name for name in ticks if name in activity.names] == activity.names


def smooth(population: int, recurrent: bool, continuous: bool = False) -> NeatSearch:
    """A search after some generations of random fitness whose networks amplify no rounding much."""
    settings = EVERY.model_copy(update={
        "functions": ("tanh", "sigmoid"), "aggregations": ("sum", "mean"), "population": population,
        "hidden": 2, "refine": RefineSettings(rounds=0)})
    search = NeatSearch(settings, ["a", "b", "c", "d"], ["e", "f", "g"], 0, [], recurrent, continuous)
    for generation in range(4):
        search.tell(torch.rand(population, generator=torch.Generator().manual_seed(generation)))
    return search


@pytest.mark.parametrize("recurrent", [False, True])
def test_a_network_computes_the_same_alone_and_beside_others_and_in_single_precision(recurrent):
    search, (encoding, target) = smooth(40, recurrent), parts(recurrent)
    graphs, shown = search.ask(), observations()[:5, :40]
    single, double = (played(encoding, target, graphs, dtype, shown) for dtype in (torch.float32, torch.float64))
    torch.testing.assert_close(single.double(), double, rtol=1e-3, atol=1e-3)
    for number in (0, 11, 39):
        alone = played(encoding, target, [graphs[number]], torch.float32, shown[:, number : number + 1])
        torch.testing.assert_close(alone[:, 0], single[:, number], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("recurrent", [False, True])
def test_a_table_of_genes_and_graphs_one_by_one_are_the_same_networks(recurrent):
    made, config = genomes(recurrent)
    encoding, target = parts(recurrent)
    tabled = tabled_graphs(made[:60], config.genome_config)
    graphs = list(tabled)
    read = [unpack_genotype(*pack_genotype(graph)) for graph in graphs]
    assert all(graph.topology.recurrent == recurrent for graph in read)
    first, *others = (played(encoding, target, own, inputs=observations()[:5]) for own in (tabled, graphs, read))
    for other in others:
        torch.testing.assert_close(first, other, rtol=1e-9, atol=1e-9, equal_nan=True)


@pytest.mark.parametrize("kind", [False, True, "continuous"])
def test_gradients_are_those_of_small_differences_and_module_and_examples_agree(kind):
    recurrent, continuous = bool(kind), kind == "continuous"
    search = smooth(6, recurrent, continuous)
    encoding, target = continuous_parts(0.05) if continuous else parts(recurrent, steps=3)
    weights, shown = encoding.express(search.ask(), torch.float64), observations()[0, :3, 0]
    numbers = {name: weights.tensor(name) for name in ("link.weight", "node.bias", "node.response")}

    def total(*own: torch.Tensor) -> torch.Tensor:
        return target.forward(Weights({**weights, **dict(zip(numbers, own, strict=True))}), shown)

    assert torch.autograd.gradcheck(total, [value.clone().requires_grad_() for value in numbers.values()])
    with torch.no_grad():
        outputs, each = target.forward(weights, shown), shown.expand(6, -1, -1)
        assert torch.equal(outputs, target.forward(weights, each))
        for number in range(6):
            module = target.module(weights.network(number))
            torch.testing.assert_close(module(shown), outputs[number])
        for wrong in (shown[:, :3], each[:, :, :2]):
            with pytest.raises(ValueError, match="networks read 4 values, not"):
                target.forward(weights, wrong)
        if not recurrent:
            state, acted = target.step(weights, target.initial(6, 3, shown), shown)
            assert state.shape == (6, 0, 3) and torch.equal(acted, outputs)


def test_equal_graphs_are_found_numbers_and_all():
    made, config = genomes(False)

    def changed(key, value):
        own = copy.deepcopy(made[7])
        setattr(next(iter(own.nodes.values())), key, value)
        return own

    moved = changed("bias", next(iter(made[7].nodes.values())).bias + 1e-12)
    # Alike in weights and biases, unlike in all else.
    unlike = changed("response", 0.5), changed("activation", "hat")
    own, places = _table.distinct(tabled_graphs([*made[5:9], made[6], moved, made[5], *unlike, made[9]],
                                                config.genome_config))
    assert places == [0, 1, 2, 3, 1, 4, 0, 5, 6, 7] and len(own) == 8
    graphs = tabled_graphs(made[5:9], config.genome_config)
    assert _table.distinct(graphs) == (graphs, [0, 1, 2, 3])


def test_many_examples_are_taken_in_pieces(monkeypatch):
    made, config = genomes(False)
    encoding, target = parts(False)
    weights, shown = encoding.express(tabled_graphs(made[:10], config.genome_config)), observations()[0, :, 0].float()
    with torch.no_grad():
        whole = target.forward(weights, shown)
        monkeypatch.setattr("hyperevo.targets.network.FEW_VALUES", 1000)
        torch.testing.assert_close(target.forward(weights, shown), whole, rtol=1e-4, atol=1e-4, equal_nan=True)


def test_numbers_that_changed_are_not_taken_from_the_cache():
    made, config = genomes(False)
    encoding, target = parts(False)
    graph = tabled_graphs(made[5:6], config.genome_config)
    weights, shown = encoding.express(graph), observations()[0, :4, 0].float()
    with torch.no_grad():
        before = target.forward(weights, shown)
        moved = Weights({**weights, "node.bias": weights.tensor("node.bias") + 1})
        assert not torch.equal(target.forward(moved, shown).nan_to_num(), before.nan_to_num())
        assert torch.equal(target.forward(weights, shown).nan_to_num(), before.nan_to_num())


POLES = ["task.most_steps=40", "search.refine={rounds=2, population=4}"]
SMALL = {"poles": ("double-pole-hidden-velocities-neat", POLES),
         "poles in continuous time": ("double-pole-hidden-velocities-neat", [*POLES, "encoding.continuous=true"]),
         "xor": ("xor-neat", ["search.learn={steps=2}"])}


@pytest.mark.parametrize("name", SMALL)
def test_a_run_that_was_cut_off_ends_with_the_same_bits(name, tmp_path, run_until):
    own, overrides = SMALL[name]
    config = load_config(own, [*overrides, "search.population=12", "run.rounds=5", "run.until=200000"]).config
    execute(create_run(config, tmp_path / "whole"))
    run_until(config, tmp_path / "cut", 3)
    execute(open_run(tmp_path / "cut"))
    for file in ("metrics.csv", "champion/state.json", "champion/weights.safetensors", "champion/tensors.safetensors"):
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "cut" / file).read_bytes()


def test_what_does_not_fit_is_one_line():
    for overrides, said in ((["target={name='mlp', hidden=[]}"], "needs target.name = network"),
                            (["target={name='substrate'}"], "needs target.name = network"),
                            (["encoding={name='es-hyperneat'}"], "needs target.name = substrate"),
                            (["encoding.continuous=true"], "continuous = true needs recurrent = true"),
                            (["search.separable=true"], "search.separable"),
                            (["search.locality=xy"], "search.locality"),
                            (["search={name='snes', population=10}"], "encoding network and search snes")):
        with pytest.raises(UserError, match=said) as caught:
            create_run(load_config("xor-neat", overrides).config, None)
        assert "\n" not in str(caught.value)
