"""A neat-python project's own evaluation as a task: its INI file and its `eval_genomes`, as they are.

    task = hyperevo.task(genomes=eval_genomes, ini="config-feedforward")
    search = hyperevo.search("neat", task, ini="config-feedforward")
    for generation in range(300):
        search.tell(task.judge(search.ask()))
    winner = task.genome(search.candidates()[0])

The genomes that `eval_genomes` gets are neat-python's, and so are the networks that it makes of them, one by one and in
Python: that is slow. Evolution itself is that of search `neat`, and does not take the same steps as `neat.Population`.
"""

import hashlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import neat
import torch
from torch import Tensor

from hyperevo.components import TaskSettings
from hyperevo.errors import UserError, shortened, shown, shown_path
from hyperevo.genotypes import Genotypes, as_graphs
from hyperevo.geometry import Sheet
from hyperevo.graph import Graph
from hyperevo.measure import Measure
from hyperevo.parts import Batch, Task
from hyperevo.reading import read_text
from hyperevo.search._neat_genomes import fill_genome
from hyperevo.search._neat_ini import MOST_CHARACTERS

log = logging.getLogger(__name__)

NOT_BY_OUTPUTS = "genomes are judged as they are, by task.judge(graphs), and have no target and no encoding"


class GenomeTask(Task):
    """Fitness that a neat-python project gives its genomes. For search `neat` it stands in for the encoding.

    config: neat-python's own, of the INI file, as `eval_genomes` gets it.
    """

    measure = Measure("fitness", factor=1.0, unit="", digits=4)
    without_gradient = "search.name: what eval_genomes gives has no gradient to follow; use search.name=neat"

    def __init__(self, genomes: Callable[[list[tuple[int, Any]], Any], object], ini: str):
        """genomes: takes a list of (key, genome) and the config, and sets every genome's `fitness`. ini: path of the
        INI file. Raises UserError where neat-python does not take it."""
        self.settings, self._judge, self.data_name = TaskSettings(name="genomes"), genomes, Path(ini).name
        self.checksum = hashlib.sha256(read_text(ini, MOST_CHARACTERS).encode()).hexdigest()
        try:
            self.config: Any = neat.Config(neat.DefaultGenome, neat.DefaultReproduction, neat.DefaultSpeciesSet,
                                           neat.DefaultStagnation, ini)
        except Exception as error:  # neat-python raises anything from AssertionError to a bare Exception here
            raise UserError(f"task.ini: {shown_path(ini)}: {shortened(error) or type(error).__name__}") from error
        own = self.config.genome_config
        self.inputs, self.outputs = Sheet((own.num_inputs,)), own.num_outputs
        self.input_names = [f"input {number + 1}" for number in range(own.num_inputs)]
        self.output_names = [f"output {number + 1}" for number in range(own.num_outputs)]
        self.validation = torch.zeros(0, own.num_inputs), torch.zeros(0, own.num_outputs)
        log.info("genomes are judged one by one, by neat-python's own networks, which is slow")

    def judge(self, genotypes: Genotypes) -> Tensor:
        """Fitness (P,) float64 that `eval_genomes` gives P graphs, as genomes with the keys 1 to P; raises UserError
        for one that is left without."""
        genomes = [(key, self.genome(graph, key)) for key, graph in enumerate(as_graphs(genotypes), start=1)]
        self._judge(list(genomes), self.config)
        return torch.tensor([_fitness(key, genome) for key, genome in genomes], dtype=torch.float64)

    def genome(self, graph: Graph, key: int = 1) -> Any:
        """Genome of neat-python with the nodes and links of a graph: those that its outputs need, all enabled."""
        return fill_genome(neat.DefaultGenome(key), graph, self.config.genome_config)

    def matrix_outputs(self) -> Sequence[int] | None:
        """None: no output paints weights."""
        return None

    def batch(self, seed: int, generation: int) -> Batch:
        """No examples."""
        return self.validation

    def test(self) -> Batch:
        """No examples."""
        return self.validation

    def fitness(self, outputs: Tensor, wanted: Tensor) -> Tensor:
        """Raise UserError: outputs are not what is judged."""
        raise UserError(f"task.genomes: {NOT_BY_OUTPUTS}")

    def score(self, outputs: Tensor, wanted: Tensor) -> Tensor:
        """Raise UserError: outputs are not what is judged."""
        raise UserError(f"task.genomes: {NOT_BY_OUTPUTS}")


def _fitness(key: int, genome: Any) -> float:
    try:
        return float(genome.fitness)
    except (TypeError, ValueError) as error:
        raise UserError(f"task.genomes: the fitness of genome {key} is {shown(genome.fitness)}, and a number is "
                        "wanted") from error
