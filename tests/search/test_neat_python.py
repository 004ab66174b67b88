"""Moving over from neat-python: its INI files as they are, its genomes and its JSON, there and back."""

import neat
import pytest
import torch
from neat.export import export_network_json

import hyperevo as he
from hyperevo.errors import UserError
from hyperevo.neat_python import from_json, to_genome, to_graph, to_json

INI = """
[NEAT]
fitness_criterion = max
fitness_threshold = 3.9
pop_size = {population}
reset_on_extinction = False

[DefaultGenome]
activation_default = {activation}
activation_mutate_rate = {function_rate}
activation_options = {activations}
aggregation_default = sum
aggregation_mutate_rate = 0.0
aggregation_options = {aggregations}
bias_init_mean = 0.0
bias_init_stdev = 1.0
bias_max_value = 30.0
bias_min_value = -30.0
bias_mutate_power = 0.5
bias_mutate_rate = 0.7
bias_replace_rate = 0.1
compatibility_disjoint_coefficient = 1.0
compatibility_weight_coefficient = {weight_coefficient}
conn_add_prob = {add_link}
conn_delete_prob = {delete_link}
enabled_default = True
enabled_mutate_rate = 0.01
feed_forward = {feed_forward}
initial_connection = {connection}
node_add_prob = {add_node}
node_delete_prob = {delete_node}
num_hidden = {hidden}
num_inputs = {inputs}
num_outputs = {outputs}
response_init_mean = 1.0
response_init_stdev = 0.0
response_max_value = 30.0
response_min_value = -30.0
response_mutate_power = {response_power}
response_mutate_rate = {response_power}
response_replace_rate = 0.0
weight_init_mean = 0.0
weight_init_stdev = 1.0
weight_max_value = 30
weight_min_value = -30
weight_mutate_power = 0.5
weight_mutate_rate = 0.8
weight_replace_rate = 0.1

[DefaultSpeciesSet]
compatibility_threshold = 3.0

[DefaultStagnation]
species_fitness_func = max
max_stagnation = 20
species_elitism = 2

[DefaultReproduction]
elitism = 2
survival_threshold = 0.2
"""

XOR = {"population": 60, "activation": "sigmoid", "function_rate": 0.0, "activations": "sigmoid", "aggregations": "sum",
       "weight_coefficient": 0.5, "add_link": 0.5, "delete_link": 0.5, "feed_forward": True,
       "connection": "full_direct", "add_node": 0.2, "delete_node": 0.2, "hidden": 0, "inputs": 2, "outputs": 1,
       "response_power": 0.0}
# Like the files of neat-python's own examples: XOR, a pole, a memory, the lunar lander, and pictures.
FILES = {
    "xor": XOR,
    "pole": {**XOR, "activation": "tanh", "activations": "tanh", "inputs": 4, "outputs": 1,
             "connection": "full_nodirect", "add_link": 0.4, "delete_link": 0.2},
    "memory": {**XOR, "feed_forward": False, "connection": "partial_direct 0.5", "hidden": 2, "inputs": 3,
               "response_power": 0.1},
    "lander": {**XOR, "population": 40, "activation": "clamped", "activations": "clamped", "inputs": 8, "outputs": 4,
               "weight_coefficient": 1.0, "connection": "full_direct", "hidden": 1},
    "pictures": {**XOR, "activation": "random", "function_rate": 0.5, "inputs": 2, "outputs": 3,
                 "activations": "abs gauss identity sigmoid sin relu", "aggregations": "sum product max mean",
                 "response_power": 0.1},
}


@pytest.fixture(params=FILES)
def ini(request, tmp_path):
    path = tmp_path / "config"
    path.write_text(INI.format(**FILES[request.param]), encoding="utf-8")
    return request.param, str(path)


def evolved(name: str, path: str):
    """A search with the file after four generations, and its encoding and target."""
    own = FILES[name]
    task = he.task("arrays", inputs=torch.randn(40, own["inputs"]), labels=torch.randn(40, own["outputs"])) \
        if own["outputs"] > 1 or own["inputs"] > 2 else he.task("parity", bits=2)
    net = he.target("network", task, steps=3)
    code = he.encoding("network", net, recurrent=not own["feed_forward"])
    search = he.search("neat", code, ini=path)
    for generation in range(4):
        search.tell(he.fitness(code, net, task, search.ask(), batch=generation))
    return search, code, net


