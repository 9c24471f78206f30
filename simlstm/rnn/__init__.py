"""Recurrent layers that take torch.nn's arguments, weights and inputs, and give torch.nn's results.

Read README.md in this folder first: it has the letters, the packed layout and the derivation.
"""

from simlstm.rnn.cell import LSTMCell
from simlstm.rnn.gru import GRU
from simlstm.rnn.layer import LSTM
from simlstm.rnn.prepacking import prepacked
from simlstm.rnn.rnn import RNN

__all__ = ["GRU", "LSTM", "RNN", "LSTMCell", "prepacked"]
