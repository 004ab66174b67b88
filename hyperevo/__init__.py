"""hyperevo: ways of writing down a network's weights, evolved or trained, on the same targets, tasks and budget."""

__version__ = "0.1.0"