def test_files_run_as_they_are_and_champions_go_there_and_back(ini):
    search, code, net = evolved(*ini)
    inputs = torch.randn(5, FILES[ini[0]]["inputs"], dtype=torch.float64)
    for graph in [search.candidates()[0], *list(search.ask())[:10]]:
        genome, config = to_genome(graph, ini[1])
        recurrent = not FILES[ini[0]]["feed_forward"]
        kind = neat.nn.RecurrentNetwork if recurrent else neat.nn.FeedForwardNetwork
        theirs = []
        for shown in inputs.tolist():
            network = kind.create(genome, config)
            for _ in range(3 if recurrent else 1):
                answer = network.activate(shown)
            theirs.append(answer)
        for own in (graph, to_graph(genome, config), from_json(to_json(graph, ini[1])),
                    from_json(export_network_json(kind.create(genome, config)))):
            ours = net.forward(code.express([own], torch.float64), inputs)[0]
            torch.testing.assert_close(ours, torch.tensor(theirs, dtype=torch.float64), rtol=1e-9, atol=1e-9)


TIMES = """
time_constant_init_mean = 0.3
time_constant_init_stdev = 0.1
time_constant_max_value = 0.6
time_constant_min_value = {}
time_constant_mutate_power = 0.1
time_constant_mutate_rate = 0.5
time_constant_replace_rate = 0.1
"""


def test_networks_in_continuous_time_go_there_and_back(tmp_path):
    path = tmp_path / "config"
    text = INI.format(**FILES["memory"])
    path.write_text(text.replace("feed_forward", TIMES.strip().format(0.05) + "\nfeed_forward"), encoding="utf-8")
    task = he.task("arrays", inputs=torch.randn(40, FILES["memory"]["inputs"]),
                   labels=torch.randn(40, FILES["memory"]["outputs"]))
    net = he.target("network", task)
    code = he.encoding("network", net, recurrent=True, continuous=True)
    search = he.search("neat", code, ini=str(path), refine={"rounds": 0})
    for generation in range(4):
        search.tell(he.fitness(code, net, task, search.ask(), batch=generation))
    graphs, shown = list(search.ask())[:20], torch.randn(5, FILES["memory"]["inputs"], dtype=torch.float64)
    times = {node.time_constant for graph in graphs for node in graph.topology.nodes}
    assert len(times) > 4 and 0.05 <= min(times) < max(times) <= 0.6
    for graph in graphs:
        genome, config = to_genome(graph, str(path))
        wanted = net.forward(code.express([graph], torch.float64), shown)
        theirs = from_json(export_network_json(neat.ctrnn.CTRNN.create(genome, config)))
        for own in (to_graph(genome, config, continuous=True), from_json(to_json(graph, str(path), True)), theirs):
            torch.testing.assert_close(net.forward(code.express([own], torch.float64), shown), wanted)
    path.write_text(text.replace("feed_forward", TIMES.strip().format(-1) + "\nfeed_forward"), encoding="utf-8")
    with pytest.raises(UserError, match="time_constant_min_value = -1.0, but networks in continuous time"):
        he.search("neat", code, ini=str(path))


def test_what_does_not_fit_is_one_line(tmp_path):
    path = tmp_path / "config"
    path.write_text(INI.format(**FILES["memory"]), encoding="utf-8")
    task = he.task("parity", bits=3)
    net = he.target("network", task)
    with pytest.raises(UserError, match="feed_forward = False.*encoding.recurrent"):
        he.search("neat", he.encoding("network", net), ini=str(path))
    search = he.search("neat", he.encoding("network", net, recurrent=True), population=4)
    other = tmp_path / "other"
    other.write_text(INI.format(**FILES["xor"]), encoding="utf-8")
    with pytest.raises(UserError, match="num_inputs = 2, but the encoding needs num_inputs = 3"):
        to_genome(search.ask()[0], str(other))
    with pytest.raises(UserError, match="nowhere"):
        to_genome(search.ask()[0], str(tmp_path / "nowhere"))
    for text in ("{", "{}", to_json(search.ask()[0], str(path)).replace('"recurrent"', '"spiking"')):
        with pytest.raises(UserError):
            from_json(text)
