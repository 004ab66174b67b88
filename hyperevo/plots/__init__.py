"""Figures: matplotlib `Figure` objects from plain data, and all figures of a run folder.

Nothing here needs a screen, uses `pyplot` or chooses a backend.
"""

from hyperevo.plots.cppn import cppn_graph, cppn_nodes
from hyperevo.plots.curves import learning_curves, species_over_time
from hyperevo.plots.dct import dct_coefficients
from hyperevo.plots.embeddings import embedding_map
from hyperevo.plots.run_figures import save_run_figures, save_watched
from hyperevo.plots.weights import (
    filmstrip,
    kernels_side_by_side,
    projective_fields,
    readout_maps,
    receptive_fields,
)

__all__ = ["cppn_graph", "cppn_nodes", "dct_coefficients", "embedding_map", "filmstrip", "kernels_side_by_side",
           "learning_curves", "projective_fields", "readout_maps", "receptive_fields", "save_run_figures",
           "save_watched", "species_over_time"]
