"""TensorNEAT's HyperNEAT on 784-256-10 and 1,000 images: microseconds a network, as JSON; started by `gpu.py`."""

import json
import statistics
import sys
import time

import jax
from tensorneat.algorithm.hyperneat import HyperNEAT, MLPSubstrate
from tensorneat.algorithm.neat import NEAT
from tensorneat.common import ACT
from tensorneat.genome import DefaultGenome

LAYERS, IMAGES, STEPS = (785, 256, 10), 1000, 3
"""Units of each layer, a bias among the inputs; images; and updates until the outputs have heard of the inputs."""


def main() -> None:
    size = int(sys.argv[1])
    genome = DefaultGenome(num_inputs=4, num_outputs=1, max_nodes=20, max_conns=50, init_hidden_layers=(8,),
                           output_transform=ACT.tanh)
    neat = NEAT(pop_size=size, genome=genome, species_size=1)
    algorithm = HyperNEAT(substrate=MLPSubstrate(layers=list(LAYERS)), neat=neat, activation=ACT.tanh,
                          activate_time=STEPS, output_transform=ACT.identity)
    state = algorithm.setup()
    images = jax.random.uniform(jax.random.PRNGKey(0), (IMAGES, LAYERS[0] - 1))

    @jax.jit
    def fitness(state, population):
        def of_one(individual):
            network = algorithm.transform(state, individual)
            return jax.lax.map(lambda image: algorithm.forward(state, network, image), images, batch_size=100).mean()

        return jax.lax.map(of_one, population)

    population = algorithm.ask(state)
    fitness(state, population).block_until_ready()
    spent = []
    for _ in range(3):
        begun = time.perf_counter()
        fitness(state, population).block_until_ready()
        spent.append(time.perf_counter() - begun)
    print(json.dumps(1e6 * statistics.median(spent) / size))


if __name__ == "__main__":
    main()
