"""
Moving over from neat-python
============================

A project of neat-python moves over with its INI file and its ``eval_genomes`` as they are.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import neat

import hyperevo as he

NUMBERS = {"bias": (0.0, 1.0, 0.5, 0.7, 0.1), "response": (1.0, 0.0, 0.0, 0.0, 0.0),
           "weight": (0.0, 1.0, 0.5, 0.8, 0.1)}
GENES = "".join(f"""{name}_init_mean = {mean}
{name}_init_stdev = {deviation}
{name}_init_type = gaussian
{name}_max_value = 30.0
{name}_min_value = -30.0
{name}_mutate_power = {power}
{name}_mutate_rate = {mutated}
{name}_replace_rate = {replaced}
""" for name, (mean, deviation, power, mutated, replaced) in NUMBERS.items())
INI = f"""[NEAT]
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
XOR = {(0.0, 0.0): 0.0, (0.0, 1.0): 1.0, (1.0, 0.0): 1.0, (1.0, 1.0): 0.0}


def eval_genomes(genomes, config):
    for _, genome in genomes:
        network = neat.nn.FeedForwardNetwork.create(genome, config)
        genome.fitness = 4.0 - sum((network.activate(bits)[0] - odd) ** 2 for bits, odd in XOR.items())


folder = tempfile.TemporaryDirectory()
ini = str(Path(folder.name) / "config-feedforward")
Path(ini).write_text(INI)
task = he.task(genomes=eval_genomes, ini=ini)
print(task)

# %%
# Instead of ``neat.Population(config).run(eval_genomes)``. ``refine`` would let an evolution strategy refine
# the best genomes' numbers in between, which neat-python does not do.

search, best = he.search("neat", task, ini=ini, refine={"rounds": 0}), []
while not best or (best[-1] < task.config.fitness_threshold and len(best) < 300):
    fitness = task.judge(search.ask())
    search.tell(fitness)
    best.append(float(fitness.max()))
winner = task.genome(search.candidates()[0])
network = neat.nn.FeedForwardNetwork.create(winner, task.config)
print(f"{len(best)} generations:", {bits: round(network.activate(bits)[0], 2) for bits in XOR})

# %%
# The winner is a genome of neat-python's, with its nodes and connections.

figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
axes.plot(best)
axes.axhline(task.config.fitness_threshold, color="#666666", linestyle="--")
axes.set(xlabel="generation", ylabel="best fitness", title="XOR by search neat, threshold dashed")
print(winner)
folder.cleanup()
