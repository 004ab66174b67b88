"""Seeds: the genomes of NEAT's first population."""

from collections.abc import Sequence

from neat.genome import DefaultGenome

from hyperevo.errors import UserError
from hyperevo.search._neat_genes import Pool
from hyperevo.search._neat_genomes import Genome, GenomeConfig, structures_of
from hyperevo.search._neat_python import Counter
from hyperevo.search._neat_settings import Settings


def check_seed_options(settings: Settings, input_names: Sequence[str]) -> None:
    """Raise UserError where seeds are to hold nodes whose inputs or aggregation the settings do not have."""
    for option, wanted in (("locality", settings.locality), ("layering", settings.layering)):
        if wanted and settings.ini is None and "dx" not in input_names:
            raise UserError(f"search.{option}: needs the inputs x1 - x2 and y1 - y2; set encoding.delta = true")
    if settings.local_fields and "product" not in settings.aggregations:
        raise UserError('search.local_fields: needs "product" among search.aggregations')


def check_separable(pool: Pool, config: GenomeConfig) -> None:
    """Raise UserError where the config would not accept the seeds as children."""
    accepts = vars(config).get("accepts")
    if accepts is not None and not all(accepts(structure.topology) for structure in structures_of(pool, config)):
        raise UserError("search.separable: the seed genomes are not separable; use hidden_function = sin, cos or "
                        "square, output_function = identity, no locality, and no distance among the inputs")


def seed_genome(key: int, settings: Settings, config: GenomeConfig, input_names: Sequence[str],
                output_names: Sequence[str]) -> Genome:
    """A new seed genome. Hidden nodes have the same keys in all seeds, so that crossover and genetic distance align
    them; neat-python would give new keys to every genome."""
    config.node_indexer = Counter(config.num_outputs)
    genome = Genome(key)
    genome.configure_new(config)
    if settings.ini is None:
        inputs = dict(zip(input_names, config.input_keys, strict=True))
        _shape(genome, settings, config, inputs, output_names)
    return genome


def _shape(genome: DefaultGenome, settings: Settings, config: GenomeConfig, inputs: dict[str, int],
           outputs: Sequence[str]) -> None:
    """Add the functions and nodes of the settings to neat-python's own new genome. `inputs` are keys by name."""
    if settings.hidden_function is not None:
        for key in genome.nodes.keys() - set(config.output_keys):
            genome.nodes[key].activation = settings.hidden_function
    if settings.locality:
        _add_locality(genome, settings.locality, config, inputs, outputs)
    if settings.layering:
        _add_layering(genome, config, inputs, outputs)
    if settings.local_fields:
        _add_local_fields(genome, config, inputs, outputs)


def _add_locality(genome: DefaultGenome, axes: str, config: GenomeConfig, inputs: dict[str, int],
                  outputs: Sequence[str]) -> None:
    expressed = [key for key, name in enumerate(outputs) if name.endswith(" expressed")]
    # Links drawn at random would drown what the seeds are to begin with.
    for link in [link for link in genome.connections if link[1] in expressed]:
        del genome.connections[link]
    for axis in axes:
        gaussian = _add_node(genome, config, "gauss", "sum", {inputs[f"d{axis}"]: 1.0})
        for output in expressed or _painting(outputs):
            genome.add_connection(config, gaussian, output, 1.0, True)
    for output in expressed:
        genome.nodes[output].bias = -1.0 if len(axes) > 1 else -0.9


def _add_layering(genome: DefaultGenome, config: GenomeConfig, inputs: dict[str, int], outputs: Sequence[str]) -> None:
    gaussian = _add_node(genome, config, "gauss", "sum", {inputs["dy"]: 1.0})
    genome.nodes[gaussian].bias = 1 / 3
    for output in _painting(outputs):
        genome.add_connection(config, gaussian, output, 1.0, True)


def _painting(outputs: Sequence[str]) -> list[int]:
    """Keys of outputs that paint weights."""
    return [key for key, name in enumerate(outputs) if "weight" in name and not name.endswith(" expressed")]


def _add_local_fields(genome: DefaultGenome, config: GenomeConfig, inputs: dict[str, int],
                      outputs: Sequence[str]) -> None:
    # Linked to both coordinates and not to their difference, so that a link's weight can move the field.
    for output, name in enumerate(outputs):
        if "weight" in name:
            gaussians = [_add_node(genome, config, "gauss", "sum", {inputs[f"{axis}1"]: 1.0, inputs[f"{axis}2"]: -1.0})
                         for axis in "xy"]
            field = _add_node(genome, config, "identity", "product", dict.fromkeys(gaussians, 1.0))
            genome.add_connection(config, field, output, 1.0, True)


def _add_node(genome: DefaultGenome, config: GenomeConfig, activation: str, aggregation: str,
              sources: dict[int, float]) -> int:
    """Add a node without bias and return its key. `sources` are the weights of its links, by the source's key."""
    node = genome.create_node(config, config.get_new_node_key(genome.nodes))
    node.activation, node.aggregation, node.bias = activation, aggregation, 0.0
    genome.nodes[node.key] = node
    for source, weight in sources.items():
        genome.add_connection(config, source, node.key, weight, True)
    return node.key
