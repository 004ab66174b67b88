"""TensorNEAT's evaluation of a NEAT generation in CartPole, as JSON: what `neat_cartpole.py` does here.

Started by `neat_cartpole.py --tensorneat`, in an environment with jax and TensorNEAT. Networks after generations of
random fitness, whose nodes and links are as many as there, act for 500 steps; nobody fails. Its tables have room for
the largest network and little more. Compiling is not counted.
"""

import json
import os
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np
from tensorneat.algorithm.neat import NEAT
from tensorneat.common import ACT, AGG, State
from tensorneat.genome import BiasNode, DefaultGenome, DefaultMutation, RecurrentGenome
from tensorneat.problem.rl.rl_jit import RLEnv

POPULATION, STEPS, GENERATIONS, TIMES = 1024, 500, 12, 5
NODES, LINKS = 12, 16
"""Room for nodes, four inputs among them, and for links: the largest networks have 11 and 14 where there is more."""


class CartPole(RLEnv):
    """CartPole without limits, in the equations of gymnasium's."""

    def env_reset(self, randkey):
        start = jax.random.uniform(randkey, (4,), minval=-0.05, maxval=0.05)
        return start, start

    def env_step(self, randkey, env_state, action):
        place, speed, angle, turn = env_state
        force = jnp.where(action == 1, 10.0, -10.0)
        push = (force + 0.05 * turn**2 * jnp.sin(angle)) / 1.1
        bend = (9.8 * jnp.sin(angle) - jnp.cos(angle) * push) / (0.5 * (4 / 3 - 0.1 * jnp.cos(angle) ** 2 / 1.1))
        pull = push - 0.05 * bend * jnp.cos(angle) / 1.1
        moved = env_state + 0.02 * jnp.stack([speed, pull, turn, bend])
        # A failure that never comes, but that XLA cannot know of: without one it leaves out the whole movement.
        return moved, moved, 1.0, jnp.isnan(moved[2]), {}


def measured(kind, **options):
    """Sizes of the networks, and median seconds of the clock and of the processor for a generation."""
    genome = kind(num_inputs=4, num_outputs=2, max_nodes=NODES, max_conns=LINKS,
                  node_gene=BiasNode(activation_options=ACT.tanh, aggregation_options=AGG.sum),
                  mutation=DefaultMutation(conn_add=0.1, conn_delete=0.03, node_add=0.12, node_delete=0.01),
                  output_transform=jnp.argmax, **options)
    algorithm, problem = NEAT(pop_size=POPULATION, species_size=20, genome=genome), CartPole(max_step=STEPS)
    state = algorithm.setup(State(randkey=jax.random.PRNGKey(0)))
    ask, tell = jax.jit(algorithm.ask), jax.jit(algorithm.tell)
    for generation in range(GENERATIONS):
        ask(state)
        state = tell(state, jax.random.uniform(jax.random.PRNGKey(generation), (POPULATION,)))

    @jax.jit
    def fitness(state, population, keys):
        networks = jax.vmap(algorithm.transform, in_axes=(None, 0))(state, population)
        return jax.vmap(problem.evaluate, in_axes=(None, 0, None, 0))(state, keys, algorithm.forward, networks)

    population, keys = ask(state), jax.random.split(jax.random.PRNGKey(0), POPULATION)
    assert bool((fitness(state, population, keys) == STEPS).all())
    clock, processor = [], []
    for _ in range(TIMES):
        begun = time.perf_counter(), time.process_time()
        fitness(state, population, keys).block_until_ready()
        clock.append(time.perf_counter() - begun[0])
        processor.append(time.process_time() - begun[1])
    nodes, links = (np.isfinite(np.asarray(part)[..., 0]).sum(1) for part in population)
    return {"mean_nodes": float(nodes.mean()) - 4, "mean_links": float(links.mean()), "largest_nodes": int(nodes.max()),
            "largest_links": int(links.max()), "seconds": statistics.median(clock),
            "processor_seconds": statistics.median(processor)}


if __name__ == "__main__":
    # XLA spreads its work over all cores it may use, whatever its flags say; it starts with the first computation.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    print(json.dumps({"jax": jax.__version__, "feed-forward": measured(DefaultGenome),
                      "recurrent": measured(RecurrentGenome, activate_time=1)}))
