"""hyperevo: ways of writing down a network's weights, evolved or trained, on the same targets, tasks and budget.

    import hyperevo as he
    task = he.task("mnist")
    net = he.target("mlp", task)
    code = he.encoding("dct", net)
    es = he.search("snes", code)
    es.tell(he.fitness(code, net, task, es.ask(), batch=0))
    result = he.run("dct-mnist", out="runs/x")
"""

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hyperevo import plots
    from hyperevo.components import ComponentSettings as Settings
    from hyperevo.contracts import check
    from hyperevo.errors import UserError
    from hyperevo.geometry import ParameterGeometry, Sheet
    from hyperevo.hypernetwork import StaticHyperNetwork
    from hyperevo.loggers import Logger
    from hyperevo.parts import Encoding, Search, Target, Task
    from hyperevo.session import encoding, fitness, load, run, search, target, task, test
    from hyperevo.weights import Weights

__version__ = "0.1.0"
__all__ = ["Encoding", "Logger", "ParameterGeometry", "Search", "Settings", "Sheet", "StaticHyperNetwork", "Target",
           "Task", "UserError", "Weights", "__version__", "check", "encoding", "fitness", "load", "plots", "run",
           "search", "target", "task", "test"]

_HOMES = {"Settings": "components", "UserError": "errors", "ParameterGeometry": "geometry", "Sheet": "geometry",
          "Logger": "loggers", "StaticHyperNetwork": "hypernetwork", "Weights": "weights", "check": "contracts",
          **dict.fromkeys(("Encoding", "Search", "Target", "Task"), "parts"),
          **dict.fromkeys(("encoding", "fitness", "load", "run", "target", "task", "test"), "session")}
"""Module of every name."""

logging.getLogger(__name__).addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    # torch takes a second to import, which `hyperevo --help` need not wait for: everything is imported on first use.
    if name in ("plots", "search"):  # packages, of which `search` is called too
        return import_module(f"hyperevo.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'hyperevo' has no attribute {name!r}")
    return vars(import_module(f"hyperevo.{_HOMES[name]}"))["ComponentSettings" if name == "Settings" else name]


def __dir__() -> list[str]:
    return __all__
