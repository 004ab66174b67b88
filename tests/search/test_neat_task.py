"""A neat-python project moves over: its INI file and its evaluation, as they are, under search neat."""

import random

import neat
import pytest
import torch

import hyperevo as he
from hyperevo.abilities import PaintsGraphs
from hyperevo.errors import UserError
from hyperevo.parts import Task
from hyperevo.runs.compose import build_search
from hyperevo.search._neat_task import GenomeTask
from hyperevo.search.neat import Settings

NUMBERS = {"bias": (0.0, 1.0, 30.0, 0.5, 0.7, 0.1), "response": (1.0, 0.0, 30.0, 0.0, 0.0, 0.0),
           "weight": (0.0, 1.0, 30.0, 0.5, 0.8, 0.1)}
GENES = "".join(f"{name}_init_mean = {mean}\n{name}_init_stdev = {stdev}\n{name}_init_type = gaussian\n"
                f"{name}_max_value = {most}\n{name}_min_value = -{most}\n{name}_mutate_power = {power}\n"
                f"{name}_mutate_rate = {mutated}\n{name}_replace_rate = {replaced}\n"
                for name, (mean, stdev, most, power, mutated, replaced) in NUMBERS.items())
XOR = f"""[NEAT]
fitness_criterion = max
fitness_threshold = 3.9
pop_size = 150
reset_on_extinction = False
no_fitness_termination = False

[DefaultGenome]
num_inputs = 2
num_outputs = 1
num_hidden = 0
feed_forward = True
initial_connection = full
activation_default = sigmoid
activation_options = sigmoid
activation_mutate_rate = 0.0
aggregation_default = sum
aggregation_options = sum
aggregation_mutate_rate = 0.0
compatibility_disjoint_coefficient = 1.0
compatibility_weight_coefficient = 0.5
conn_add_prob = 0.5
conn_delete_prob = 0.5
node_add_prob = 0.2
node_delete_prob = 0.2
enabled_default = True
enabled_mutate_rate = 0.01
enabled_rate_to_true_add = 0.0
enabled_rate_to_false_add = 0.0
single_structural_mutation = false
structural_mutation_surer = default
{GENES}
[DefaultSpeciesSet]
compatibility_threshold = 3.0

[DefaultStagnation]
species_fitness_func = max
max_stagnation = 20
species_elitism = 2

[DefaultReproduction]
elitism = 2
survival_threshold = 0.2
min_species_size = 2
"""
"""The settings of neat-python's XOR example."""

TRUTH = {(0.0, 0.0): 0.0, (0.0, 1.0): 1.0, (1.0, 0.0): 1.0, (1.0, 1.0): 0.0}


def eval_genomes(genomes, config):
    """As a project of neat-python has it: 4 less the squared errors."""
    for _, genome in genomes:
        network = neat.nn.FeedForwardNetwork.create(genome, config)
        genome.fitness = 4.0 - sum((network.activate(bits)[0] - odd) ** 2 for bits, odd in TRUTH.items())


@pytest.fixture
def ini(tmp_path):
    path = tmp_path / "config-feedforward"
    path.write_text(XOR)
    return str(path)


def search_for(task, ini, **options):
    return build_search(Settings(ini=ini, **options), task, 0)


def test_xor_is_solved_with_its_own_files(ini):
    task = he.task(genomes=eval_genomes, ini=ini)
    search = he.search("neat", task, ini=ini, refine={"rounds": 0})
    for _ in range(150):
        fitness = task.judge(search.ask())
        search.tell(fitness)
        if fitness.max() >= task.config.fitness_threshold:
            break
    winner = task.genome(search.candidates()[0])
    network = neat.nn.FeedForwardNetwork.create(winner, task.config)
    assert [round(network.activate(bits)[0]) for bits in TRUTH] == list(TRUTH.values())
    assert any(key not in (0,) for key in winner.nodes)  # no network without a hidden node can


def test_genomes_are_judged_as_those_of_the_population_and_refined_ones_too(ini):
    task, phases = GenomeTask(eval_genomes, ini), set()
    search = search_for(task, ini, refine={"rounds": 2, "population": 6, "champions": 1})
    state = random.getstate()
    for _ in range(8):
        fitness = task.judge(search.ask())
        phases.add(search.phase)
        if search.phase == 0:
            own = list(search.population.items())
            eval_genomes(own, search.config)
            assert fitness.tolist() == pytest.approx([genome.fitness for _, genome in own], rel=1e-9)
        search.tell(fitness)
    assert phases == {0, 1} and random.getstate() == state


def test_the_task_says_what_it_is_and_stands_in_for_the_encoding(ini, caplog):
    caplog.set_level("INFO")
    task = GenomeTask(eval_genomes, ini)
    assert "slow" in caplog.text and isinstance(task, Task)
    assert isinstance(task, PaintsGraphs)
    assert (task.inputs.units, task.outputs, len(task.input_names), len(task.output_names)) == (2, 1, 2, 1)
    with pytest.raises(UserError, match="genomes are judged as they are, by task.judge"):
        task.fitness(torch.zeros(1, 4, 1), torch.zeros(4))


def test_a_genome_without_fitness_and_a_faulty_file_are_one_line(ini, tmp_path):
    def forget_one(genomes, config):
        eval_genomes(genomes[1:], config)

    search = search_for(GenomeTask(eval_genomes, ini), ini)
    with pytest.raises(UserError, match="task.genomes: the fitness of genome 1 is None, and a number is wanted"):
        GenomeTask(forget_one, ini).judge(search.ask())
    with pytest.raises(UserError, match="none: cannot be read: No such file"):
        GenomeTask(eval_genomes, str(tmp_path / "none"))
    (tmp_path / "bad").write_text(XOR.replace("pop_size = 150", ""))
    with pytest.raises(UserError, match="task.ini: .*bad: .*pop_size"):
        GenomeTask(eval_genomes, str(tmp_path / "bad"))
