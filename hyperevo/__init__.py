"""hyperevo: ways of writing down a network's weights, evolved or trained, on the same targets, tasks and budget."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hyperevo.hypernetwork import StaticHyperNetwork

__version__ = "0.1.0"
__all__ = ["StaticHyperNetwork", "__version__"]


def __getattr__(name: str) -> Any:
    # torch takes a second to import, which `hyperevo --help` need not wait for.
    if name == "StaticHyperNetwork":
        from hyperevo.hypernetwork import StaticHyperNetwork
        return StaticHyperNetwork
    raise AttributeError(f"module 'hyperevo' has no attribute {name!r}")
