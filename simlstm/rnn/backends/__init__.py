"""Implementations of one packed layer, chosen by :mod:`simlstm.rnn.dispatch`."""
