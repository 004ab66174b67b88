"""Weights that change at every time step: the dynamic hypernetworks of Ha, Dai & Le (2016), as layers for torch.

`HyperLSTM`, `HyperRNN` and `LayerNormLSTM` are called as `nn.LSTM` and `nn.RNN` are, their cells as `nn.LSTMCell` and
`nn.RNNCell`; `Hyper(cell)` makes any other cell's weights change; `observe` tells by how much they do.
"""

from hyperevo.dynamic.cells import HyperLSTMCell, HyperLSTMState, HyperRNNCell, HyperRNNState, LayerNormLSTMCell
from hyperevo.dynamic.hyper import Hyper, HyperState
from hyperevo.dynamic.layers import HyperLSTM, HyperRNN, LayerNormLSTM
from hyperevo.dynamic.observe import Observation, observe
from hyperevo.dynamic.updates import GATES, VARIANTS, Variant

__all__ = ["GATES", "VARIANTS", "Hyper", "HyperLSTM", "HyperLSTMCell", "HyperLSTMState", "HyperRNN", "HyperRNNCell",
           "HyperRNNState", "HyperState", "LayerNormLSTM", "LayerNormLSTMCell", "Observation", "Variant", "observe"]
