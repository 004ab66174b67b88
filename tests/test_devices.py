"""What depends on the device says so, and answers of a GPU are waited for by nobody."""

import torch

from hyperevo import devices
from hyperevo.devices import Soon, networks_at_once, painting, resident, takes_all_at_once
from hyperevo.runs.environment import environment

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def test_the_cpu_takes_network_by_network_and_a_gpu_all_at_once():
    assert not takes_all_at_once(CPU) and takes_all_at_once(GPU)
    assert networks_at_once(CPU, 10) == 1 and networks_at_once(GPU, devices.MOST_NUMBERS // 8) == 8
    assert networks_at_once(GPU, 2 * devices.MOST_NUMBERS) == 1


def test_the_environment_says_how_cppns_paint(monkeypatch):
    assert environment(CPU)["painting"] == "graph by graph"
    monkeypatch.setattr(devices, "_triton_is_installed", lambda: False)
    assert painting(GPU) == "all graphs together, level by level"


def test_what_is_there_already_is_not_copied():
    values = torch.arange(3)
    assert resident(values, CPU) is values


def test_answers_of_the_cpu_come_at_once():
    soon = Soon()
    assert not soon(torch.tensor(False)) and soon(torch.tensor(True))
